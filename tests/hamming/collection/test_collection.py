import copy
import os
import pickle
import warnings

import numpy as np
import pytest
from collection_helpers import codes_of, same

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming.collection import Collection, changes

FORMS = {
    "positions": lambda numbers: None,
    "integers": lambda numbers: [int(n) * 2**33 % (2**61 - 1) for n in numbers],
    "strings": lambda numbers: [f"né {n}" if n else "" for n in numbers],
}


def names(path):
    return sorted(os.listdir(path))


def test_any_engine_opens_what_was_committed(engine, tmp_path):
    history(tmp_path / "c", "integers", 100, 15)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bits", [12, 64])
def test_what_was_committed_is_opened_whatever_was_done(tmp_path, form, bits):
    history(tmp_path / "c", form, bits, 40)


def history(path, form, bits, steps):
    """A seeded history of additions, removals, commits and compactions, beside an index in memory."""
    rng, truth, given = np.random.default_rng(bits), hamming.FlatIndex(bits), 0
    reader = None
    with Collection.create(path, bits, durability="none") as writer:
        for step in range(steps):
            what = rng.choice(["add", "add", "remove", "commit", "compact"], p=[0.4, 0.1, 0.2, 0.25, 0.05])
            if what == "add":
                numbers = np.arange(given, given + int(rng.choice([1, 7, 500, 512, 700, 1500])))
                given += len(numbers)
                for index in (writer, truth):
                    index.add(codes_of(numbers, bits), FORMS[form](numbers))
            elif what == "remove" and len(truth):
                gone = rng.choice(truth.ids, min(len(truth), int(rng.choice([1, 20, 300, 900]))), replace=False)
                for index in (writer, truth):
                    index.remove(gone)
            else:
                generation = getattr(writer, "compact" if what == "compact" else "commit")()
                assert generation == writer.generation and not writer.changed
                reader = Collection.open(path) if reader is None else reader
                reader.refresh()
                same(truth, reader)
                reader.verify()
            if step % 10 == 9:
                same(truth, writer)
    same(truth, Collection.open(path, verify=True))


def test_every_number_of_few_codes_is_opened_with_every_number_of_them_removed(tmp_path):
    for n in range(1, 18):
        for gone in range(n // 2 + 1):
            path = tmp_path / f"{n}-{gone}"
            with Collection.create(path, 16, durability="none") as writer:
                writer.add(codes_of(range(n), 16))
                writer.remove(range(gone))
            assert Collection.open(path, verify=True).ids.tolist() == list(range(gone, n))


def test_a_reader_keeps_its_generation_until_it_refreshes(engine, tmp_path):
    writer = Collection.create(tmp_path / "c", 64)
    writer.add(codes_of(range(1300)))
    writer.commit()
    reader, truth = Collection.open(tmp_path / "c"), writer.copy()
    writer.add(codes_of(range(1300, 2000)))
    writer.remove(np.arange(700))
    assert len(reader) == 1300 and not reader.refresh()
    writer.commit()
    writer.compact()
    same(truth, reader)
    assert reader.refresh() and not reader.refresh()
    same(writer, reader)
    with pytest.raises(InputError, match="opened for reading"):
        reader.add(codes_of([1]))
    writer.close()


def test_a_commit_without_changes_makes_no_generation(tmp_path):
    with Collection.create(tmp_path / "c", 8) as writer:
        before = names(tmp_path / "c")
        assert writer.commit() == writer.compact() == 0 and names(tmp_path / "c") == before
        writer.add(np.zeros((0, 1), np.uint8))
        writer.remove([], unknown="ignore")
        assert not writer.changed and writer.commit() == 0


def test_a_small_addition_writes_a_small_file_and_leaves_the_large_one(tmp_path):
    with Collection.create(tmp_path / "c", 64) as writer:
        writer.add(codes_of(range(100_000)))
        writer.commit()
        (large,) = [name for name in names(tmp_path / "c") if name.endswith("segment")]
        before = os.stat(tmp_path / "c" / large)
        writer.add(codes_of(range(1000)))
        writer.commit()
        assert os.stat(tmp_path / "c" / large).st_mtime_ns == before.st_mtime_ns
        assert writer.stats()["codes_in_files"] == [99_840, 1160]
        writer.remove([5])
        writer.commit()
        assert large in names(tmp_path / "c") and writer.stats()["files"] == 2


def test_few_files_remain_whatever_the_size_of_the_commits(tmp_path):
    with Collection.create(tmp_path / "c", 64, durability="none") as writer:
        most = 0
        for step in range(300):
            writer.add(codes_of(range(step * 40, step * 40 + 40)))
            writer.commit()
            most = max(most, len(names(tmp_path / "c")))
        assert most <= 2 + 8  # manifest, lock, and sizes that fall by a factor
        same(writer, Collection.open(tmp_path / "c"))


def test_large_files_are_not_written_again_in_a_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(changes, "_MOST_REWRITTEN", 16 * 4096)
    with Collection.create(tmp_path / "c", 64, durability="none") as writer:
        for step in range(20):
            writer.add(codes_of(range(step * 1024, step * 1024 + 1024)))
            writer.commit()
        assert max(writer.stats()["codes_in_files"]) <= 4096 and writer.stats()["files"] >= 5
        writer.compact()
        assert writer.stats()["codes_in_files"] == [20 * 1024]


def test_only_as_many_generations_stay_as_were_asked_for(tmp_path):
    with Collection.create(tmp_path / "c", 64, keep=3) as writer:
        for step in range(6):
            writer.add(codes_of(range(step * 1000, step * 1000 + 1000)))
            writer.commit()
        writer.remove([4])
        writer.compact()
        assert writer.generations == [5, 6, 7]
        for generation, n in ((5, 5000), (6, 6000), (7, 5999)):
            old = Collection.open(tmp_path / "c", generation=generation, verify=True)
            assert (len(old), old.generation) == (n, generation)
        with pytest.raises(InputError, match="has no generation 4, it has 5, 6, 7"):
            Collection.open(tmp_path / "c", generation=4)
        with pytest.raises(InputError, match="for reading"):
            Collection.open(tmp_path / "c", "a", generation=5)
        needed = {entry for g in writer.generations for entry in _files(tmp_path / "c", g)}
        assert {name for name in names(tmp_path / "c") if name.endswith("segment")} == needed


def _files(path, generation):
    return set(Collection.open(path, generation=generation)._state.files)


def test_a_block_ends_with_a_commit_and_an_exception_gives_changes_up(tmp_path):
    with Collection.create(tmp_path / "c", 64) as writer:
        writer.add(codes_of([1, 2]), ids=[7, 8])
    with pytest.raises(KeyError), Collection.open(tmp_path / "c", "a") as writer:
        writer.add(codes_of([3]), ids=[9])
        raise KeyError
    with Collection.open(tmp_path / "c", "a") as writer:
        assert 7 in writer and 9 not in writer and writer.generation == 1
        writer.add(codes_of([3]), ids=[9])
        writer.rollback()
        assert not writer.changed and 9 not in writer
        writer.add(codes_of([4]), ids=[9])
    assert Collection.open(tmp_path / "c").reconstruct([9]).tolist() == codes_of([4]).tolist()


def test_a_closed_collection_says_so(tmp_path):
    with Collection.create(tmp_path / "c", 64) as writer:
        writer.add(codes_of([1]))
    for call in (
        lambda: len(writer),
        lambda: writer.search(codes_of([1]), 1),
        lambda: writer.add(codes_of([1])),
        lambda: 1 in writer,
        writer.commit,
        writer.refresh,
        writer.stats,
        writer.copy,
        writer.__enter__,
    ):
        with pytest.raises(InputError, match="is closed"):
            call()
    writer.close()
    assert "closed" in repr(writer)


def test_changes_that_are_dropped_are_warned_of(tmp_path):
    writer = Collection.create(tmp_path / "c", 64)
    writer.add(codes_of([1]))
    with pytest.warns(ResourceWarning, match="dropped with changes"):
        del writer
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writer = Collection.open(tmp_path / "c", "a")  # the lock is free again
        assert len(writer) == 0
        del writer


def test_ids_of_a_closed_up_collection_go_on_where_they_were(tmp_path):
    with Collection.create(tmp_path / "c", 64) as writer:
        writer.add(codes_of(range(1000)))
        writer.remove(np.arange(990))  # more than half: positions close up
    with Collection.open(tmp_path / "c", "a") as writer:
        assert writer.ids.tolist() == list(range(990, 1000))
        writer.remove(np.arange(990, 1000))
        writer.compact()
    with Collection.open(tmp_path / "c", "a") as writer:
        assert len(writer) == 0 and writer.stats()["files"] == 0
        writer.add(codes_of([5]))
        assert writer.ids.tolist() == [1000]
        writer.clear()
        writer.add(codes_of([6]), ids=["six"])
    assert Collection.open(tmp_path / "c", verify=True).ids.tolist() == ["six"]


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_ids_are_known_again_after_opening(tmp_path, kind):
    with Collection.create(tmp_path / "c", 64) as writer:
        writer.add(codes_of(range(2000)), FORMS[kind](range(2000)))
        writer.remove(FORMS[kind]([3]))
    with Collection.open(tmp_path / "c", "a") as writer:
        with pytest.raises(InputError, match="already in the index"):
            writer.add(codes_of([1]), FORMS[kind]([1999]))
        writer.add(codes_of([1]), FORMS[kind]([3]))
        writer.commit()
        with pytest.raises(InputError, match="already in the index"):
            writer.add(codes_of([1]), FORMS[kind]([3]))
        with pytest.raises(ValueError, match="give ids for these codes too"):
            writer.add(codes_of([1]))
    reader = Collection.open(tmp_path / "c", verify=True)
    assert reader.count(FORMS[kind]([3, 4, 2000])).tolist() == [1, 1, 0]
    assert reader.search(codes_of([1]), 2, where=FORMS[kind]([3, 5])).ids.tolist() == [FORMS[kind]([3, 5])]


def test_one_id_may_have_several_codes(tmp_path):
    with Collection.create(tmp_path / "c", 64, multi=True) as writer:
        writer.add(codes_of(range(600)), np.arange(600) // 3)
        writer.commit()
        writer.add(codes_of([7]), [5])
        writer.remove([6])
    reader = Collection.open(tmp_path / "c", verify=True)
    assert reader.multi and reader.count([4, 5, 6]).tolist() == [3, 4, 0]


def test_indexes_go_in_and_out(tmp_path):
    index = hamming.FlatIndex(64, bitorder="big")
    index.add(codes_of(range(700)), FORMS["strings"](range(700)))
    index.save(tmp_path / "version-1.index")
    with Collection.create(tmp_path / "c", 64, bitorder="big") as writer:
        writer.merge(hamming.load(tmp_path / "version-1.index"))
    reader = Collection.open(tmp_path / "c")
    same(index, reader)
    for other in (reader.copy(), copy.deepcopy(reader), pickle.loads(pickle.dumps(reader))):
        same(index, other)
    reader.save(tmp_path / "out.index")
    same(index, hamming.load(tmp_path / "out.index"))
    kopie = reader.copy()
    kopie.add(codes_of([1]), ["more"])
    assert "more" not in reader and type(kopie) is hamming.Index
    with pytest.raises(TypeError, match="from_bytes"):
        Collection.from_bytes(index.to_bytes())
    with pytest.raises(TypeError, match=r"Collection\.open"):
        Collection.load(tmp_path / "c")
    with pytest.raises(TypeError, match=r"Collection\.open"):
        Collection(64)
    with Collection.open(tmp_path / "c", "a") as writer:
        writer.add(codes_of([1]), ["more"])
        with pytest.raises(TypeError, match="commit them first"):
            pickle.dumps(writer)


def test_tables_stay_through_commits_and_refreshes(tmp_path):
    truth = hamming.FlatIndex(64)
    with Collection.create(tmp_path / "c", 64) as writer:
        for index in (writer, truth):
            index.add(codes_of(range(3000)))
        writer.commit()
        reader = Collection.open(tmp_path / "c")
        for handle in (writer, reader):
            handle.kind = "multi"
            handle.optimize()
        for index in (writer, truth):
            index.add(codes_of(range(3000, 4000)))
            index.remove([5, 2999])
        writer.optimize(new_only=True)
        writer.commit()
        reader.refresh()
        for index in (writer, truth):
            index.add(codes_of(range(4000, 4100)))
        writer.commit()
        reader.refresh()
        for handle in (writer, reader):
            assert type(handle._snapshot.segments[0]).__name__ == "Multi"
            same(truth, handle)
        writer.compact()
        reader.refresh()
        for handle in (writer, reader):
            same(truth, handle)
        for index in (writer, truth):
            index.remove([7])
        writer.kind = "multi"
        writer.optimize()  # closes up, so that all is written anew
        writer.commit()
        assert type(writer._snapshot.segments[0]).__name__ == "Multi" and writer.stats()["removed"] == 0
        same(truth, writer)
        reader.refresh()
        same(truth, reader)


def test_verification_of_a_generation_that_was_replaced_says_refresh(tmp_path):
    with Collection.create(tmp_path / "c", 64) as writer:
        writer.add(codes_of(range(10)))
        writer.commit()
        reader = Collection.open(tmp_path / "c")
        writer.add(codes_of([1]))
        writer.commit()
        with pytest.raises(InputError, match="refresh before verifying"):
            reader.verify()
        reader.refresh()
        seen = []
        reader.verify(lambda share, what: seen.append((share, what)))
        assert seen == sorted(seen) and 0.2 < seen[-1][0] <= 1


def test_compaction_reports_its_progress(tmp_path):
    with Collection.create(tmp_path / "c", 64, durability="none") as writer:
        writer.add(codes_of(range(200_000)))
        writer.commit()
        writer.remove([3])
        seen = []
        writer.compact(lambda share, what: seen.append(share))
    assert seen == sorted(seen) and len(seen) > 1 and seen[-1] == 1


@pytest.mark.parametrize("what", ["commit", "compact"])
def test_ctrl_c_after_a_generation_was_made_loses_nothing(tmp_path, monkeypatch, what):
    truth = hamming.FlatIndex(64)
    with Collection.create(tmp_path / "c", 64) as writer:
        commit = writer._writer.commit

        def interrupted(*arguments, **settings):
            commit(*arguments, **settings)
            raise KeyboardInterrupt

        for index in (writer, truth):
            index.add(codes_of(range(900)))
            index.remove([5, 700])
        monkeypatch.setattr(writer._writer, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            getattr(writer, what)()
        monkeypatch.undo()
        for index in (writer, truth):
            index.add(codes_of(range(900, 1000)))
        writer.commit()
        same(truth, writer)
    same(truth, Collection.open(tmp_path / "c", verify=True))


def test_an_older_generation_opens_where_the_newest_is_damaged(tmp_path):
    with Collection.create(tmp_path / "c", 64, keep=2) as writer:
        for begin in (0, 1000):
            writer.add(codes_of(range(begin, begin + 1000)))
            writer.commit()
    (tmp_path / "c" / "000000000002.manifest").write_bytes(b"damage")
    with pytest.raises(hamming.FormatError, match=r"000000000002\.manifest"):
        Collection.open(tmp_path / "c")
    assert len(Collection.open(tmp_path / "c", generation=1, verify=True)) == 1000
    (tmp_path / "c" / "000000000002.manifest").unlink()
    with Collection.open(tmp_path / "c", "a") as writer:
        assert len(writer) == 1000


def test_the_order_of_compacted_integers_is_stored(tmp_path, monkeypatch):
    n = 20_000
    ids = np.random.default_rng(0).permutation(n) * 3
    with Collection.create(tmp_path / "c", 64, durability="none") as writer:
        writer.add(codes_of(range(n)), ids)
        writer.remove(ids[:10])
        writer.compact()
        writer.add(codes_of([1]), [1])
        writer.remove([int(ids[15])])
    with Collection.open(tmp_path / "c", "a", verify=True) as writer:
        assert len(writer._state.files) == 2  # of the first of which whole blocks are used
        sort = np.argsort
        monkeypatch.setattr(np, "argsort", lambda values, **how: sort(values, **how) if len(values) < 999 else 1 / 0)
        assert [int(ids[5]) in writer, int(ids[15]) in writer, int(ids[7000]) in writer, 1 in writer] == [0, 0, 1, 1]
        with pytest.raises(InputError, match="already in the index"):
            writer.add(codes_of([1]), [int(ids[-1])])
        np.testing.assert_array_equal(writer.reconstruct(ids[[20, 9000]]), codes_of([20, 9000]))
