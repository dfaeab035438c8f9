"""Hooks of the documentation site: pages that lie elsewhere in the repository, links between them, the reference.

Pages are written for the repository, where a link leads from file to file. This rewrites links to what the site has:
files of ``PUBLISHED`` under their names there, pictures, and text without a link where the site has no such page.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
log = get_plugin_logger("pages")

# Files of the repository that are pages of the site -> their names there.
PUBLISHED = {
    "bench/README.md": "benchmarks.md",
    "CHANGELOG.md": "changes.md",
    "CONTRIBUTING.md": "contributing.md",
    "csrc/README.md": "native.md",
    "README.md": "index.md",
}
PICTURES = {f"bench/results/{path.name}": f"results/{path.name}" for path in (ROOT / "bench" / "results").glob("*.*g")}
# Modules beside the rooms whose names a user imports.
MODULES = ("errors", "hamming.sklearn", "hamming.sentence_transformers", "hamming.numba_functions")
FIRST = ("udsph", "hamming", "evaluation")  # of the reference; the other rooms follow by name
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
FENCE = re.compile(r"^(```.*?^```)$", re.M | re.S)
OUTSIDE = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=[\"']?(?:https?:)?//[^>]*>")
SITE_LINKS = re.compile(r"\brel=[\"']?(?:canonical|next|prev)\b")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Read the package without running it, refuse bare public names, and lay the reference into the navigation."""
    package: Any = griffe.load("udsph", search_paths=[ROOT], try_relative_path=False, resolve_aliases=True)
    config["reference"] = reference(package)
    bare = sorted(name for page in config["reference"].values() for name in page.undocumented)
    if bare:
        raise PluginError("public names without a docstring: " + ", ".join(bare))
    places = [{page.title: uri} for uri, page in config["reference"].items()]
    config.nav = [
        entry if entry != {"Reference": "reference/"} else {"Reference": places} for entry in config.nav or []
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside of docs/ and what is made here."""
    for origin, uri in PUBLISHED.items():
        if uri != "index.md":
            files.append(File.generated(config, uri, content=(ROOT / origin).read_text(encoding="utf-8")))
    for origin, uri in PICTURES.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / origin)))
    for uri, page in config["reference"].items():
        files.append(File.generated(config, uri, content=page.text))
    known = str(config.nav)
    for file in files.documentation_pages():
        if f"'{file.src_uri}'" not in known:
            log.error(f"docs/{file.src_uri} is in no place of the navigation: give it a line under 'nav' in mkdocs.yml")
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links from file to file into links from page to page, outside code."""
    here = page.file.src_uri
    origin = next((path for path, uri in PUBLISHED.items() if uri == here and uri != "index.md"), f"docs/{here}")

    def there(match: re.Match[str]) -> str:
        mark, text, target = match.groups()
        address, hash_, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target) or not address:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), address))
        uri = PUBLISHED.get(path) or PICTURES.get(path)
        if uri is None and path.startswith("docs/"):
            uri = path.removeprefix("docs/")
        if uri is None and (ROOT / path).exists():
            return text  # a file that is no page: only in the repository
        if uri is None:
            log.warning(f"{origin} links to {target}, which is not there")
            return match[0]
        return f"{mark}[{text}]({posixpath.relpath(uri, posixpath.dirname(here) or '.')}{hash_}{anchor})"

    return "".join(part if part.startswith("```") else LINK.sub(there, part) for part in FENCE.split(markdown))


def on_post_build(config: MkDocsConfig) -> None:
    """A page must show without the network."""
    for page in Path(config.site_dir).rglob("*.html"):
        for tag in OUTSIDE.findall(page.read_text(encoding="utf-8")):
            if not SITE_LINKS.search(tag):
                log.error(f"{page.relative_to(config.site_dir)} takes something from another place: {tag[:200]}")


class ReferencePage:
    """The Markdown of one module's public names, and which of them lack a docstring."""

    def __init__(self, module: str, title: str, text: str, undocumented: list[str] | None = None) -> None:
        self.module, self.title, self.text, self.undocumented = module, title, text, undocumented or []


def reference(package: Any) -> dict[str, ReferencePage]:
    """One page for each room and module that says what it exports, the top of the package first, the command last."""
    rooms = [name for name, member in package.members.items() if _exports(member)]
    names = [*FIRST, *sorted(set(rooms) - set(FIRST) | {name for name in MODULES if not _missing(package, name)})]
    pages = {f"reference/{name}.md": module_page(package, name) for name in names}
    pages["reference/command.md"] = ReferencePage("cli", "The command", command_page())
    return pages


def module_page(package: Any, name: str) -> ReferencePage:
    """The docstring of a module, then every name that it exports."""
    path, module = ("udsph", package) if name == "udsph" else (f"udsph.{name}", package[name])
    exported = [str(each) for each in module.exports or ()] or [
        key
        for key, member in module.members.items()
        if not member.is_alias and not key.startswith("_") and (member.is_function or member.is_class)
    ]
    if name == "udsph":  # its rooms have pages of their own
        exported = ["UDSPH", "Hasher", "get_include"]
    blocks = [
        f"# `{path}`",
        f"::: {path}\n    options: {{members: false, show_root_heading: false, show_root_toc_entry: false}}",
    ]
    blocks += [f"::: {path}.{each}" for each in sorted(exported, key=lambda each: (each.islower(), each))]
    bare = [f"{path}.{each}" for each in exported]
    return ReferencePage(
        name, path, "\n\n".join(blocks) + "\n", [full for each in bare for full in undocumented(package, each)]
    )


def undocumented(package: Any, path: str) -> list[str]:
    """A public name, or its public methods and properties, without a docstring; base classes lend theirs."""
    found = package[path.removeprefix("udsph.")]
    found = found.final_target if found.is_alias else found
    bare = [] if found.has_docstring or found.is_module else [path]
    if not found.is_class:
        return bare
    bases = [found, *(base for base in found.mro())]
    for name, member in found.members.items():
        if name.startswith("_") or member.is_alias or not (member.is_function or "property" in member.labels):
            continue
        if not any(name in base.members and base.members[name].has_docstring for base in bases):
            bare.append(f"{path}.{name}")
    return bare


def command_page() -> str:
    """Every command of the command line, with its options."""
    from udsph.cli import commands, parser  # noqa: F401  the first registers them

    lines = [
        "# The command `udsph`",
        "",
        "Every command also takes `--json` and `--quiet`; `udsph --version` says the version.",
        "",
    ]
    for name, known in sorted(parser.COMMANDS.items()):
        lines += [f"## udsph {name}", "", known.help, "", "| | | default |", "| --- | --- | --- |"]
        for each in known.parameters:
            typed = ", ".join(f"`{flag}`" for flag in each.flags) or f"`{each.name.strip('_').upper()}`"
            default = each.option.default or ("" if each.default in (None, "", False) else str(each.default))
            lines.append(f"| {typed} | {_cell(each.option.help)} | {_cell('required' if each.required else default)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _exports(member: Any) -> bool:
    return not member.is_alias and member.is_module and bool(member.exports)


def _missing(package: Any, name: str) -> bool:
    return not os.path.exists(ROOT / "udsph" / (name.replace(".", "/") + ".py"))
