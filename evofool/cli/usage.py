"""Errors of the command line itself: an unknown command or option, an argument too many."""

from __future__ import annotations

import inspect
import re
from typing import Any

import typer
from typer.core import TyperCommand

from evofool import kinds
from evofool.cli import terminal
from evofool.text import suggested, suggestion

CommandLineError: type[Any] = typer.BadParameter.__mro__[2]
"""``ClickException``: newer versions of typer carry a click of their own."""
EXIT_CODE = 2
_NO_CHOICE = re.compile(r"'([^']*)' is not one of (.*)")


RAY_HERE = "here"
"""What ``--ray`` without an address stands for: a cluster that is started on this machine."""


class Command(TyperCommand):
    """A command of evofool: while it runs, stdout is for its answers alone."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.help:  # typer keeps the line breaks of a docstring's later paragraphs
            paragraphs = inspect.cleandoc(self.help).split("\n\n")
            self.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)

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
        # without the options that click lists, which are often far from what was written
        message = f"{str(error.message).rstrip('.')}{_meant(context, option)}"
    lines = [f"evofool: {line}" for line in message.splitlines()]
    return lines if context is None else [*lines, *context.get_usage().splitlines()]


def _meant(context: Any, option: str) -> str:
    """What an unknown option may stand for: one that there is, or a key of a config.

    ``; did you mean --seed?``, ``; did you mean stop.generations=...?``, or nothing.
    """
    word = option.lstrip("-")
    names = [name for parameter in context.command.params for name in parameter.opts]
    known = {name.lstrip("-"): name for name in names if name.startswith("--")}
    nearest = suggested(word, known)
    key = _key(context, word, near=nearest is None)
    if key is not None:
        return f"; did you mean {key}=...? Keys of a config are written without dashes"
    return "" if nearest is None else f"; did you mean {known[nearest]}?"


def _key(context: Any, word: str, near: bool) -> str | None:
    """The key of a config of this command whose last part is `word`, or is near to it."""
    from evofool.validation import key_called

    if not any(parameter.name in ("overrides", "grid") for parameter in context.command.params):
        return None
    command = str(context.info_name)
    found = kinds.BUILT_IN if command == "resume" else kinds.of_command(command)
    if command == "sweep":
        found = tuple(map(kinds.find, ("evolve", "attack", "defend")))
    keys = (key_called(kind.part("model"), word.replace("-", "_"), near=near) for kind in found)
    return next((key for key in keys if key is not None), None)
