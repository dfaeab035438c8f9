"""``udsph completion``: a script that makes a shell complete commands, options and their values."""

from __future__ import annotations

from typing import Annotated, Literal

from udsph.cli.output import Answer
from udsph.cli.parser import COMMANDS, GROUPS, Argument, Parameter, command

_BASH = """\
_udsph() {{
    local word="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}" words=""
    local typed="${{COMP_WORDS[*]:1:COMP_CWORD-1}} "
    case "$typed" in
{cases}
        *) words="{commands}" ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _udsph udsph
"""
_CASE = """\
        "{name} "*)
            case "$before" in
{values}
                *) if [[ "$word" == -* ]]; then words="{flags}"; else words="{choices}"; fi ;;
            esac ;;"""
_ALWAYS = ("--json", "--quiet", "--help")


@command
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Argument(help="Whose script: bash, zsh or fish")],
) -> Answer:
    """Print a shell's completion script, as in: eval "$(udsph completion bash)"."""
    script = _fish() if shell == "fish" else _bash()
    if shell == "zsh":
        script = "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" + script
    return Answer(script.rstrip(), {"shell": shell, "script": script})


def _bash() -> str:
    cases = []
    for known in sorted(COMMANDS.values(), key=lambda known: -len(known.name)):
        valued = [p for p in known.parameters if p.choices and p.flags]
        values = "\n".join(
            f'                {"|".join(p.flags)}) words="{" ".join(map(str, p.choices))}" ;;' for p in valued
        )
        flags = " ".join([*(flag for p in known.parameters for flag in p.flags), *_ALWAYS])
        words = _within(known.name) if known.name in GROUPS else []  # of the group that is named like the command
        choices = " ".join([*words, *(str(choice) for p in known.parameters if not p.flags for choice in p.choices)])
        case = _CASE.format(name=known.name, values=values, flags=flags, choices=choices)
        cases.append(case.replace("\n\n", "\n"))
    cases += [
        f'        "{group} "*) words="{" ".join(_within(group))}" ;;' for group in GROUPS if group not in COMMANDS
    ]
    return _BASH.format(cases="\n".join(cases), commands=" ".join([*_within(""), "--help", "--version"]))


def _within(group: str) -> list[str]:
    """The words that may follow a group, or ``udsph`` itself."""
    if group:
        return sorted(name.partition(" ")[2] for name in COMMANDS if name.startswith(f"{group} "))
    return sorted({name.partition(" ")[0] for name in COMMANDS})


def _fish() -> str:
    lines = [f"complete -c udsph -n __fish_use_subcommand -f -a '{' '.join(_within(''))}'"]
    for group in GROUPS:
        unset = f"__fish_seen_subcommand_from {group}; and not __fish_seen_subcommand_from {' '.join(_within(group))}"
        lines.append(f"complete -c udsph -n '{unset}' -f -a '{' '.join(_within(group))}'")
    for known in COMMANDS.values():
        seen = "; and ".join(f"__fish_seen_subcommand_from {word}" for word in known.name.split())
        lines += [f"complete -c udsph -n '{seen}' {_fish_option(p)}" for p in known.parameters if p.flags or p.choices]
        lines += [f"complete -c udsph -n '{seen}' -l {flag.removeprefix('--')}" for flag in _ALWAYS]
    return "\n".join(lines) + "\n"


def _fish_option(parameter: Parameter) -> str:
    names = [f"-l {f[2:]}" if f.startswith("--") else f"-s {f[1:]}" for f in parameter.flags]
    values = [f"-f -a '{' '.join(map(str, parameter.choices))}'"] if parameter.choices else []
    text = parameter.option.help.replace("'", "\\'")
    return " ".join(
        [*names, *values, *([] if parameter.kind is bool or not parameter.flags else ["-r"]), f"-d '{text}'"]
    )
