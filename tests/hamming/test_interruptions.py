"""Ctrl-C and failures at any moment of a change leave an index as it was, and it goes on."""

import inspect
import sys
import threading

import numpy as np
import pytest

from udsph import hamming
from udsph.hamming import backend


@pytest.fixture(params=backend.available())
def engine(request):
    backend.use(request.param)
    yield request.param
    backend.use(None)


def codes_of(ids):
    return np.asarray(ids, np.uint64)[:, None].view(np.uint8) ^ np.uint8(90)


def interrupted(action, moment):
    """Run an action with Ctrl-C at the given one of the moments at which Python looks for it; whether it came so far.

    These are the begin of a Python function and the return of any other.
    """
    left = moment

    def look(frame, event, what):
        nonlocal left
        # What a with statement calls is no such moment, and a generator that is closed cannot raise.
        begins = event == "call" and not frame.f_code.co_flags & inspect.CO_GENERATOR
        if begins or (event == "c_return" and what.__name__ not in ("__enter__", "__exit__")):
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        action()
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def goes_through(action):
    """Whether an action ends, rather than wait for a lock for ever."""
    worker = threading.Thread(target=action, daemon=True)
    worker.start()
    worker.join(5)
    return not worker.is_alive()


def check(index, expected):
    assert len(index) == len(expected)
    np.testing.assert_array_equal(index.reconstruct(expected), codes_of(expected))


@pytest.mark.parametrize("change", ["add", "remove"])
def test_a_change_that_is_interrupted_at_any_moment_is_made_or_not(engine, change):
    index = hamming.FlatIndex(64)
    index.add(codes_of([7]), [7])
    present, moment, more = [7], 0, True
    while more:
        new, old = 1000 + moment, present[0]
        if change == "add":
            more = interrupted(lambda new=new: index.add(codes_of([new]), [new]), moment)
            after = [*present, new]
        else:
            more = interrupted(lambda old=old: index.remove([old]), moment)
            after = present[1:]
        present = after if len(index) == len(after) else present
        check(index, present)
        other = 5000 + moment
        assert goes_through(lambda other=other: index.add(codes_of([other]), [other])), f"hangs after moment {moment}"
        present.append(other)
        check(index, present)
        for unknown in {new, old} - set(present):
            with pytest.raises(ValueError, match=f"id {unknown} is not in the index"):
                index.reconstruct([unknown])
        moment += 1
    assert moment > 10
    np.testing.assert_array_equal(np.sort(index.range_search(codes_of([0]), 64).ids), np.sort(present))


def named(ids):
    return [f"é{id}" for id in ids]


@pytest.mark.parametrize("change", ["add", "remove", "merge", "clear", "optimize"])
def test_a_change_of_an_index_with_strings_that_is_interrupted_at_any_moment_is_made_or_not(change):
    moment, more = 0, True
    while more:
        index, other = hamming.Index(64, kind="multi"), hamming.FlatIndex(64)
        index.add(codes_of(range(600)), named(range(600)))
        index.add(codes_of([600]), named([600]))
        other.add(codes_of([800, 5]), named([800, 5]))
        before = list(range(601))
        action, after = {
            "add": (lambda index=index: index.add(codes_of([700]), named([700])), [*before, 700]),
            "remove": (lambda index=index: index.remove(named([7, 600])), [n for n in before if n not in (7, 600)]),
            "merge": (
                lambda index=index, other=other: index.merge(other, duplicates="replace"),
                [*(n for n in before if n != 5), 800, 5],
            ),
            "clear": (index.clear, []),
            "optimize": (lambda index=index: index.optimize(threads=1), before),
        }[change]
        more = interrupted(action, moment)
        present = after if len(index) == len(after) else before
        assert index.ids.tolist() == named(present)
        np.testing.assert_array_equal(index.reconstruct(named(present)), codes_of(present))
        assert goes_through(lambda index=index: index.add(codes_of([900]), named([900])))
        assert named([900])[0] in index
        moment += 1 if moment < 40 else 7
    assert moment > 4


def test_saving_that_is_interrupted_at_any_moment_leaves_one_whole_file(tmp_path):
    path = tmp_path / "a"
    index = hamming.FlatIndex(64)
    index.add(codes_of([1]))
    index.save(path)
    index.add(codes_of([2]))
    moment = 0
    while interrupted(lambda: index.save(path), moment):
        assert [file.name for file in tmp_path.iterdir()] == ["a"], f"moment {moment}"
        assert len(hamming.load(path)) in (1, 2)
        moment += 1
    assert moment > 20
    assert len(hamming.load(path)) == 2
