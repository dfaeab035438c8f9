"""Compiled functions are kept on disk where a place can be written, and work where none can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

ROOT = Path(__file__).parent.parent
CALL = """
import room.first
print(room.first.total(3), sum(room.first.total.stats.cache_hits.values()))
"""


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """A folder of two files of compiled functions, of which one calls the other."""
    folder = tmp_path / "room"
    folder.mkdir()
    head = "from udsph.compiled import compiled\n"
    (folder / "__init__.py").touch()
    (folder / "first.py").write_text(
        f"{head}from room.second import part\n@compiled()\ndef total(n):\n    return part(n)\n"
    )
    (folder / "second.py").write_text(f"{head}@compiled()\ndef part(n):\n    return n + 1\n")
    return folder


def total(room: Path, code: str = CALL, **environment: str) -> str:
    """What ``total(3)`` returns in a process of its own, and how often it came from the disk."""
    given = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    paths = os.pathsep.join([str(room.parent), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=room.parent,
        env=given | {"PYTHONPATH": paths, "HOME": "/dev/null/home"} | environment,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.strip()


def close(folder: Path) -> None:
    """Make a folder's cache impossible for every user, root included."""
    (folder / "__pycache__").touch()


def test_machine_code_is_kept_beside_the_source(room):
    assert total(room) == "4 0"
    assert total(room) == "4 1"
    assert list(room.glob("__pycache__/first.total*.nbc"))


def test_where_no_folder_can_be_written_functions_are_compiled_in_every_process(room):
    close(room)
    assert total(room) == "4 0"


def test_numbas_own_variable_names_the_place(room, tmp_path):
    close(room)
    place = tmp_path / "kept"
    assert total(room, NUMBA_CACHE_DIR=str(place)) == "4 0"
    assert total(room, NUMBA_CACHE_DIR=str(place)) == "4 1"
    assert list(place.rglob("first.total*.nbc"))


def test_a_place_that_closes_after_the_import_does_not_end_the_call(room, tmp_path):
    close(room)
    place = tmp_path / "kept"
    code = CALL.replace(
        "print(", f"import shutil; shutil.rmtree({str(place)!r}); open({str(place)!r}, 'w').close()\nprint("
    )
    assert total(room, code, NUMBA_CACHE_DIR=str(place)) == "4 0"
    assert place.is_file()


def test_a_disk_that_is_full_does_not_end_the_call(room):
    """The largest file that this process may write is smaller than the machine code."""
    limit = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    pytest.importorskip("resource")
    assert total(room, limit + CALL) == "4 0"
    assert total(room) == "4 0"


def test_damaged_machine_code_is_compiled_again(room):
    total(room)
    for path in room.glob("__pycache__/*.nb?"):
        path.write_bytes(path.read_bytes()[:20])
    assert total(room) == "4 0"


def test_a_change_in_a_file_that_is_called_is_seen(room):
    """Numba looks at the file of the function alone, and the machine code holds what it calls."""
    assert total(room) == "4 0"
    second = room / "second.py"
    second.write_text(second.read_text().replace("n + 1", "n + 2"))
    assert total(room) == "5 0"
    assert total(room) == "5 1"


def test_a_home_without_a_name_leaves_no_folder_of_that_name(room):
    close(room)
    code = (
        "import pwd\ndef nobody(uid): raise KeyError(uid)\npwd.getpwuid = nobody\nimport os\nos.environ.pop('HOME')\n"
    )
    pytest.importorskip("pwd")
    assert total(room, code + CALL) == "4 0"
    assert not (room.parent / "~").exists()
