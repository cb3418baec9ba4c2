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
from evofool.files import OWN_PROCESS

app = typer.Typer(
    name="evofool",
    help="Evolve images that fool image classifiers.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Moved = Annotated[
    str | None,
    typer.Option("--classifier", help="The new path of the classifier's file, if it has moved."),
]
MovedEncoding = Annotated[
    str | None,
    typer.Option("--encoding", help="The new path of the encoding's file, if it has moved."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print only JSON.")]


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
    OWN_PROCESS.set(True)


@app.command(cls=Command)
def run(
    config: ConfigName,
    overrides: Overrides = None,
    scale: Annotated[
        Literal["small", "medium", "paper"] | None,
        typer.Option(help="How much is done, of a config that has a scale: short for scale=..."),
    ] = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Run a config of any kind: the same as the command for its kind."""
    changes = [*(overrides or ()), *(() if scale is None else (f"scale={scale}",))]
    running.begin("run", config, changes, out, seed, dry_run, reuse=reuse, ray=ray)


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
    """Evolve images that fool a classifier, in a new run folder."""
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
    """Attack a classifier with gradients or queries, in a new run folder."""
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
    """Judge a defense: attack the defended net in every way, beside the undefended one.

    A config of kind retrain trains a net with fooling images as a class of their own, for several
    rounds. A config of kind costs compares cost functions.
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
    """Test whether pictures made on some nets, by evolution and attacks, also fool others."""
    running.begin("transfer", config, overrides, out, seed, dry_run, reuse=reuse, ray=ray)


@app.command(cls=Command)
def compare(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG [KEY=VALUE]... | RUN...",
            help="A config file or the name of a shipped config, with changes such as seed=2;"
            " or run folders of evolve, attack and compare.",
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

    With a config, run every method on every net. With run folders, compare what they hold,
    without scoring anything again.
    """
    running.compare(given, out, seed, dry_run, reuse, ray)


@app.command(cls=Command)
def reproduce(
    claims: Annotated[
        list[str], typer.Argument(help="Names of claims (see evofool list claims), or all.")
    ],
    scale: Annotated[
        Literal["small", "medium", "paper"],
        typer.Option(help="How large the tests are; small is for two CPU cores."),
    ] = "small",
    imagenet: Annotated[
        Path | None,
        typer.Option(
            help="Folder of labelled ImageNet pictures: labels.csv, and images/ beside it."
        ),
    ] = None,
    picbreeder: Annotated[
        Path | None,
        typer.Option(help="Folder of CPPN pictures in which people recognise something."),
    ] = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Test claims of the literature: published and measured figures, with a verdict.

    All claims at one scale share one folder, runs/reproduce-SCALE, and what is already there
    costs nothing more.
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
            help="Keys of the config with their values, such as evolution.children=50,200 and"
            " seeds=1..5; a key with one value is the same for all runs.",
        ),
    ] = None,
    out: Out = None,
    dry_run: DryRun = False,
    at_once: AtOnce = 1,
    reuse: Reuse = None,
    ray: Ray = None,
) -> None:
    """Run a campaign, attacks or a defense with every combination of values and seeds.

    Make a table and plots over the grid. Every run has its own subfolder.
    """
    running.sweep(config, grid or (), out, dry_run, at_once, reuse, ray)


@app.command(cls=Command)
def resume(
    run: RunPath,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="Changes: stop.KEY=VALUE, scoring.workers=N, scoring.budget=N, scoring.ray=null."
        ),
    ] = None,
    classifier: Moved = None,
    encoding: MovedEncoding = None,
    reuse: Reuse = None,
    ray: Ray = None,
    at_once: AtOnce = 1,
) -> None:
    """Continue an interrupted run, with the same result as if it had never stopped.

    If the config.yaml of an experiment was edited, continue with what the edited config needs,
    and keep the results that it shares with the old one.
    """
    running.go_on(run, overrides, classifier, encoding, reuse, ray, at_once)


@app.command(cls=Command)
def status(run: RunPath, as_json: AsJson = False) -> None:
    """Show how far a run has come."""
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
            help="The engine that scores the pictures again (default: torch if the classifier's"
            " module is available, whatever scored the run)."
        ),
    ] = None,
) -> None:
    """Check that a run folder is intact and that its pictures do what they claim."""
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
    out: Annotated[Path, typer.Option(help="Folder for the weights.")] = Path("weights"),
    download: Annotated[
        bool,
        typer.Option(
            "--download", help="Download the data set first if it is not on this machine."
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume/--fresh", help="Continue from a checkpoint in --out, or start over."
        ),
    ] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only check and print the config.")
    ] = False,
) -> None:
    """Train a classifier, and write NAME.safetensors and its card NAME.json.

    After an interruption or a kill, the same command continues from the last checkpoint and ends
    with the same weights.
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
            help="The classifier: a name, or a mapping in braces as in a config (default: the"
            " classifier that the pictures name, if it ships with evofool).",
            autocompletion=completion.classifiers,
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Number of classes to show.")] = 5,
    transforms: Annotated[
        str | None,
        typer.Option(
            help="Score under these transforms, and report the answers under other ones: in"
            " braces as in a config, '{k: 8, rotation: 10}', or a config whose classifier"
            " has transforms."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a classifier says about pictures, and what the pictures claim."""
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
            help="One of attacks, claims, classes, classifiers, configs, datasets, defenses,"
            " encodings, kinds."
        ),
    ],
    victim: Annotated[
        str | None,
        typer.Argument(
            help="For classes: the classifier, a name or a mapping in braces.",
            autocompletion=completion.classifiers,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Argument(help="For classes: list only these, such as 151-285, tench or '*shark*'."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List what a config can name."""
    from evofool.cli import listing

    if what is Listed.CLASSES:
        from evofool.cli.report import spec

        if victim is None:
            raise UsageError(
                "list classes: of which classifier? For example: evofool list classes mnist-lenet"
            )
        rows = listing.classes(spec(victim), classes or ())
    elif victim is not None:
        raise UsageError(f"list {what.value}: takes no further argument; remove {victim!r}")
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
            help="Classifiers to measure, names or in braces mappings as in a config (default:"
            " mnist-lenet and imagenet-efficientnet-lite0).",
            autocompletion=completion.classifiers,
        ),
    ] = None,
    alternations: Annotated[
        int, typer.Option(min=1, help="Generations to compare with bare scoring.")
    ] = 9,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Number of threads (default: cores).")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure how fast this machine draws, scores and evolves, and estimate a paper-size run."""
    from evofool.cli.report import print_bench, spec
    from evofool.experiments.bench import bench as measure

    victims = classifier or ["mnist-lenet", "imagenet-efficientnet-lite0"]
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
    """Show what is installed, which devices and engines work, and how to get what is missing."""
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
    except signals.EndedBySignal as ended:
        sys.exit(ended.exit_code)
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
