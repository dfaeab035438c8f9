"""The recipe of CONTRIBUTING.md for a dataset layout, followed word for word: here, in a package, in a script."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from udsph import data
from udsph.data import layouts, registry
from udsph.errors import InputError

ROOT = Path(__file__).parents[2]
TEXT = (
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## A dataset layout\n")[2].partition("\n## ")[0]
)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
(FILE,) = re.findall(r"`udsph/data/layouts/(\w+\.py)` is", TEXT)
NAME = FILE.removesuffix(".py")


def test_the_recipe_has_a_file_an_entry_point_and_a_registration():
    assert [language for language, _ in BLOCKS] == ["python", "toml", "python"]


@pytest.fixture
def postcards(tmp_path):
    """Ten postcards in the form that the recipe names, one of which is lost."""
    folder = tmp_path / "postcards"
    folder.mkdir()
    lines = ["file,text,country"]
    for k in range(11):
        lines.append(f"{k}.png,greetings from the sea number {k},{'Norway' if k % 2 else 'Italy'}")
        if k < 10:
            Image.new("RGB", (20, 20), (25 * k, 0, 0)).save(folder / f"{k}.png")
    (folder / "postcards.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture(autouse=True)
def forget(monkeypatch):
    """What a test makes known is known no longer afterwards."""
    monkeypatch.setattr(registry, "_registered", {})
    yield
    monkeypatch.undo()
    sys.modules.pop(f"{layouts.__name__}.{NAME}", None)
    registry.forget()


def check(found):
    assert found.classes == ("Italy", "Norway") and len(found) == 10
    np.testing.assert_array_equal(found.labels.argmax(1), np.arange(10) % 2)
    assert {split: len(index) for split, index in found.splits.items()} == {"query": 2, "train": 8, "database": 8}
    assert found.notes[0] == "left out 1: the image does not exist (10.png)"
    assert found.settings["size"] == 16 and found.settings["seed"] == 3 and "workers" not in found.settings


def test_one_file_in_the_package_is_a_layout(postcards, tmp_path, monkeypatch):
    (tmp_path / FILE).write_text(BLOCKS[0][1])
    monkeypatch.setattr(layouts, "__path__", [*layouts.__path__, str(tmp_path)])
    registry.forget()
    assert NAME in data.names()
    check(data.load(NAME, postcards, size=16, seed="3"))
    with pytest.raises(InputError, match=f"{NAME}: unknown setting 'sead'; known settings: seed"):
        data.load(NAME, postcards, sead=3)


def test_a_script_registers_it(postcards):
    names = {"__name__": "script"}
    exec(BLOCKS[0][1] + BLOCKS[2][1], names)
    check(data.load(NAME, postcards, size=16, seed=3))
    exec(BLOCKS[2][1], names)  # a notebook's cell runs again
    assert data.names().count(NAME) == 1


def test_registrations_that_cannot_be(postcards):
    layout = data.layout_of("folder")
    with pytest.raises(InputError, match="name='folder': there is a layout of that name"):
        data.register("folder", layout)
    with pytest.raises(TypeError, match=r"layout 'mine' is function; expected udsph\.data\.Layout"):
        data.register("mine", layout.load)
    for name in ("", "a b", "../x"):
        with pytest.raises(InputError, match="a name has letters, digits"):
            data.register(name, layout)
    assert "mine" not in data.names()
    with pytest.raises(TypeError, match=r"the setting 'size' is int; expected udsph\.data\.Setting"):
        data.Layout(layout.load, {"size": 3})
    with pytest.raises(TypeError, match="load is Layout; expected a function"):
        data.Layout(layout, {})
    data.register("mine", data.Layout(lambda root: None, {}))
    with pytest.raises(TypeError, match=r"load gave NoneType; expected udsph\.data\.Dataset"):
        data.load("mine", postcards)


def test_two_packages_of_one_name_are_both_named(postcards, other_package):
    second = other_package / "other_package-2.0.dist-info"
    second.mkdir()
    (second / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 2.0\n")
    (second / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{NAME} = my_package.postcards:LAYOUT\n")
    registry.forget()
    with pytest.raises(InputError, match=f"the packages my-package and other-package both declare the layout '{NAME}'"):
        data.load(NAME, postcards)


@pytest.fixture
def other_package(tmp_path, monkeypatch):
    """An installed package with the recipe's entry point and three broken ones."""
    site = tmp_path / "site"
    (site / "my_package").mkdir(parents=True)
    (site / "my_package" / "__init__.py").touch()
    (site / "my_package" / FILE).write_text(BLOCKS[0][1])
    (site / "my_package" / "broken.py").write_text("raise RuntimeError('no luck\\nat all')\n")
    information = site / "my_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    heading, entry = BLOCKS[1][1].splitlines()
    assert heading == f'[project.entry-points."{registry.GROUP}"]'
    broken = (
        "broken = my_package.broken:LAYOUT\nabsent = my_package.absent:LAYOUT\nnumber = my_package.postcards:load\n"
    )
    doubled = "folder = my_package.postcards:LAYOUT\n"
    (information / "entry_points.txt").write_text(
        f"[{registry.GROUP}]\n" + entry.replace('"', "") + "\n" + broken + doubled
    )
    monkeypatch.syspath_prepend(str(site))
    registry.forget()
    yield site
    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]


def test_another_package_declares_it_and_a_broken_one_is_named_and_hides_no_other(postcards, other_package):
    check(data.load(NAME, postcards, size=16, seed=3))
    assert len(data.load("scenes", pairs=10, workers=1)) == 10
    for name, reason in {
        "broken": "cannot be loaded: no luck$",
        "absent": r"cannot be loaded: No module named 'my_package\.absent'",
        "number": r"is function \(my_package\.postcards:load\); its entry point must name a udsph\.data\.Layout",
    }.items():
        assert name in data.names()
        with pytest.raises(InputError, match=f"the layout '{name}' of the package 'my-package' {reason}"):
            data.load(name, postcards)
    assert data.names().count("folder") == 1  # the package's own goes first
    assert data.layout_of("folder").settings.keys() >= {"table"}


def test_the_command_line_finds_it(postcards, other_package):
    path = os.pathsep.join([str(other_package), str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "udsph", "data", "check", NAME, "--root", str(postcards)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert "postcards: 10 pairs (train 8, database 8, query 2)" in done.stdout


@pytest.mark.parametrize("name", registry.built_in())
def test_every_layout_has_a_section_in_the_documents(name):
    assert f"\n## {name}\n" in (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
