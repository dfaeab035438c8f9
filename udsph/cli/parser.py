"""From functions to a command line: the annotated parameters of a command are its options, and argparse does the rest.

    @command
    def search(queries: Annotated[Path, Option(help="Packed codes")], k: Annotated[int, Option("-k", least=1)] = 10):

Standard library only, so that ``udsph --help`` and the commands that need NumPy alone work where nothing else is.
"""

from __future__ import annotations

import argparse
import inspect
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from udsph.cli.output import Answer


class Option:
    """How a parameter of a command is typed: ``Option("-k", help=...)`` beside ``--name``, which follows the parameter.

    A name that begins with ``--`` takes the place of the parameter's. ``least`` and ``most`` bound a number; in the
    help, ``default`` stands for what is chosen where nothing is given, and ``metavar`` for the value.
    """

    def __init__(
        self,
        *names: str,
        help: str,
        least: float | None = None,
        most: float | None = None,
        default: str = "",
        metavar: str = "",
    ) -> None:
        self.names, self.help, self.least, self.most = names, help, least, most
        self.default, self.metavar = default, metavar


class Argument(Option):
    """A parameter that is typed without a name, by its place."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a command, as its signature gives it."""

    name: str
    kind: type  # of one value
    option: Option
    default: Any
    required: bool
    choices: tuple[Any, ...]
    repeated: bool

    @property
    def flags(self) -> tuple[str, ...]:
        """What is typed before the value; nothing for an :class:`Argument`."""
        if isinstance(self.option, Argument):
            return ()
        named = any(name.startswith("--") for name in self.option.names)
        own = () if named else ("--" + self.name.strip("_").replace("_", "-"),)
        return (*own, *self.option.names)


@dataclass(frozen=True)
class Command:
    """A function that answers, its name in words (``"data check"``), and its parameters."""

    name: str
    function: Callable[..., Answer]
    parameters: tuple[Parameter, ...]

    @property
    def help(self) -> str:
        """Its docstring."""
        return inspect.getdoc(self.function) or ""


COMMANDS: dict[str, Command] = {}
GROUPS = {
    "cluster": "Build, search, evaluate and encode on a Ray cluster.",
    "data": "Look at datasets.",
    "index": "Make, fill, change, check and search a stored collection of codes, of a model's or of any.",
}
MOVED = {"collection": "index"}  # what groups were called
_METAVARS = {int: "N", float: "X", Path: "PATH"}


def command(function: Callable[..., Answer]) -> Callable[..., Answer]:
    """Register a command under the name of its function: ``data_check`` is ``udsph data check``."""
    name = function.__name__.rstrip("_").replace("_", " ")
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    COMMANDS[name] = Command(name, function, tuple(_parameter(p, hints[p.name]) for p in parameters))
    return function


def _parameter(parameter: inspect.Parameter, hint: Any) -> Parameter:
    if typing.get_origin(hint) is not typing.Annotated:  # Python 3.10 makes Optional of it where the default is None
        hint = typing.get_args(hint)[0]
    kind, option = typing.get_args(hint)[:2]
    if typing.get_origin(kind) in (types.UnionType, typing.Union):  # "int | None": not given
        kind = next(part for part in typing.get_args(kind) if part is not types.NoneType)
    repeated = typing.get_origin(kind) is list
    if repeated:
        kind = typing.get_args(kind)[0]
    choices = typing.get_args(kind) if typing.get_origin(kind) is Literal else ()
    required = parameter.default is inspect.Parameter.empty
    default = None if required else parameter.default
    kind = type(choices[0]) if choices else kind
    return Parameter(parameter.name, kind, option, default, required, choices, repeated)


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are one line."""

    def error(self, message: str) -> typing.NoReturn:
        """Exit with 2, after a line that says where help is."""
        raise UsageError(f"{message.removeprefix('argument ')}; '{self.prog} --help' says more")


class UsageError(Exception):
    """What was typed is no command."""


def routed(arguments: list[str]) -> list[str]:
    """What was typed, with the command that is named like a group under the name that the parser has for it.

    ``udsph index create FOLDER`` is of the group ``index``; ``udsph index RUN FOLDER``, where no word of the group
    follows, is the command.

    Raises
    ------
    UsageError
        A group is called otherwise now.
    """
    first, *rest = arguments
    if first in MOVED:
        raise UsageError(
            f"'udsph {first}' is called 'udsph {MOVED[first]}' now: {' '.join(['udsph', MOVED[first], *rest])}"
        )
    words = {name.partition(" ")[2] for name in COMMANDS if name.startswith(f"{first} ")}
    if first in GROUPS and first in COMMANDS and rest and rest[0] not in (*words, "-h", "--help"):
        return [_own(first), *rest]
    return arguments


def _own(group: str) -> str:
    """How the parser calls a command that is named like a group."""
    return f"{group} {COMMANDS[group].parameters[0].name.upper()}"


def build_parser(version: str) -> Parser:
    """The parser of all registered commands."""
    parser = Parser(
        prog="udsph",
        description="Exact Hamming search, retrieval evaluation, and cross-modal hashing of images and text.",
        epilog="'udsph COMMAND --help' describes a command. Results go to stdout, progress and errors to stderr.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"udsph {version}")
    places = {"": parser.add_subparsers(title="commands", metavar="COMMAND", required=True)}
    for name, known in sorted(COMMANDS.items()):
        group, _, last = (name, "", "") if name in GROUPS else name.rpartition(" ")
        if group not in places:
            both = f" 'udsph {_own(group)} --help' describes how a model makes one." if group in COMMANDS else ""
            made = places[""].add_parser(
                group, help=GROUPS[group], description=GROUPS[group] + both, allow_abbrev=False
            )
            places[group] = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
        settings: dict[str, Any] = {"help": known.help.splitlines()[0]} if last else {"prog": f"udsph {group}"}
        made = places[group if last else ""].add_parser(
            last or _own(group), description=known.help, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter, **settings,
        )  # fmt: skip
        for parameter in known.parameters:
            _add(made, parameter)
        made.add_argument("--json", action="store_true", help="print the result as JSON")
        made.add_argument("--quiet", action="store_true", help="no progress; warnings and errors only")
        made.set_defaults(command=known)
    return parser


def _add(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    """One parameter of a command as an argument of its parser."""
    option, flags = parameter.option, parameter.flags
    default = option.default or ("" if parameter.default in (None, "", False) else str(parameter.default))
    text = (option.help + (f" (default: {default})" if default else "")).replace("%", "%%")
    if parameter.kind is bool:
        parser.add_argument(*flags, dest=parameter.name, action="store_true", help=text)
        return
    settings: dict[str, Any] = {"type": _converter(parameter), "help": text, "default": parameter.default}
    if parameter.choices:
        settings["choices"] = parameter.choices
    else:
        settings["metavar"] = option.metavar or _METAVARS.get(parameter.kind, "TEXT")
    if flags:
        settings |= {"dest": parameter.name, "required": parameter.required}
        if parameter.repeated:
            settings["action"] = "append"
        parser.add_argument(*flags, **settings)
        return
    settings["metavar"] = option.metavar or parameter.name.strip("_").upper()
    if parameter.repeated:
        settings["nargs"] = "+" if parameter.required else "*"
    elif not parameter.required:
        settings["nargs"] = "?"
    parser.add_argument(parameter.name, **settings)


def _converter(parameter: Parameter) -> Callable[[str], Any]:
    option = parameter.option

    def convert(text: str) -> Any:
        value = parameter.kind(text)
        if option.least is not None and not value >= option.least:
            raise argparse.ArgumentTypeError(f"{text} is below {option.least:g}")
        if option.most is not None and not value <= option.most:
            raise argparse.ArgumentTypeError(f"{text} is above {option.most:g}")
        return value

    convert.__name__ = {int: "whole number", float: "number"}.get(parameter.kind, parameter.kind.__name__)
    return convert
