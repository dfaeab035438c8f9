"""The documentation site: what its hooks make of links, docstrings and public names. `make docs` builds it."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"site_{name}", ROOT / "docs" / "site" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    return loaded("pages")


def rewritten(pages: ModuleType, uri: str, text: str) -> str:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=uri))
    return pages.on_page_markdown(text, page, {}, [])


def test_links_between_files_become_links_between_pages(pages: ModuleType) -> None:
    assert (
        rewritten(pages, "data.md", "[a](../bench/README.md#data) [b](model.md)")
        == "[a](benchmarks.md#data) [b](model.md)"
    )
    assert rewritten(pages, "contributing.md", "[a](docs/data.md#x)") == "[a](data.md#x)"
    assert rewritten(pages, "benchmarks.md", "![p](results/hamming-width.png)") == "![p](results/hamming-width.png)"
    assert rewritten(pages, "tutorials/index.md", "[a](../data.md)") == "[a](../data.md)"


def test_links_elsewhere_and_code_stay_as_they_are(pages: ModuleType) -> None:
    for text in ("[a](https://example.org/x.md)", "[a](#here)", "```\n[a](gone.md)\n```"):
        assert rewritten(pages, "data.md", text) == text


def test_a_link_to_a_file_that_is_no_page_is_its_text(pages: ModuleType) -> None:
    assert rewritten(pages, "model.md", "see [the citation](../CITATION.cff).") == "see the citation."


def test_a_link_to_nothing_is_reported(pages: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        rewritten(pages, "data.md", "[a](../gone.md)")
    assert "docs/data.md links to ../gone.md, which is not there" in caplog.text


def test_public_names_without_a_docstring_are_found(pages: ModuleType, tmp_path: Path) -> None:
    griffe = pytest.importorskip("griffe")
    (tmp_path / "udsph").mkdir()
    (tmp_path / "udsph" / "__init__.py").write_text("")
    (tmp_path / "udsph" / "room.py").write_text(
        'class Base:\n    """A."""\n    def told(self):\n        """B."""\n'
        'class Said(Base):\n    """C."""\n    def told(self): ...\n    def bare(self): ...\n    def _own(self): ...\n'
        "def silent(): ...\n"
    )
    package = griffe.load("udsph", search_paths=[tmp_path], try_relative_path=False)
    assert pages.undocumented(package, "udsph.room.Base") == []
    assert pages.undocumented(package, "udsph.room.Said") == ["udsph.room.Said.bare"]
    assert pages.undocumented(package, "udsph.room.silent") == ["udsph.room.silent"]


def test_the_command_page_has_every_command(pages: ModuleType) -> None:
    from udsph.cli.parser import COMMANDS

    text = pages.command_page()
    assert all(f"\n## udsph {name}\n" in text for name in COMMANDS) and "`--database`" in text


def test_docstrings_lose_what_only_restructuredtext_has() -> None:
    to_markdown = loaded("docstrings").to_markdown
    assert to_markdown("A :class:`~udsph.hamming.FlatIndex` of::\n\n    code") == "A `FlatIndex` of:\n\n    code"
    table = "Kinds:\n\n=====  ======\nimage  pixels\ntext   words,\n       many\n=====  ======\n\nEnd."
    lines = to_markdown(table).splitlines()
    assert "| image | pixels |" in lines and "| text | words, many |" in lines and lines[-1] == "End."
