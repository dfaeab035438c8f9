"""Where the names of arguments become flags: the library says ``batch_size=0``, the command line ``--batch-size 0``."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Any

from udsph.cli.parser import Command
from udsph.errors import InputError

_ARGUMENT = re.compile(r"(?<![\w./\\=-])(?<!--set )([a-z][a-z_]*)=(?=\S)")


def in_flags(message: str, command: Command, given: Mapping[str, Any]) -> str:
    """An error's message with each ``name=value`` that the command knows written as it is typed.

    Parameters
    ----------
    message
        Of an error of the library.
    command
        The command that called it.
    given
        What it was called with.
    """
    flags = {p.name.strip("_"): next(f for f in p.flags if f.startswith("--")) for p in command.parameters if p.flags}
    settings = _settings(given) if "set" in flags else frozenset()
    chosen = _chosen(given)

    def typed(found: re.Match[str]) -> str:
        name, value = found[1], message[found.end() :].lstrip("'\"")
        if str(given.get(name)) != chosen.get(name):  # which of the two was typed is told by the value
            for key in (name, f"data.{name}"):
                if key in chosen and value.startswith(chosen[key]):
                    return f"--set {key}="
        if name in flags:
            return flags[name] if message[found.end()] in ",;:)" else f"{flags[name]} "
        return f"--set {found[0]}" if name in settings else found[0]

    return _ARGUMENT.sub(typed, message)


def settings_of(pairs: list[str] | None) -> dict[str, str]:
    """``["key=value", ...]`` of repeated ``--set`` options as a dictionary."""
    settings = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"--set {pair}: expected key=value")
        settings[key] = value
    return settings


def _chosen(given: Mapping[str, Any]) -> dict[str, str]:
    """What ``--set`` was given, as far as it is whole."""
    with contextlib.suppress(InputError):
        return settings_of(given.get("set_"))
    return {}


def _settings(given: Mapping[str, Any]) -> frozenset[str]:
    """Names that ``--set`` takes: of the dataset, and of the training where the command trains."""
    from udsph import data

    names: set[str] = set()
    with contextlib.suppress(InputError):
        names |= set(data.settings_of(given.get("data") or given.get("name") or ""))
    if "epochs" in given:
        with contextlib.suppress(ImportError):
            from udsph.training import Config

            names |= set(Config.__dataclass_fields__)
    return frozenset(names)
