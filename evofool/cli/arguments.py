"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evofool.cli import completion

ConfigName = Annotated[
    str,
    typer.Argument(
        help="A config file, or the name of a shipped config.", autocompletion=completion.configs
    ),
]
RunPath = Annotated[Path, typer.Argument(help="A run folder.", autocompletion=completion.runs)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(help="Changes to the config, such as seed=2 or stop.generations=50."),
]
Out = Annotated[Path | None, typer.Option(help="The run folder (default: runs/NAME).")]
Seed = Annotated[int | None, typer.Option(help="Seed to use instead of the config's.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what the run would do, without running it.")
]
Reuse = Annotated[
    list[Path] | None,
    typer.Option(
        help="A run folder whose results are taken over if this run would compute the same (may"
        " be repeated).",
        autocompletion=completion.runs,
    ),
]
AtOnce = Annotated[
    int,
    typer.Option(min=1, max=256, help="Number of runs at the same time, each in its own threads."),
]
Ray = Annotated[
    str | None,
    typer.Option(
        metavar="[ADDRESS]",
        help="Spread the run over a Ray cluster: HOST:PORT, auto for the one on this machine,"
        " or nothing to start one here.",
    ),
]
