"""Every operation of every kind of index, in any order, against a list of ids and one of values.

``UDSPH_MACHINE_STEPS`` is about how many steps are taken in all: 12,000, or 100,000 and more for a long run.
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

STEPS = int(os.environ.get("UDSPH_MACHINE_STEPS", "12000"))
BITS, EACH = 20, 30  # bits of a code; steps of one example
MISSING = 2**31 - 1

ONES = np.array([bin(value).count("1") for value in range(1 << BITS // 2)])  # of half a code

numbers = st.integers(0, 2**BITS - 1)
names = st.integers(0, 60)


def codes_of(values):
    return np.ascontiguousarray(np.asarray(values, "<u4").reshape(-1, 1).view(np.uint8)[:, :3])


def values_of(codes):
    return np.pad(codes, ((0, 0), (0, 1))).view("<u4")[:, 0].astype(np.int64)


class Machine(RuleBasedStateMachine):
    """An index beside the ids and values of its codes in insertion order."""

    def __init__(self, cls, options, ids):
        super().__init__()
        self.made, self.ids = (cls, options), ids
        self.large = where._FEW, index_module._SEVERAL, index_module._UNSCANNED
        self.known, self.values, self.next_id, self.fresh = [], np.zeros(0, np.int64), 0, 100
        self.changed = True

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

    def ranked(self, query, allowed=None):
        """Distances and positions of the allowed codes, nearest first."""
        differ = self.values ^ query
        distances = ONES[differ & (1 << BITS // 2) - 1] + ONES[differ >> BITS // 2]
        places = np.arange(len(self.values)) if allowed is None else np.flatnonzero(allowed)
        places = places[np.argsort(distances[places], kind="stable")]
        return distances[places], places

    def same(self, distances, ids, expected, k):
        """Whether the k nearest, padded, are those of a ranking."""
        near, places = (each[:k] for each in expected)
        missing = k - len(near)
        assert distances.tolist() == [*near.tolist(), *[MISSING] * missing]
        none = None if ids.dtype == object else -1
        assert ids.tolist() == [*[self.known[place] for place in places.tolist()], *[none] * missing]

    def keep(self, kept):
        """Of the codes those where a mask is set are left."""
        self.known = [id for id, stays in zip(self.known, kept.tolist(), strict=True) if stays]
        self.values = self.values[kept]
        self.changed = True

    def keep_others(self, gone):
        gone = {*gone}
        self.keep(np.array([id not in gone for id in self.known], bool))

    # Changes.

    @rule(new=st.lists(st.tuples(names, numbers), max_size=12))
    def add(self, new):
        ids, values = [self.name(n) for n, _ in new], [value for _, value in new]
        if self.ids == "positions":
            self.append(None, values)
        elif self.multi or not (len({*ids}) < len(ids) or {*self.known} & {*ids}):
            self.append(ids, values)
        else:
            with pytest.raises(ValueError, match="twice or already"):
                self.index.add(self.coded(values), ids)

    @rule(count=st.sampled_from([40, 300, 800]), seed=st.integers(0, 9))
    def add_many(self, count, seed):
        """Enough that blocks fill, chunks of ids are joined and tables are worth building."""
        if len(self.known) < 2500:
            rng = np.random.default_rng(seed)
            values = (rng.integers(0, 6, count) * 77_777 ^ 1 << rng.integers(0, BITS, count)).tolist()
            self.fresh += count
            self.append([self.name(n) for n in range(self.fresh - count, self.fresh)], values)

    def append(self, ids, values):
        if self.ids == "positions":
            ids = list(range(self.next_id, self.next_id + len(values)))
            self.next_id += len(values)
        self.index.add(self.coded(values), None if self.ids == "positions" else ids)
        self.known += ids
        self.values = np.append(self.values, np.asarray(values, np.int64))
        self.changed = True

    @rule(chosen=st.lists(names, max_size=6, unique=True), unknown=st.sampled_from(["error", "ignore"]))
    def remove(self, chosen, unknown):
        ids = [self.name(n) for n in chosen]
        if unknown == "error" and {*ids} - {*self.known}:
            with pytest.raises(ValueError, match="is not in the index"):
                self.index.remove(ids)
            return
        self.index.remove(ids, unknown=unknown)
        self.keep_others(ids)

    @precondition(lambda self: self.known)
    @rule(begin=st.floats(0, 1), share=st.floats(0, 0.9))
    def remove_many(self, begin, share):
        first = int(begin * len(self.known))
        gone = list(dict.fromkeys(self.known[first : first + int(share * len(self.known))]))
        self.index.remove(gone)
        self.keep_others(gone)

    @rule(surely=st.integers(0, 5))
    def clear(self, surely):
        if surely == 0:
            self.index.clear()
            self.known, self.values, self.next_id = [], self.values[:0], 0
            self.changed = True

    @rule(new_only=st.booleans())
    def optimize(self, new_only):
        if isinstance(self.index, hamming.Index):
            self.index.optimize(threads=1, new_only=new_only)
            self.changed = True

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
            both = {*ids} & {*self.known}
            if both and duplicates == "error":
                with pytest.raises(ValueError, match="twice or already"):
                    self.index.merge(other)
                return
            if duplicates == "replace":
                self.keep_others(both)
            else:
                ids, values = (
                    zip(*[p for p in zip(ids, values, strict=True) if p[0] not in both], strict=True)
                    if {*ids} - both
                    else ((), ())
                )
        self.index.merge(other, duplicates=duplicates)
        self.known += ids
        self.values = np.append(self.values, np.asarray(values, np.int64))
        self.changed = True

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
        self.changed = True

    # Questions.

    @rule(
        query=numbers,
        k=st.integers(1, 30),
        radius=st.integers(0, BITS + 2),
        filtered=st.sampled_from(["no", "mask", "bitmap", "ids", "few"]),
    )
    def ask(self, query, k, radius, filtered):
        n, filtering, kept = len(self.known), None, None
        if filtered in ("mask", "bitmap"):
            kept = np.arange(n) % 3 != 1
            filtering = kept if filtered == "mask" else hamming.Bitmap.from_mask(kept)
        elif filtered != "no":
            filtering = list(dict.fromkeys(self.known[:: 2 if filtered == "ids" else max(1, n // 2)]))
            chosen = {*filtering}
            kept = np.array([id in chosen for id in self.known], bool)
        if n and query % 4:  # near some code
            query = int(self.values[query % n]) ^ (query >> 18 if query % 4 == 1 else 0)
        expected, queries = self.ranked(query, kept), self.coded([query])
        within = int((expected[0] <= radius).sum())
        for form in (queries, queries[0]):
            found = self.index.search(form, k, where=filtering)
            self.same(found.distances.reshape(-1), found.ids.reshape(-1), expected, k)
            inside = self.index.range_search(form, radius, where=filtering)
            self.same(inside.distances, inside.ids, expected, within)

    @rule(asked=st.lists(st.tuples(numbers, st.integers(0, BITS), st.booleans()), min_size=1, max_size=5))
    def ask_each(self, asked):
        mask = np.arange(len(self.known)) % 2 == 0
        queries, radii = self.coded([query for query, _, _ in asked]), [radius for _, radius, _ in asked]
        wheres = [mask if limited else None for _, _, limited in asked]
        found, inside = (
            self.index.search(queries, 3, where=wheres),
            self.index.range_search(queries, radii, where=wheres),
        )
        for i, (query, radius, limited) in enumerate(asked):
            expected = self.ranked(query, mask if limited else None)
            self.same(found.distances[i], found.ids[i], expected, 3)
            part = slice(inside.offsets[i], inside.offsets[i + 1])
            self.same(inside.distances[part], inside.ids[part], expected, int((expected[0] <= radius).sum()))

    @rule(chosen=st.lists(names, max_size=4))
    def look_up(self, chosen):
        for n in chosen:
            id = self.name(n)
            values = [value for other, value in zip(self.known, self.values.tolist(), strict=True) if other == id]
            assert (id in self.index) == bool(values)
            assert self.index.count([id]).tolist() == [len(values)]
            if values:
                assert values_of(self.read([id])).tolist() == values
            else:
                with pytest.raises(ValueError, match="is not in the index"):
                    self.index.reconstruct([id])
        if self.known:
            told = self.index.explain(self.coded([5]), k=2)
            assert told["codes"] == len(self.known)

    def read(self, ids):
        codes = self.index.reconstruct(ids)
        if self.index.bitorder == "little":
            return codes
        return np.packbits(np.unpackbits(codes, axis=1), axis=1, bitorder="little")

    @invariant()
    def holds_the_same(self):
        if not hasattr(self, "index") or not self.changed:
            return
        self.changed = False
        assert len(self.index) == len(self.known) and self.index.multi == self.multi
        assert self.index.ids.tolist() == self.known
        places: dict = {}
        groups = [places.setdefault(id, len(places)) for id in self.known]
        values = self.values[np.argsort(groups, kind="stable")]
        np.testing.assert_array_equal(values_of(self.read(list(places))), values)


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
