"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evofool.cli import completion

ConfigName = Annotated[
    str,
    typer.Argument(
        help="A config file, or the name of a shipped one.", autocompletion=completion.configs
    ),
]
RunPath = Annotated[Path, typer.Argument(help="A run folder.", autocompletion=completion.runs)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Changes to the config, such as seed=2 or stop.generations=50."),
]
Out = Annotated[Path | None, typer.Option(help="The run folder (default: runs/NAME).")]
Seed = Annotated[int | None, typer.Option(help="Instead of the config's.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what the run would do, and do not run it.")
]
Reuse = Annotated[
    list[Path] | None,
    typer.Option(
        help="A run folder whose results may be taken over where they are what this run would find"
        " out (may be given more than once).",
        autocompletion=completion.runs,
    ),
]
AtOnce = Annotated[
    int, typer.Option(min=1, max=256, help="Runs at a time, each in threads of its own.")
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="[ADDRESS]",
        help="Spread the run over a cluster of Ray: HOST:PORT, auto for the one of this machine,"
        " or nothing for one that is started here.",
    ),
]
