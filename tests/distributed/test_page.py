"""The page on clusters works as printed: its Python from top to bottom, and its first commands."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.command import udsph
from udsph.hamming import Collection

PAGE = Path(__file__).parents[2] / "docs" / "distributed.md"

pytestmark = pytest.mark.cluster


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_the_python_of_the_page_prints_what_it_says(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "".join(blocks("python"))
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, PAGE.name, "exec"), {"__name__": "__main__"})
    said = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.M)
    assert len(said) == 3 and printed.getvalue().splitlines() == said


def test_the_commands_of_the_page_answer_as_one_machine(cluster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codes = np.random.default_rng(0).integers(0, 256, (3000, 8), dtype=np.uint8)
    labels = np.random.default_rng(1).integers(0, 9, 3000)
    for name, array in (("codes", codes), ("queries", codes[:3]), ("q", codes[:30]), ("db", codes)):
        np.save(f"{name}.npy", array)
    np.save("ql.npy", labels[:30])
    np.save("dl.npy", labels)
    lines = [line.split()[1:] for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("udsph cl")]
    build, search, evaluate, _ = lines
    assert udsph(*build).stdout == "3,000 codes of 64 bits in 2 files: codes\n"
    found = udsph(*search, "--output", "found.npz", "--rows", 1)
    assert "Nearest of 3,000 codes in 3 shards" in found.stdout and found.stderr == ""
    truth = Collection.open("codes").search(codes[:3], 10)
    for name, array in zip(("distances", "ids"), truth, strict=True):
        np.testing.assert_array_equal(np.load("found.npz")[name], array)
    assert udsph(*evaluate, "--metrics", "map").stdout == udsph(*evaluate[1:-2], "--metrics", "map").stdout
    wrong = udsph("cluster", "search", "--source", "nowhere", "--queries", "queries.npy", "--address", "local")
    assert (wrong.exit_code, wrong.stderr.count("\n")) == (2, 1) and "nowhere" in wrong.stderr
