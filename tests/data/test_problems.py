"""Bad items are named and counted, or end the loading."""

import pytest

from udsph.data.problems import Problems
from udsph.errors import InputError


def test_skipped_items_are_counted_by_reason_and_warned_about():
    problems = Problems("mine", "skip")
    for name in "abcde":
        problems.leave_out("the image does not exist", name)
    problems.leave_out("the text is empty", "f")
    problems.remark("7 texts are long")
    with pytest.warns(UserWarning, match=r"mine: left out 5: the image does not exist \(a, b, c, \.\.\.\)"):
        notes = problems.tell()
    assert notes == (
        "left out 5: the image does not exist (a, b, c, ...)",
        "left out 1: the text is empty (f)",
        "7 texts are long",
    )


def test_the_first_bad_item_stops():
    problems = Problems("mine", "stop")
    with pytest.raises(InputError, match="mine: the text is empty: f; on_error=skip leaves such items out"):
        problems.leave_out("the text is empty", "f")


def test_nothing_to_say():
    assert Problems("mine", "skip").tell() == ()
