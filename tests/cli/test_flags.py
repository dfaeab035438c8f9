"""The library names arguments; the command line turns them into what was typed."""

from __future__ import annotations

import pytest

from udsph.cli.flags import in_flags
from udsph.cli.parser import COMMANDS

from .command import udsph


@pytest.mark.parametrize(
    ("command", "message", "typed"),
    [
        ("extract", "batch_size=0: expected at least 1", "--batch-size 0: expected at least 1"),
        ("encode", "no utf-8; encoding='gb18030' names another", "no utf-8; --encoding 'gb18030' names another"),
        ("encode", "on_error=skip leaves such items out", "--on-error skip leaves such items out"),
        ("encode", "the file a/encoding=x.npy and encoding = x", "the file a/encoding=x.npy and encoding = x"),
        ("train", "give bits=, or bits=16", "give --bits, or --bits 16"),
        ("train", "device=cuda: none; device=cpu works", "--device cuda: none; --device cpu works"),
        ("train", "groups=0: expected 1 to 1024", "--set groups=0: expected 1 to 1024"),
        ("train", "the setting pairs=1 must be at least 10", "the setting --set pairs=1 must be at least 10"),
        ("train", "say --set pairs=10 or --root PATH", "say --set pairs=10 or --root PATH"),
        ("train", "colour=red is nothing", "colour=red is nothing"),
        ("search", "pairs=1 is no option of this command", "pairs=1 is no option of this command"),
    ],
)  # fmt: skip
def test_arguments_become_flags(command: str, message: str, typed: str) -> None:
    known = COMMANDS[command]
    given = {parameter.name: None for parameter in known.parameters} | {"data": "scenes"}
    assert in_flags(message, known, given) == typed


def test_an_error_of_the_library_is_said_in_flags() -> None:
    done = udsph("train", "--data", "scenes", "--bits", "0", "--output", "unused")
    assert done.stderr == "udsph: --bits 0: expected 1 to 8,192\n"
    done = udsph("train", "--data", "scenes", "--set", "pairs=1", "--output", "unused")
    assert "--set pairs=" in done.stderr


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("train", ["--set", "epochs=abc"], "--set epochs=abc: expected a whole number"),
        ("train", ["--set", "epochs=-5"], "--set epochs=-5: expected 0 to"),
        ("train", ["--set", "epochs=9", "--epochs", "-5"], "--epochs -5: expected 0 to"),
        ("train", ["--set", "data.pairs=abc"], "the setting --set data.pairs='abc' must be a whole number"),
        ("extract", ["--set", "seed=abc"], "the setting --set seed='abc' must be a whole number"),
        ("extract", ["--set", "on_error=stop", "--batch-size", "0"], "scenes: unknown setting 'on_error'"),
    ],
)
def test_what_was_given_by_set_is_said_so(command: str, arguments: list[str], said: str) -> None:
    done = udsph(command, "--data", "scenes", "--output", "unused", *arguments)
    assert done.exit_code == 2 and said in done.stderr


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("widht=5", "'widht': neither the training nor the dataset scenes has it; did you mean width (training)"),
        ("pair=5", "did you mean parts (training) or data.pairs (scenes)?"),
        ("nosie=1", "did you mean data.noise (scenes)?"),
        ("qqqq=1", "known of the dataset: pairs, seed, query"),
        ("qqqq=1", "; of the training: bits, epochs, seed"),
    ],
)
def test_an_unknown_setting_of_a_training_names_the_near_ones_of_both(setting: str, said: str) -> None:
    done = udsph("train", "--data", "scenes", "--set", setting, "--output", "unused")
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1
