"""Errors of the command line itself: an unknown command or option, an argument too many."""

from __future__ import annotations

import re
from typing import Any

import typer
from typer.core import TyperCommand

from evofool import kinds
from evofool.cli import terminal
from evofool.text import suggestion

CommandLineError: type[Any] = typer.BadParameter.__mro__[2]
"""``ClickException``: newer versions of typer carry a click of their own."""
EXIT_CODE = 2
_NO_CHOICE = re.compile(r"'([^']*)' is not one of (.*)")


RAY_HERE = "here"
"""What ``--ray`` without an address stands for: a cluster that is started on this machine."""


class Command(TyperCommand):
    """A command of evofool: while it runs, stdout is for its answers alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """``--ray`` may stand alone; what follows is its address only if it looks like one."""
        if "--ray" in args and any("--ray" in parameter.opts for parameter in self.params):
            from evofool.config import RAY_ADDRESS  # models of configs take half a second to build

            address = rf"{RAY_ADDRESS}|\w+://.*"  # ray:// too, which is refused in words of its own
            following = [*args[1:], ""]
            args = [
                f"--ray={RAY_HERE}"
                if arg == "--ray" and not re.fullmatch(address, following[place])
                else arg
                for place, arg in enumerate(args)
            ]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        with terminal.answering():
            return super().invoke(ctx)


def explained(error: Any) -> list[str]:
    """What is wrong, then how the command is used."""
    message = str(error.format_message()).replace("Value error, ", "")
    if choices := _NO_CHOICE.search(message):
        message = message.rstrip(".") + suggestion(choices[1], re.findall(r"'([^']*)'", choices[2]))
    if not message:  # no arguments at all: the help has been shown
        return []
    context = getattr(error, "ctx", None)
    option = getattr(error, "option_name", None)
    if context is not None and isinstance(option, str):
        message += _meant(context, option)
    lines = [f"evofool: {line}" for line in message.splitlines()]
    return lines if context is None else [*lines, *context.get_usage().splitlines()]


def _meant(context: Any, option: str) -> str:
    """``; did you mean stop.generations=...?`` for a key of a config, written as an option."""
    from evofool.validation import key_called

    if not any(parameter.name == "overrides" for parameter in context.command.params):
        return ""
    for kind in kinds.of_command(str(context.info_name)):
        key = key_called(kind.part("model"), option.lstrip("-").replace("-", "_"))
        if key is not None:
            return f"; did you mean {key}=...? Keys of a config are written without dashes"
    return ""
