"""What the documents say of rooms, arrows, variables and native folders is what the code does."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "udsph"
LONGEST = 60  # lines of a function that needs no docstring
OUTSIDE = {"__init__", "__main__", "_version"}  # of the package itself: the door, not a room


def table_of(document: str, heading: str) -> dict[str, list[str]]:
    """First column, between backticks, and the other columns of the first table after a heading."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = iter(text[text.index(f"{heading}\n") :].splitlines())
    rows: dict[str, list[str]] = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0].startswith("`"):
            for name in re.findall(r"`([^`]+)`", cells[0]):
                rows[name] = cells[1:]
        elif rows and not cells:
            break
    assert rows, f"{document} has no table under {heading}"
    return rows


def rooms() -> set[str]:
    return {folder.parent.name for folder in PACKAGE.glob("*/__init__.py")}


def ground() -> set[str]:
    return {file.stem for file in PACKAGE.glob("*.py")} - OUTSIDE


def may_import() -> dict[str, set[str]]:
    """What docs/architecture.md allows: by room, and by module of the ground."""
    allowed = {}
    for name, cells in table_of("docs/architecture.md", "## The rooms").items():
        everything = cells[-1] == "everything"
        allowed[name] = rooms() if everything else set(re.findall(r"`([^`]+)`", cells[-1]))
    for name, cells in table_of("docs/architecture.md", "## The ground").items():
        allowed[name.removesuffix(".py")] = {part.removesuffix(".py") for part in re.findall(r"`([^`]+)`", cells[-1])}
    return allowed


def imports(tree: ast.AST, *, at_import: bool = False) -> Iterator[tuple[str, int]]:
    """Modules of the package that a file imports, with lines; those of types only are left out.

    ``at_import``: only what is imported while the file itself is.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names if alias.name.startswith("udsph."))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            if (node.module or "").partition(".")[0] == "udsph":
                # "from a.b import c" may mean the module a.b.c
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)
        elif not (at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield from imports(node, at_import=at_import)


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def room_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_the_documents_name_every_room_and_no_other() -> None:
    assert set(table_of("docs/architecture.md", "## The rooms")) == rooms()
    assert set(table_of("docs/architecture.md", "## The ground")) == {f"{name}.py" for name in ground()}


def test_every_import_is_an_arrow_of_the_document() -> None:
    allowed, wrong = may_import(), []
    for file in files():
        own = room_of(file)
        if own in OUTSIDE:
            continue
        for module, line in imports(parsed(file)):
            other = module.split(".")[1]
            if other != own and other not in allowed[own] | (ground() if own in rooms() else set()) | {"_version"}:
                wrong.append(f"{file.relative_to(ROOT)}:{line} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_every_arrow_of_the_document_is_used() -> None:
    used: dict[str, set[str]] = {}
    for file in files():
        used.setdefault(room_of(file), set()).update(module.split(".")[1] for module, _ in imports(parsed(file)))
    for name, allowed in may_import().items():
        if name != "cli":
            assert allowed <= used[name], f"{name} does not import {', '.join(sorted(allowed - used[name]))}"


def test_arrows_point_one_way() -> None:
    allowed = may_import()
    in_order({name: allowed[name] & rooms() - {name} for name in rooms()})
    in_order({name: allowed[name] for name in ground()})
    assert not allowed["hamming"] & rooms(), "hamming stands on the ground alone"
    for above in ("training", "baselines", "cli"):
        assert above not in allowed["encoding"], "a trained model is used without a trainer"


def test_no_module_imports_itself_in_a_circle() -> None:
    known = {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files()}
    compiled = set(re.findall(r'"(udsph\.[\w.]+)"', (ROOT / "setup.py").read_text()))
    graph = {}
    for name, file in known.items():
        found = {module for module, _ in imports(parsed(file), at_import=True)} - compiled
        graph[name] = {module if module in known else module.rpartition(".")[0] for module in found} - {name}
    in_order(graph)


def in_order(graph: dict[str, set[str]]) -> None:
    """Fail, naming a circle, if there is no order in which each comes after those that it needs."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("a circle: " + " <- ".join(error.args[1]))


def test_every_environment_variable_is_in_the_table() -> None:
    named = re.compile(r"UDSPH_[A-Z_]+")
    read = set()
    for folder in ("udsph", "bench", "tests"):
        for file in (ROOT / folder).rglob("*.py"):
            if file != Path(__file__):
                constants = (node.value for node in ast.walk(parsed(file)) if isinstance(node, ast.Constant))
                read |= {value for value in constants if isinstance(value, str) and named.fullmatch(value)}
    read |= set(re.findall(r'"(UDSPH_[A-Z_]+)"', (ROOT / "setup.py").read_text()))
    for file in (ROOT / "csrc").rglob("*"):
        if file.is_file():
            read |= set(re.findall(r'getenv\("(UDSPH_[A-Z_]+)"', file.read_text()))
    documented = {name.partition("=")[0] for name in table_of("docs/conventions.md", "## Environment variables")}
    assert read == {name for name in documented if named.fullmatch(name)}


def test_the_native_folders_are_described() -> None:
    text = (ROOT / "csrc" / "README.md").read_text()
    for folder in (path for path in (ROOT / "csrc").rglob("*") if path.is_dir()):
        assert f"{folder.relative_to(ROOT / 'csrc')}/" in text, f"csrc/README.md does not name {folder}"
    for name in re.findall(r"`([a-z_/]+\.(?:cpp|h|inc|cu))`", text):
        there = (ROOT / "csrc" / name).exists() or (ROOT / name).exists()
        assert there, f"csrc/README.md names {name}, which is not there"


@pytest.mark.parametrize("folder", ["udsph", "bench", "tests"])
def test_long_functions_say_what_they_do(folder: str) -> None:
    long = []
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > LONGEST and ast.get_docstring(node) is None:
                    long.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name} has {length} lines")
    assert not long, "\n".join(long)


# The last line of a head that opens a function's body: what is before it may stretch over lines.
BODY = re.compile(
    r"^(?!\s*(//|\}))(?!.*\b(namespace|class|struct|enum|union|switch|if|for|while|do|else|extern|return)\b)"
    r".*\)\s*(const|noexcept|override|->[^{;]*)*\s*(:[^{;]*)?\{\s*$"
)


def native_functions(text: str) -> Iterator[tuple[int, int, bool]]:
    """First line, number of lines, and whether a comment stands before it, of the functions of a C++ source."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if not BODY.match(line):
            continue
        first = at
        while first > 0 and lines[first - 1].strip() and not re.search(r"[;{}:]\s*$|^\s*//", lines[first - 1]):
            first -= 1
        indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
        last = next((n for n in range(at + 1, len(lines)) if lines[n].startswith(f"{indent}}}")), None)
        if last is None:  # the head of a lambda in the middle of a statement
            continue
        yield first + 1, last - first + 1, first > 0 and lines[first - 1].lstrip().startswith("//")


def test_a_long_native_function_says_what_it_does():
    sources = [p for p in (ROOT / "csrc").rglob("*") if p.suffix in (".cpp", ".h", ".inc", ".cu")]
    found = {path: list(native_functions(path.read_text(encoding="utf-8"))) for path in sources}
    assert sum(len(functions) for functions in found.values()) > 300  # they are seen at all
    long = [
        f"{path.relative_to(ROOT)}:{first} has {length} lines"
        for path, functions in found.items()
        for first, length, said in functions
        if length > LONGEST and not said
    ]
    assert not long, "\n".join(long)
    body = "\n".join(["void f(int a,", "       int b) {", *["  g();"] * 60, "}"])
    assert list(native_functions(body)) == [(1, 63, False)]
    assert list(native_functions(f"// Says.\n{body}")) == [(2, 63, True)]
