"""The examples of the documents: Python that runs, and command lines that the parser takes."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from udsph._version import __version__
from udsph.cli import commands  # noqa: F401  registers them
from udsph.cli.parser import UsageError, build_parser, routed

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN_WHOLE = [
    "operations.md",
    "collections.md",
    "coming-from.md",
    "from-faiss.md",
    "scikit-learn.md",
    *(path.name for path in DOCUMENTS if path.name.startswith("use-")),
    *(f"tutorials/{path.name}" for path in DOCUMENTS if path.parent.name == "tutorials" and path.name != "index.md"),
]
# What takes long, made small; each must stand in the README.
SMALLER = {"1_000_000": "20_000", "pairs=2000": "pairs=120", "epochs=5": "epochs=1, label_steps=5", "100_000": "10_000"}


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", document.read_text(encoding="utf-8"), re.M | re.S)


def command_lines(document: Path) -> list[str]:
    """Lines of code blocks and spans between backticks that begin with ``udsph`` and are whole."""
    text = document.read_text(encoding="utf-8")
    fenced = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.M | re.S)).replace("\\\n", " ")
    spans = re.findall(r"`(udsph [^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
    lines = [line.split("#")[0].strip() for line in [*fenced.splitlines(), *spans]]
    return [line for line in lines if line.startswith("udsph ") and "..." not in line and "-" in line]


@pytest.mark.parametrize("place", range(len(blocks(ROOT / "README.md", "python"))))
def test_the_python_of_the_readme_runs(place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks(ROOT / "README.md", "python")[place]
    for long, short in SMALLER.items():
        code = code.replace(long, short)
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, f"README.md, example {place + 1}", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("document", RUN_WHOLE)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And prints what the comments behind its print() say."""
    monkeypatch.chdir(tmp_path)
    code = "".join(blocks(ROOT / "docs" / document, "python"))
    for package in ("rdkit", "faiss", "sklearn"):
        if f"import {package}" in code or f"from {package}" in code:
            pytest.importorskip(package)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, document, "exec"), {"__name__": "__main__"})
    said = re.findall(r"^ *print\(.*\)  # (.*)$", code, re.M)
    assert said and printed.getvalue().splitlines() == said


def test_every_page_has_a_place_in_the_navigation_of_the_site() -> None:
    """`make docs` says so too; this says it sooner."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    named = set(re.findall(r"(\S+\.md)$", navigation, re.M))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert not pages - named, f"give it a line under 'nav' in mkdocs.yml: {sorted(pages - named)}"


def test_what_the_examples_shorten_is_in_the_readme() -> None:
    code = "".join(blocks(ROOT / "README.md", "python"))
    assert all(long in code for long in SMALLER)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_every_target_of_make_that_is_named_can_be_made() -> None:
    named = set()
    for document in (*DOCUMENTS, ROOT / ".ci" / "run"):
        named |= set(re.findall(r"(?:^|`|; |  )make ([a-z-]+)", document.read_text(encoding="utf-8"), re.M))
    assert named >= {"demo", "test", "lint", "sanitize", "bench-check"}
    done = subprocess.run(["make", "-n", *sorted(named)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_the_command_lines_of_the_documents_are_taken(document: Path) -> None:
    parser, wrong = build_parser(__version__), []
    for line in command_lines(document):
        words = [re.sub(r"^(N|BITS|K)$", "8", word) for word in shlex.split(line)[1:]]
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
                parser.parse_args(routed(words))
        except UsageError as error:
            if "arguments are required" in str(error):  # a line that shows some of the options
                continue
            wrong.append(f"{line}: {error}")
    assert not wrong, "\n".join(wrong)
    assert document.name != "README.md" or len(command_lines(document)) >= 8
