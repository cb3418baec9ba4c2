"""typer commands: parse, call, print. No logic."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from evofool import kinds
from evofool.cli import completion, running, signals, terminal, usage
from evofool.cli.arguments import (
    AtOnce,
    ConfigName,
    DryRun,
    Out,
    Overrides,
    Ray,
    Reuse,
    RunPath,
    Seed,
)
from evofool.cli.drive import drive
from evofool.cli.export import export
from evofool.cli.gallery import Host, Port, Watch, gallery
from evofool.cli.print_sheet import print_sheet
from evofool.cli.progress import watch_run
from evofool.cli.serving import serve
from evofool.cli.terminal import answer, remark
from evofool.cli.usage import Command
from evofool.errors import EvofoolError, Interrupted, UsageError

app = typer.Typer(
    name="evofool",
    help="Evolve images that fool image classifiers.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Moved = Annotated[
    str | None, typer.Option("--classifier", help="Where the victim's file is now, if it moved.")
]
MovedEncoding = Annotated[
    str | None, typer.Option("--encoding", help="Where the encoding's file is now, if it moved.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]


class Listed(StrEnum):
    """What ``evofool list`` knows."""

    CLASSIFIERS = "classifiers"
    ENCODINGS = "encodings"
    ATTACKS = "attacks"
    DEFENSES = "defenses"
    CONFIGS = "configs"
    DATASETS = "datasets"
    CLASSES = "classes"
    KINDS = "kinds"
    CLAIMS = "claims"


def _version(asked: bool) -> None:
    if asked:
        from evofool import __version__

        answer(__version__)
        raise typer.Exit


@app.callback()
def _top(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    signals.DEBUG.set(debug)


@app.command(cls=Command)
def run(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Run a config of any kind, as the command of its kind would."""
    running.begin("run", config, overrides, out, seed, dry_run, reuse=reuse, ray=ray)


@app.command(cls=Command)
def evolve(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    watch: Watch = False,
    port: Port = 0,
    host: Host = "127.0.0.1",
    ray: Ray = None,
) -> None:
    """Evolve images that a classifier is sure about, into a new run folder."""
    watched = running.Served(host, port) if watch else None
    running.begin("evolve", config, overrides, out, seed, dry_run, watched, ray=ray)


@app.command(cls=Command)
def attack(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Attack a classifier with gradients or queries, into a new run folder."""
    running.begin("attack", config, overrides, out, seed, dry_run, reuse=reuse, ray=ray)


@app.command(cls=Command)
def defend(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Judge a defense: attack it in every way, with its undefended net beside it.

    A config of kind retrain makes a class of what fools, again and again; one of kind costs
    compares cost functions.
    """
    running.begin("defend", config, overrides, out, seed, dry_run, reuse=reuse, ray=ray)


@app.command(cls=Command)
def transfer(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Make pictures on some nets, by evolution and by attacks, and show them to others."""
    running.begin("transfer", config, overrides, out, seed, dry_run, reuse=reuse, ray=ray)


@app.command(cls=Command)
def compare(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG [KEY=VALUE]... | RUN...",
            help="A config, or the name of a shipped one, with changes to it such as seed=2; or"
            " run folders of evolve, attack and compare.",
            autocompletion=completion.configs,
        ),
    ],
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Compare evolution, gradients, queries and chance on the same nets at the same cost.

    Of a config it runs every method on every net; of run folders it compares what they hold, and
    scores nothing again.
    """
    running.compare(given, out, seed, dry_run, reuse, ray)


@app.command(cls=Command)
def reproduce(
    claims: Annotated[
        list[str], typer.Argument(help="Names of claims (evofool list claims), or all.")
    ],
    scale: Annotated[
        Literal["small", "medium", "paper"],
        typer.Option(help="How much is done: small is for two CPU cores."),
    ] = "small",
    imagenet: Annotated[
        Path | None,
        typer.Option(help="Labelled pictures of ImageNet: labels.csv, and images/ beside it."),
    ] = None,
    picbreeder: Annotated[
        Path | None, typer.Option(help="Pictures of CPPNs in which people recognise something.")
    ] = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Put claims of the literature to the test: published beside measured, with a verdict.

    All that is asked for at one scale goes into one folder, runs/reproduce-SCALE: what is there
    already costs nothing more.
    """
    given = {"imagenet": imagenet, "picbreeder": picbreeder}
    folders = {key: folder for key, folder in given.items() if folder is not None}
    running.reproduce(claims, scale, out, seed, dry_run, reuse, folders, ray)


@app.command(cls=Command)
def sweep(
    config: ConfigName,
    grid: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=A,B,C]...",
            help="Keys of the config with the values that they take, such as"
            " evolution.children=50,200; seeds=1..5; a key with one value is the same for all.",
        ),
    ] = None,
    out: Out = None,
    dry_run: DryRun = False,
    at_once: AtOnce = 1,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Run a campaign, attacks or a defense with every combination of values and seeds.

    Makes a table and plots over the grid; every run has a folder of its own below.
    """
    running.sweep(config, grid or (), out, dry_run, at_once, reuse, ray)


@app.command(cls=Command)
def resume(
    run: RunPath,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="stop.KEY=VALUE, scoring.workers=N, scoring.budget=N, scoring.ray=null."
        ),
    ] = None,
    classifier: Moved = None,
    encoding: MovedEncoding = None,
    reuse: Reuse = None,
    ray: Ray = None,
    at_once: AtOnce = 1,
) -> None:
    """Go on with an interrupted run, to the same end as if it had never stopped.

    An experiment whose config.yaml was edited goes on with what the edited config needs, and
    keeps what it shares with the old one.
    """
    running.go_on(run, overrides, classifier, encoding, reuse, ray, at_once)


@app.command(cls=Command)
def status(run: RunPath, as_json: AsJson = False) -> None:
    """How far a run is."""
    from evofool.cli.report import print_status
    from evofool.experiments.runs import status as status_of

    content = status_of(run)
    if as_json:
        _print_json(content)
    else:
        print_status(content)


@app.command(cls=Command)
def verify(
    run: RunPath,
    classifier: Moved = None,
    encoding: MovedEncoding = None,
    engine: Annotated[
        Literal["torch", "onnxruntime"] | None,
        typer.Option(
            help="What scores the pictures again (default: torch where the victim's module is at"
            " hand, whatever scored the run)."
        ),
    ] = None,
) -> None:
    """Check that a run folder is whole and that its pictures do what they claim."""
    from evofool.cli.report import print_check
    from evofool.experiments.runs import verify as verify_run

    failed = 0
    for check in verify_run(run, classifier=classifier, encoding=encoding, engine=engine):
        print_check(check)
        failed += check.ok is False
    if failed:
        raise typer.Exit(1)


app.command(cls=Command)(gallery)
app.command(cls=Command)(export)
app.command(cls=Command)(drive)
app.command("print-sheet", cls=Command)(print_sheet)
app.command(cls=Command)(serve)


@app.command(cls=Command)
def train(
    config: ConfigName,
    overrides: Overrides = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the data set.")] = None,
    out: Annotated[Path, typer.Option(help="Where the weights go.")] = Path("weights"),
    download: Annotated[
        bool, typer.Option("--download", help="Fetch the data set first if it is not here.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume/--fresh", help="Go on from a checkpoint in --out, or start over."),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check and print the config only.")
    ] = False,
) -> None:
    """Train a classifier; writes NAME.safetensors and its card NAME.json.

    Interrupted or killed, the same command goes on from the last checkpoint to the same weights.
    """
    from evofool.experiments.trained import plan_lines, run_training
    from evofool.training.config import load_training
    from evofool.training.plan import plan

    loaded = load_training(config, overrides or ())
    if dry_run:
        answer(*plan_lines(plan(loaded, data, out)))
        return
    if download:
        from evofool.data import download_dataset

        download_dataset(loaded.config.dataset, data)
    kind = kinds.find("train")
    with watch_run(kind) as progress, signals.stop_requested() as stop:
        result = run_training(
            loaded, out, progress=progress, should_stop=stop, data=data, fresh=not resume
        )
    running.finish(kind, result)


@app.command(cls=Command)
def score(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    classifier: Annotated[
        str | None,
        typer.Option(
            help="The victim: a name, or in braces a mapping as in a config (default: the one"
            " that ships with evofool and that the pictures claim).",
            autocompletion=completion.classifiers,
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes to show.")] = 5,
    transforms: Annotated[
        str | None,
        typer.Option(
            help="Score under these and tell the answers under others: in braces as in a config,"
            " '{k: 8, rotation: 10}', or a config whose classifier has them."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What a classifier says of pictures, beside what the pictures claim."""
    from evofool.cli.report import print_readings, spec
    from evofool.cli.report import transforms as given
    from evofool.evolution.reading import read

    readings = read(
        images,
        None if classifier is None else spec(classifier),
        top,
        None if transforms is None else given(transforms),
    )
    if as_json:
        _print_json([reading.to_json() for reading in readings])
    else:
        print_readings(readings)


@app.command("list", cls=Command)
def list_(
    what: Annotated[
        Listed,
        typer.Argument(
            help="attacks, claims, classes, classifiers, configs, datasets, defenses, encodings,"
            " kinds."
        ),
    ],
    victim: Annotated[
        str | None,
        typer.Argument(
            help="Of classes: the victim, a name or a mapping in braces.",
            autocompletion=completion.classifiers,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Argument(help="Of classes: only these, such as 151-285, tench or '*shark*'."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """What can be named in a config."""
    from evofool.cli import listing

    if what is Listed.CLASSES:
        from evofool.cli.report import spec

        if victim is None:
            raise UsageError("list classes: of which victim? evofool list classes mnist-lenet")
        rows = listing.classes(spec(victim), classes or ())
    elif victim is not None:
        raise UsageError(f"list {what.value}: takes nothing more; {victim!r} is too much")
    else:
        rows = listing.LISTS[what.value]()
    if as_json:
        _print_json(rows)
    else:
        listing.print_list(what.value, rows)


@app.command(cls=Command)
def bench(
    classifier: Annotated[
        list[str] | None,
        typer.Option(
            help="Victims, names or in braces mappings as in a config (default: mnist-lenet and"
            " imagenet-efficientnet-lite0).",
            autocompletion=completion.classifiers,
        ),
    ] = None,
    alternations: Annotated[
        int, typer.Option(min=1, help="Generations held against bare scoring.")
    ] = 9,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads (default: cores).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """How fast this machine renders, scores and evolves, and what a paper-size run would cost."""
    from evofool.cli.report import print_bench, spec
    from evofool.experiments.bench import bench as measure

    victims = [spec(name) for name in classifier or ()] or [
        "mnist-lenet",
        "imagenet-efficientnet-lite0",
    ]
    report = measure(
        [spec(victim) for victim in victims],
        alternations=alternations,
        workers=workers,
        device=device,
        say=remark,
    )
    if as_json:
        _print_json(report.to_json())
    else:
        print_bench(report)


@app.command(cls=Command)
def doctor(as_json: AsJson = False) -> None:
    """What is installed, which devices and engines work, what is missing and how to get it."""
    from evofool.cli import checkup
    from evofool.cli.progress import watch_checkup

    with watch_checkup() as say:
        findings = checkup.examine(say)
    if as_json:
        _print_json([finding.to_json() for finding in findings])
    else:
        checkup.print_findings(findings)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; errors that people are meant to read are one message."""
    terminal.take_over()
    signals.exit_on_signals()
    try:
        code = app(standalone_mode=False)
    except usage.CommandLineError as error:
        remark(*usage.explained(error))
        sys.exit(usage.EXIT_CODE)
    except (OSError, EvofoolError) as error:  # files are the store's to explain, as EvofoolError
        if signals.DEBUG.get():
            raise
        sys.exit(_explained(error))
    sys.exit(code if isinstance(code, int) else 0)


def _explained(error: OSError | EvofoolError) -> int:
    """Says what went wrong; returns the exit code."""
    if isinstance(error, terminal.OutputError):
        terminal.give_up()
        remark(*(f"evofool: {line}" for line in str(error).splitlines()))
        return error.exit_code
    for line in str(error).splitlines() or [type(error).__name__]:
        remark(f"evofool: {line}")
    if isinstance(error, Interrupted):
        return signals.exit_code()
    return error.exit_code if isinstance(error, EvofoolError) else EvofoolError.exit_code


def _print_json(value: Any) -> None:
    answer(*json.dumps(value, indent=2, allow_nan=False).split("\n"))
