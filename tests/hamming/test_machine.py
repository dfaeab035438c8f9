"""Every operation of every kind of index, in any order, against a dictionary of lists.

``UDSPH_MACHINE_STEPS`` is about how many steps are taken in all: 3,000, or 100,000 and more for a long run.
"""

import copy
import io
import os
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from udsph import hamming
from udsph.hamming import backend, where
from udsph.hamming import index as index_module

STEPS = int(os.environ.get("UDSPH_MACHINE_STEPS", "3000"))
BITS, EACH = 20, 30  # bits of a code; steps of one example
MISSING = 2**31 - 1

numbers = st.integers(0, 2**BITS - 1)
names = st.integers(0, 60)


def codes_of(values):
    return np.ascontiguousarray(np.array(values, "<u4").reshape(-1, 1).view(np.uint8)[:, :3])


def values_of(codes):
    return [int.from_bytes(row.tobytes(), "little") for row in codes]


def pairs(distances, ids):
    return [(d, None if id == -1 else id) for d, id in zip(distances.tolist(), ids.tolist(), strict=True)]


class Machine(RuleBasedStateMachine):
    """An index beside the list of its codes: ``[id, value]`` in insertion order."""

    def __init__(self, cls, options, ids):
        super().__init__()
        self.made, self.ids = (cls, options), ids
        self.large = where._FEW, index_module._SEVERAL, index_module._UNSCANNED
        self.truth, self.next_id, self.fresh = [], 0, 100

    @initialize(
        multi=st.booleans(),
        bitorder=st.sampled_from(["little", "big"]),
        low=st.sampled_from([True, True, False]),
        counts=st.sampled_from([(1100, 600), (700,), (1100, 600), ()]),
    )
    def begin(self, multi, bitorder, low, counts):
        cls, options = self.made
        self.multi, self.index = multi, cls(BITS, bitorder=bitorder, multi=multi, **options)
        if low:  # what large indexes do small ones do too: read few allowed codes, build tables, keep sets of them
            where._FEW, index_module._SEVERAL, index_module._UNSCANNED = 3, 0, 600
        for count in counts:
            self.add_many(count, count)
            self.optimize(True)

    def teardown(self):
        where._FEW, index_module._SEVERAL, index_module._UNSCANNED = self.large

    # What an index is told and tells, in the forms of the list.

    def name(self, number):
        return f"é{number}" if self.ids == "strings" else number * (1 if self.ids == "positions" else 2**33)

    def coded(self, values):
        codes = codes_of(values)
        return (
            codes
            if self.index.bitorder == "little"
            else np.packbits(np.unpackbits(codes, axis=1, bitorder="little"), axis=1)
        )

    def known(self):
        return [id for id, _ in self.truth]

    def ranked(self, query, allowed):
        """Distance and id of every allowed code, nearest first."""
        found = [
            (bin(query ^ value).count("1"), place) for place, (_, value) in enumerate(self.truth) if allowed(place)
        ]
        return [(distance, self.truth[place][0]) for distance, place in sorted(found)]

    # Changes.

    @rule(new=st.lists(st.tuples(names, numbers), max_size=12))
    def add(self, new):
        ids, values = [self.name(n) for n, _ in new], [value for _, value in new]
        if self.ids == "positions":
            self.append(None, values)
        elif self.multi or not (len({*ids}) < len(ids) or {*self.known()} & {*ids}):
            self.append(ids, values)
        else:
            with pytest.raises(ValueError, match="twice or already"):
                self.index.add(self.coded(values), ids)

    @rule(count=st.sampled_from([40, 300, 800]), seed=st.integers(0, 9))
    def add_many(self, count, seed):
        """Enough that blocks fill, chunks of ids are joined and tables are worth building."""
        if len(self.truth) < 2500:
            rng = np.random.default_rng(seed)
            values = (rng.integers(0, 6, count) * 77_777 ^ 1 << rng.integers(0, BITS, count)).tolist()
            self.fresh += count
            self.append([self.name(n) for n in range(self.fresh - count, self.fresh)], values)

    def append(self, ids, values):
        if self.ids == "positions":
            ids = list(range(self.next_id, self.next_id + len(values)))
            self.next_id += len(values)
        self.index.add(self.coded(values), None if self.ids == "positions" else ids)
        self.truth += map(list, zip(ids, values, strict=True))

    @rule(chosen=st.lists(names, max_size=6, unique=True), unknown=st.sampled_from(["error", "ignore"]))
    def remove(self, chosen, unknown):
        ids = [self.name(n) for n in chosen]
        if unknown == "error" and {*ids} - {*self.known()}:
            with pytest.raises(ValueError, match="is not in the index"):
                self.index.remove(ids)
            return
        self.index.remove(ids, unknown=unknown)
        self.truth = [pair for pair in self.truth if pair[0] not in ids]

    @precondition(lambda self: self.truth)
    @rule(begin=st.floats(0, 1), share=st.floats(0, 0.9))
    def remove_many(self, begin, share):
        ids = self.known()
        first = int(begin * len(ids))
        gone = list(dict.fromkeys(ids[first : first + int(share * len(ids))]))
        self.index.remove(gone)
        self.truth = [pair for pair in self.truth if pair[0] not in {*gone}]

    @rule(surely=st.integers(0, 5))
    def clear(self, surely):
        if surely == 0:
            self.index.clear()
            self.truth, self.next_id = [], 0

    @rule(new_only=st.booleans())
    def optimize(self, new_only):
        if isinstance(self.index, hamming.Index):
            self.index.optimize(threads=1, new_only=new_only)

    @rule(
        new=st.lists(st.tuples(names, numbers), max_size=6, unique_by=lambda pair: pair[0]),
        duplicates=st.sampled_from(["error", "keep", "replace"]),
    )
    def merge(self, new, duplicates):
        other = hamming.FlatIndex(BITS)
        ids, values = [self.name(n) for n, _ in new], [value for _, value in new]
        other.add(codes_of(values), ids if self.ids != "positions" and ids else None)
        if self.ids == "positions":
            ids = list(range(self.next_id, self.next_id + len(ids)))
            self.next_id += len(ids)
        elif not self.multi:
            both = {*ids} & {*self.known()}
            if both and duplicates == "error":
                with pytest.raises(ValueError, match="twice or already"):
                    self.index.merge(other)
                return
            if duplicates == "replace":
                self.truth = [pair for pair in self.truth if pair[0] not in both]
            else:
                ids, values = (
                    zip(*[p for p in zip(ids, values, strict=True) if p[0] not in both], strict=True)
                    if {*ids} - both
                    else ((), ())
                )
        self.index.merge(other, duplicates=duplicates)
        self.truth += map(list, zip(ids, values, strict=True))

    @rule(way=st.sampled_from(["file", "bytes", "pickle", "copy", "deepcopy"]))
    def another(self, way):
        """Go on with another index that holds the same."""
        before, index = self.index, self.index
        if way == "file":
            file = io.BytesIO()
            index.save(file)
            file.seek(0)
            other = hamming.load(file)
        elif way == "bytes":
            other = type(index).from_bytes(index.to_bytes())
        elif way == "pickle":
            other = pickle.loads(pickle.dumps(index))
        else:
            other = copy.copy(index) if way == "copy" else copy.deepcopy(index)
        self.index = other
        before.clear()

    # Questions.

    @rule(
        query=numbers,
        k=st.integers(1, 30),
        radius=st.integers(0, BITS + 2),
        filtered=st.sampled_from(["no", "mask", "bitmap", "ids", "few"]),
    )
    def ask(self, query, k, radius, filtered):
        n, filtering, kept = len(self.truth), None, lambda place: True
        if filtered in ("mask", "bitmap"):
            mask = np.arange(n) % 3 != 1
            filtering, kept = (
                (mask if filtered == "mask" else hamming.Bitmap.from_mask(mask)),
                lambda place: bool(mask[place]),
            )
        elif filtered != "no":
            ids = list(dict.fromkeys(self.known()[:: 2 if filtered == "ids" else max(1, n // 2)]))
            chosen = {*ids}
            filtering, kept = ids, lambda place: self.truth[place][0] in chosen
        if n and query % 4:  # near some code
            query = self.truth[query % n][1] ^ (query >> 18 if query % 4 == 1 else 0)
        expected, queries = self.ranked(query, kept), self.coded([query])
        near = [*expected[:k], *[(MISSING, None)] * (k - len(expected))]
        for form in (queries, queries[0]):
            found = self.index.search(form, k, where=filtering)
            assert pairs(found.distances.reshape(-1), found.ids.reshape(-1)) == near
            inside = self.index.range_search(form, radius, where=filtering)
            assert pairs(inside.distances, inside.ids) == [pair for pair in expected if pair[0] <= radius]

    @rule(asked=st.lists(st.tuples(numbers, st.integers(0, BITS), st.booleans()), min_size=1, max_size=5))
    def ask_each(self, asked):
        mask = np.arange(len(self.truth)) % 2 == 0
        queries, radii = self.coded([query for query, _, _ in asked]), [radius for _, radius, _ in asked]
        wheres = [mask if limited else None for _, _, limited in asked]
        found, inside = (
            self.index.search(queries, 3, where=wheres),
            self.index.range_search(queries, radii, where=wheres),
        )
        for i, (query, radius, limited) in enumerate(asked):
            expected = self.ranked(query, (lambda place: place % 2 == 0) if limited else (lambda place: True))
            near = [*expected[:3], *[(MISSING, None)] * (3 - len(expected))]
            assert pairs(found.distances[i], found.ids[i]) == near
            part = slice(inside.offsets[i], inside.offsets[i + 1])
            assert pairs(inside.distances[part], inside.ids[part]) == [pair for pair in expected if pair[0] <= radius]

    @rule(chosen=st.lists(names, max_size=4))
    def look_up(self, chosen):
        known = self.known()
        for n in chosen:
            id = self.name(n)
            values = [value for other, value in self.truth if other == id]
            assert (id in self.index) == bool(values)
            assert self.index.count([id]).tolist() == [len(values)]
            if values:
                assert values_of(self.read([id])) == values
            else:
                with pytest.raises(ValueError, match="is not in the index"):
                    self.index.reconstruct([id])
        if known:
            told = self.index.explain(self.coded([5]), k=2)
            assert told["codes"] == len(known)

    def read(self, ids):
        codes = self.index.reconstruct(ids)
        if self.index.bitorder == "little":
            return codes
        return np.packbits(np.unpackbits(codes, axis=1), axis=1, bitorder="little")

    @invariant()
    def holds_the_same(self):
        if not hasattr(self, "index"):
            return
        known = self.known()
        assert len(self.index) == len(known) and self.index.multi == self.multi
        assert self.index.ids.tolist() == known
        by_id = {}
        for id, value in self.truth:
            by_id.setdefault(id, []).append(value)
        assert values_of(self.read(list(by_id))) == [value for values in by_id.values() for value in values]


KINDS = {
    "flat": (hamming.FlatIndex, {}),
    "multi": (hamming.Index, {"kind": "multi"}),
    "auto": (hamming.Index, {"kind": "auto"}),
    "numpy": (hamming.Index, {"kind": "multi"}),
}


@pytest.mark.parametrize("ids", ["positions", "integers", "strings"])
@pytest.mark.parametrize("kind", KINDS)
def test_any_order_of_operations_gives_what_a_list_gives(kind, ids):
    """With native code, where there is any, and without."""
    backend.use("numpy" if kind == "numpy" else None)
    try:
        run_state_machine_as_test(
            lambda: Machine(*KINDS[kind], ids),
            settings=settings(
                max_examples=max(1, STEPS // EACH // 12),
                stateful_step_count=EACH,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        backend.use(None)
