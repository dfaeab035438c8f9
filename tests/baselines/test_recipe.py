"""The recipe of docs/baselines.md, taken from the page and followed word for word; and methods that are broken."""

import json
import os
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import pytest

from udsph.baselines import LinearMethod, broken, create, deep, methods, names, register, registry, shallow
from udsph.baselines.comparison import Comparison, Job, Work, run_job
from udsph.baselines.scoring import Views
from udsph.errors import InputError

from .test_comparison import small_set
from .views import both_directions, planted

ROOT = Path(__file__).parents[2]
RECIPE = (ROOT / "docs" / "baselines.md").read_text("utf-8").partition("## Adding a method")[2]


def block(containing: str) -> str:
    """The code block of the recipe that has this in it."""
    (found,) = [code for code in re.findall(r"^ *```\w+\n(.*?)^ *```$", RECIPE, re.M | re.S) if containing in code]
    return textwrap.dedent(found)


SHALLOW, DEEP = block('METHODS = {"class-codes"'), block('METHODS = {"pair-codes"')


@pytest.fixture(autouse=True)
def as_before():
    yield
    registry._registered.clear()
    registry.forget()
    for name in ("class_codes", "shallow.class_codes", "deep.pair_codes", "shallow.broken"):
        sys.modules.pop(name if name == "class_codes" else f"udsph.baselines.{name}", None)


def put(room, file, content, folder, monkeypatch):
    """A file that seems to lie in a room of the package."""
    (folder / file).write_text(content)
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(folder)])
    registry.forget()


def test_one_file_makes_a_method(tmp_path, monkeypatch):
    put(shallow, "class_codes.py", SHALLOW, tmp_path, monkeypatch)
    images, texts, labels = planted()
    assert min(both_directions(create("class-codes", 16, 0), images, texts, labels, 80)) > 0.9
    row = run_job(Job("class-codes", 8, 0), Views(small_set(), fixed_features=True))
    assert row["kind"] == "supervised" and row["text_to_image"]["map"] > 0.9


def test_one_file_makes_a_deep_method(tmp_path, monkeypatch):
    put(deep, "pair_codes.py", DEEP, tmp_path, monkeypatch)
    images, texts, labels = planted(n=300)
    assert min(both_directions(create("pair-codes", 16, 0, epochs=8), images, texts, labels, 80)) > 0.8
    row = run_job(Job("pair-codes", 8, 0), Views(small_set(), fixed_features=False), epochs=2)
    assert row["kind"] == "deep" and row["epochs"] == 2 and 0 < row["image_to_text"]["map"] <= 1


@pytest.fixture
def my_methods(tmp_path, monkeypatch):
    """The folder where the recipe's package is installed, as pip would install it."""
    (tmp_path / "class_codes.py").write_text(SHALLOW)
    (tmp_path / "pyproject.toml").write_text(block("[project.entry-points"))
    build = f"from setuptools import build_meta; build_meta.prepare_metadata_for_build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_command_line_and_its_workers_find_an_installed_package(my_methods):
    command = [sys.executable, "-m", "udsph", "compare", "--data", "scenes", "--set", "pairs=60", "--bits", "8"]
    command += ["--methods", "class-codes", "--seeds", "1", "--processes", "1", "--output", str(my_methods / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(my_methods), os.environ.get("PYTHONPATH", "")])}
    found = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert found.returncode == 0, found.stderr
    (row,) = json.loads((my_methods / "out" / "results.json").read_text())
    assert row["method"] == "class-codes" and "error" not in row


def test_an_entry_point_that_is_broken_hides_no_other(my_methods):
    (points,) = my_methods.glob("*.dist-info/entry_points.txt")
    points.write_text(
        points.read_text() + "gone = nowhere:Gone\nno-class = class_codes:METHODS\ncvh = class_codes:ClassCodes\n"
    )
    registry.forget()
    with pytest.warns(UserWarning) as told:
        assert "class-codes" in names() and methods()["cvh"].__module__ == "udsph.baselines.shallow.cvh"
    assert sorted(str(one.message) for one in told) == [
        "the method 'cvh' of the package 'my-methods' is left out: udsph has a method of that name",
        "the method 'gone' of the package 'my-methods' is left out: ModuleNotFoundError: No module named 'nowhere'",
        "the method 'no-class' of the package 'my-methods' is left out: 'no-class': expected a subclass of "
        "udsph.baselines.Method, got {'class-codes': <class 'class_codes.ClassCodes'>}",
    ]


def test_a_program_registers_a_method(tmp_path, monkeypatch):
    (tmp_path / "class_codes.py").write_text(SHALLOW)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    program = {}
    exec(block("register("), program)
    assert [row["method"] for row in program["rows"]] == ["class-codes", "random"]
    assert all("error" not in row for row in program["rows"])
    register("class-codes", program["ClassCodes"])  # a cell that runs again


def test_what_is_registered_travels_to_the_processes_of_a_comparison():
    import pickle

    from udsph.baselines.shallow.cvh import CVH

    register("mine", CVH)
    sent = pickle.dumps(Work(Comparison("scenes", None, {}, ("mine",), (8,), 1)))
    registry._registered.clear()  # as in a new process
    assert "mine" not in names()
    assert pickle.loads(sent).comparison.names == ("mine",) and methods()["mine"] is CVH


class Strange(LinearMethod):
    kind = "strange"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("name", "method", "error", "message"),
    [
        ("cvh", methods()["cvh"], InputError, "there is a method of that name"),
        ("a/b", methods()["cvh"], InputError, "'a/b': a name has letters"),
        ("all", methods()["cvh"], InputError, "'all': a name has letters"),
        ("mine", Strange, InputError, "Strange.kind is 'strange'; expected one of floor, unsupervised, supervised"),
        ("mine", dict, TypeError, "'mine': expected a subclass of udsph.baselines.Method, got <class 'dict'>"),
        (3, methods()["cvh"], TypeError, "3: a name has letters"),
    ],
)
def test_what_cannot_be_registered(name, method, error, message):
    with pytest.raises(error, match=message):
        register(name, method)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("METHODS = {", r"SyntaxError: '\{' was never closed \(broken.py, line 1\)"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
        ("raise SystemExit", "SystemExit"),
        ("", "AttributeError: module .* has no attribute 'METHODS'"),
        ("METHODS = {'a b': int}", "'a b': a name has letters"),
        ("from udsph.baselines.shallow.cvh import METHODS", "'cvh': there is another method of that name"),
    ],
)
def test_a_broken_file_is_named_in_one_line_and_hides_no_other(tmp_path, monkeypatch, content, reason):
    before = names()
    put(shallow, "broken.py", content, tmp_path, monkeypatch)
    with pytest.warns(UserWarning) as told:
        assert set(names()) == set(before)
    assert len(told) == 1
    assert re.search(rf"^udsph/baselines/shallow/broken.py is left out: {reason}", str(told[0].message))
    with pytest.raises(
        InputError, match=rf"unknown method 'b'.*left out: udsph/baselines/shallow/broken.py \({reason}"
    ):
        create("b")


def test_the_documents_name_and_count_every_method():
    page, _, _ = (ROOT / "docs" / "baselines.md").read_text("utf-8").partition("## What is the same for all")
    listed = {name for line in page.splitlines() if line.startswith("| `") for name in re.findall(r"`([a-z-]+)`", line)}
    assert set(names()) <= listed
    words = {19: "eighteen", 20: "nineteen", 21: "twenty", 22: "twenty-one", 23: "twenty-two"}
    assert f"the model and {words[len(names())]} other methods" in (ROOT / "README.md").read_text("utf-8")


def test_no_file_of_the_package_is_left_out():
    registry.forget()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(names()) >= 18
    assert broken() == {}
