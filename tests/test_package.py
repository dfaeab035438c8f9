"""What importing costs, what the command line says without the optional packages, and what the files promise."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import udsph

HEAVY = {"torch", "numba", "scipy", "sklearn", "matplotlib", "typer", "rich", "lightning_fabric", "pandas"}
ROOT = Path(__file__).parent.parent


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
    )


# Makes the named packages look as if they were not installed, to import and to importlib.util.find_spec.
HIDE = """
import sys
sys.modules.update(dict.fromkeys({names!r}))
"""
COMMAND = """
import sys
from udsph.__main__ import main
sys.exit(main({}))
"""


@pytest.mark.parametrize("statement", ["import udsph", "import udsph.hamming"])
def test_import_loads_no_optional_package(statement: str) -> None:
    done = python(f"{statement}\nimport sys\nprint(sorted({HEAVY!r} & set(sys.modules)))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_search_works_with_numpy_alone() -> None:
    code = HIDE.format(names=HEAVY) + (
        "import numpy as np, udsph.hamming as h\n"
        "codes = h.pack(np.eye(8))\n"
        "print(h.search(codes, codes, 1).ids.ravel().tolist())\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(list(range(8)))


def test_info_works_with_numpy_alone() -> None:
    done = python(HIDE.format(names=HEAVY) + COMMAND.format(["info"]))
    assert done.returncode == 0, done.stderr
    assert udsph.__version__ in done.stdout
    assert "hamming" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["data", "list"], ["completion", "bash"]])
def test_help_works_with_numpy_alone(arguments: list[str]) -> None:
    done = python(HIDE.format(names=HEAVY) + COMMAND.format(arguments))
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "search" in done.stdout or "scenes" in done.stdout


def test_the_command_searches_and_evaluates_with_numpy_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", np.arange(8, dtype=np.uint8)[:, None])
    np.save(tmp_path / "l.npy", np.arange(8) % 2)
    codes, labels = str(tmp_path / "c.npy"), str(tmp_path / "l.npy")
    search = ["search", "--database", codes, "--queries", codes, "-k", "1"]
    evaluate = ["evaluate", "--query-codes", codes, "--database-codes", codes]
    evaluate += ["--query-labels", labels, "--database-labels", labels, "--cutoffs", "3"]
    for arguments, said in ((search, "4 (0)"), (evaluate, "map@3")):
        done = python(HIDE.format(names=HEAVY) + COMMAND.format(arguments))
        assert done.returncode == 0 and not done.stderr, done.stderr
        assert said in done.stdout


def test_other_commands_name_the_extra_they_need() -> None:
    done = python(HIDE.format(names=HEAVY) + COMMAND.format(["train", "--data", "scenes", "--output", "none"]))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "needs the extra 'train': run pip install '.[train]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_model_names_the_extra_it_needs() -> None:
    done = python(HIDE.format(names=HEAVY) + "from udsph import UDSPH")
    assert done.returncode == 1
    assert "pip install '.[train]' in the checkout" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("room", ["models", "encoding", "training", "baselines"])
def test_rooms_name_the_extra_they_need(room: str) -> None:
    done = python(HIDE.format(names=HEAVY) + f"import udsph.{room}")
    assert done.returncode == 1
    extra = "baselines" if room == "baselines" else "train"
    assert f"MissingExtra: udsph.{room} needs the extra '{extra}'" in done.stderr.splitlines()[-1], done.stderr


def test_info_refuses_arguments() -> None:
    done = python(COMMAND.format(["info", "extra"]))
    assert done.returncode == 2
    assert "unrecognized arguments: extra" in done.stderr


def test_dir_shows_what_the_package_offers_and_nothing_else() -> None:
    shown = {name for name in dir(udsph) if not name.startswith("__")}
    assert shown == set(udsph.__all__) - {"__version__"}
    rooms = {path.parent.name for path in Path(udsph.__file__).parent.glob("*/__init__.py")} - {"cli"}
    assert shown == rooms | {"UDSPH", "Hasher", "get_include"}


def test_unknown_attribute_of_the_package() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        udsph.nothing  # noqa: B018
