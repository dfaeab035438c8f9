"""Type checkers have nothing to say about a user's script, and know the types of what it calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = Path(__import__("udsph").__file__).parents[1]

SCRIPT = """
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_type

import udsph
from udsph import evaluation, hamming
from udsph.errors import InputError
from udsph.hamming import jit, numba_functions


def compiled(query: NDArray[np.uint8], codes: NDArray[np.uint8]) -> int:
    distances, rows = np.empty(3, np.int32), np.empty(3, np.int64)
    numba_functions.nearest(query, codes, distances, rows)
    assert_type(jit.distance(query, codes[0]), np.int32)
    return numba_functions.within(query, codes, 3, distances, rows)


def collect(values: NDArray[np.float32], k: int) -> hamming.FlatIndex:
    codes = hamming.pack(values)
    index = hamming.Index(values.shape[1], kind="auto")
    index.add(codes, ids=[f"item {i}" for i in range(len(codes))])
    index.optimize(threads=2)
    distances, ids = index.search(codes[:3], k, where=hamming.Bitmap.from_mask(np.ones(len(codes), np.bool_)))
    offsets, near, found = index.range_search(codes[0], radius=3)
    index.remove(ids[0, :1], unknown="ignore")
    index.save("codes.udsph")
    assert_type(distances, NDArray[np.int32])
    assert_type(offsets, NDArray[np.int64])
    assert_type(near, NDArray[np.int32])
    assert_type(index.reconstruct(found), NDArray[np.uint8])
    assert_type(index.copy(), hamming.Index)
    assert_type(hamming.unpack(codes, 64), NDArray[np.uint8])
    return hamming.load("codes.udsph", mmap=False)


def compare(codes: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    assert_type(hamming.search(codes, codes, 3), hamming.SearchResult)
    assert_type(hamming.search(codes, codes, 3, metric="tanimoto"), hamming.SimilarityResult)
    assert_type(hamming.distances(codes, codes), NDArray[np.int32])
    assert_type(hamming.groups(codes, 3), NDArray[np.int64])
    for left, right, distances in hamming.pairs(codes, 3):
        assert_type(left, NDArray[np.int64])
        print(right, distances)
    sets = hamming.SimilarityIndex(64)
    sets.add(codes)
    assert_type(sets.search(codes, 3).similarities, NDArray[np.float32])
    assert_type(hamming.from_faiss("codes.faiss", multi=True), hamming.Index)
    assert_type(udsph.get_include(), str)
    try:
        return evaluation.mean_average_precision(codes, codes, labels, labels)
    except InputError as error:
        raise SystemExit(str(error)) from error
"""

WRONG = """
from udsph import hamming

index = hamming.Index("64", kind="tables")
index.search([1], k="5")
hamming.search([1], [2], 3, metric="cosine")
"""


# Packages whose types the script does not meet, and that take mypy most of its time.
SETTINGS = """
[mypy]
strict = True
follow_imports = silent
[mypy-torch.*,torchvision.*,lightning_fabric.*,transformers.*,matplotlib.*,PIL.*,pandas.*,numba.*,scipy.*,safetensors.*]
follow_imports = skip
follow_imports_for_stubs = True
"""


def mypy(folder: Path, script: str) -> str:
    """What mypy says; what it knows of NumPy is kept, without which it takes some seconds."""
    pytest.importorskip("mypy")
    (folder / "script.py").write_text(script)
    (folder / "mypy.ini").write_text(SETTINGS)
    command = ["-m", "mypy", "--config-file=mypy.ini", "script.py"]
    command.append(f"--cache-dir={ROOT / '.mypy_cache' / 'script'}")
    environment = {**os.environ, "MYPYPATH": str(PACKAGES)}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    return done.stdout + done.stderr


def test_mypy_is_clean_on_a_users_script(tmp_path: Path) -> None:
    assert mypy(tmp_path, SCRIPT).startswith("Success")


def test_mypy_finds_what_is_wrong_in_a_users_script(tmp_path: Path) -> None:
    said = mypy(tmp_path, WRONG)
    assert [line for line in (4, 5, 6) if f"script.py:{line}: error" in said] == [4, 5, 6], said


def test_pyright_is_clean_on_a_users_script(tmp_path: Path) -> None:
    pytest.importorskip(
        "basedpyright", reason="basedpyright, which has pyright and a Node.js in a wheel, is not installed"
    )
    (tmp_path / "script.py").write_text(SCRIPT)
    settings = {"include": ["script.py"], "typeCheckingMode": "strict", "extraPaths": [str(PACKAGES)]}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
