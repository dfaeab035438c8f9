"""Settings of a dataset: declared by each layout, converted and checked here, whether typed or passed from Python."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from udsph.data.quotes import shown
from udsph.errors import InputError


@dataclass(frozen=True)
class Setting:
    """One setting of a layout.

    Attributes
    ----------
    default
        Its value where none is given; None means that the loader works it out.
    kind
        ``int``, ``float`` or ``str``.
    meaning
        One phrase for the list that an error prints.
    least, most
        Inclusive bounds of a number.
    choices
        The allowed values, where they can be listed.
    stored
        Whether it is among the settings that a dataset and a run note; not, where it has no influence on the data.
    """

    default: Any
    kind: type
    meaning: str
    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] = ()
    stored: bool = True


def resolve(layout: str, known: Mapping[str, Setting], given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a layout: the given ones converted and checked, the others by default."""
    for name in given:
        if name not in known:
            listed = "; ".join(f"{key} ({setting.meaning})" for key, setting in known.items()) or "none"
            raise InputError(f"{layout}: unknown setting '{name}'; known settings: {listed}")
    resolved = {name: setting.default for name, setting in known.items()}
    for name, value in given.items():
        if value is not None:
            resolved[name] = _converted(f"{layout}: the setting {name}={_quoted(value)}", known[name], value)
    return resolved


def _quoted(value: Any) -> str:
    return f"'{shown(value)}'" if isinstance(value, str) else shown(value)


def _converted(what: str, setting: Setting, value: Any) -> Any:
    nouns = {int: "a whole number", float: "a number", str: "a text"}
    try:
        converted = setting.kind(value)
        # int(2.5) is 2, and a bool is no number: what is not the same value was not meant.
        same = isinstance(value, str | int) if setting.kind is str else converted == value
        faithful = isinstance(value, str) or (same and not isinstance(value, bool))
    except (TypeError, ValueError, OverflowError):
        faithful = False
    if not faithful:
        raise InputError(f"{what} must be {nouns[setting.kind]}")
    if setting.choices and converted not in setting.choices:
        raise InputError(f"{what} must be one of: {', '.join(map(str, setting.choices))}")
    # Written so that NaN fails too.
    if setting.least is not None and not converted >= setting.least:
        raise InputError(f"{what} must be at least {setting.least}")
    if setting.most is not None and not converted <= setting.most:
        raise InputError(f"{what} must be at most {setting.most}")
    return converted
