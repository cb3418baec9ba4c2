"""typer commands: parse, call, print. No logic."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from evofool.cli import attack, defend, signals
from evofool.cli.arguments import ConfigName, DryRun, Out, Overrides, Seed
from evofool.cli.gallery import Host, Port, Watch, gallery, served, shown
from evofool.errors import EvofoolError, Interrupted
from evofool.text import bare

app = typer.Typer(
    name="evofool",
    help="Evolve images that fool image classifiers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunPath = Annotated[Path, typer.Argument(help="A run folder.")]
Moved = Annotated[
    str | None, typer.Option("--classifier", help="Where the victim's file is now, if it moved.")
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


def _version(asked: bool) -> None:
    if asked:
        from evofool import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _top(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    signals.DEBUG.set(debug)


@app.command()
def evolve(
    config: ConfigName,
    overrides: Overrides = None,
    out: Out = None,
    seed: Seed = None,
    dry_run: DryRun = False,
    watch: Watch = False,
    port: Port = 0,
    host: Host = "127.0.0.1",
) -> None:
    """Evolve images that a classifier is sure about, into a new run folder."""
    from evofool.config import load_campaign

    loaded = load_campaign(config, overrides or (), seed)
    if dry_run:
        from evofool.cli.report import print_plan
        from evofool.evolution.setup import plan

        print_plan(plan(loaded))
        return
    from evofool.cli.progress import watch_campaign
    from evofool.cli.report import free_folder, print_result
    from evofool.evolution.campaign import evolve as run_campaign

    folder = out or free_folder(loaded.config.name or Path(config).stem)
    command = shlex.join(["evofool", *sys.argv[1:]])
    with served(folder, host, port) if watch else nullcontext():
        with watch_campaign() as progress, signals.stop_requested() as stop:
            result = run_campaign(
                loaded, folder, command=command, progress=progress, should_stop=stop
            )
        print_result(result, shown(result.path))


app.command()(attack.attack)
app.command()(defend.defend)


@app.command()
def resume(
    run: RunPath,
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="stop.KEY=VALUE, scoring.workers=N, scoring.budget=N."),
    ] = None,
    classifier: Moved = None,
) -> None:
    """Go on with an interrupted run, to the same end as if it had never stopped."""
    from evofool.experiments.runs import kind_of

    kind = kind_of(run)
    if kind == "attack":
        attack.resume(run, overrides or (), classifier)
        return
    if kind in defend.KINDS:
        defend.resume(kind, run, overrides or (), classifier)
        return
    from evofool.cli.progress import watch_campaign
    from evofool.cli.report import print_result
    from evofool.evolution.campaign import resume as resume_campaign

    with watch_campaign() as progress, signals.stop_requested() as stop:
        result = resume_campaign(
            run,
            classifier=classifier,
            overrides=overrides or (),
            progress=progress,
            should_stop=stop,
        )
    print_result(result, shown(result.path))


@app.command()
def status(run: RunPath, as_json: AsJson = False) -> None:
    """How far a run is."""
    from evofool.cli.report import print_status
    from evofool.experiments.runs import status as status_of

    found = status_of(run)
    if as_json:
        _print_json(found)
    else:
        print_status(found)


@app.command()
def verify(
    run: RunPath,
    classifier: Moved = None,
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
    for check in verify_run(run, classifier=classifier, engine=engine):
        print_check(check)
        failed += check.ok is False
    if failed:
        raise typer.Exit(1)


app.command()(gallery)


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A config of kind train.")],
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
    from evofool.cli.progress import watch_training
    from evofool.config import load_model
    from evofool.training import TrainConfig

    loaded = load_model(config, TrainConfig, overrides or ())
    if dry_run:
        from evofool.cli.report import print_training_plan
        from evofool.training.plan import plan

        print_training_plan(plan(loaded, data, out))
        return
    from evofool.training import train as fit

    if download:
        from evofool.data import download_dataset

        download_dataset(loaded.config.dataset, data)
    with watch_training() as progress, signals.stop_requested() as stop:
        result = fit(loaded, data, out, progress, fresh=not resume, should_stop=stop)
    typer.echo(f"test accuracy {result.test_accuracy:.2%} after {result.seconds:.0f} s")
    if result.adversarial_accuracy is not None:
        typer.echo(f"under the attack it was trained with: {result.adversarial_accuracy:.1%}")
    typer.echo(f"{result.weights}\n{result.card}")


@app.command()
def score(
    images: Annotated[list[Path], typer.Argument(help="Pictures.")],
    classifier: Annotated[
        str | None,
        typer.Option(
            help="The victim: a name, or in braces a mapping as in a config (default: the one"
            " that ships with evofool and that the pictures claim)."
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Classes to show.")] = 5,
    as_json: AsJson = False,
) -> None:
    """What a classifier says of pictures, beside what the pictures claim."""
    from evofool.cli.report import print_readings, spec
    from evofool.evolution.reading import read

    found = read(images, None if classifier is None else spec(classifier), top)
    if as_json:
        _print_json([reading.to_json() for reading in found])
    else:
        print_readings(found)


@app.command("list")
def list_(
    what: Annotated[
        Listed,
        typer.Argument(help="attacks, classifiers, configs, datasets, defenses or encodings."),
    ],
    as_json: AsJson = False,
) -> None:
    """What can be named in a config."""
    from evofool.cli import listing

    rows = listing.LISTS[what.value]()
    if as_json:
        _print_json(rows)
    else:
        listing.print_list(what.value, rows)


@app.command()
def bench(
    classifier: Annotated[
        list[str] | None,
        typer.Option(help="Victims (default: mnist-lenet and imagenet-efficientnet-lite0)."),
    ] = None,
    alternations: Annotated[
        int, typer.Option(min=1, help="Generations held against bare scoring.")
    ] = 9,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads (default: cores).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """How fast this machine renders, scores and evolves, and what a paper-size run would cost."""
    from evofool.cli.report import print_bench
    from evofool.experiments.bench import bench as measure

    victims = classifier or ["mnist-lenet", "imagenet-efficientnet-lite0"]
    report = measure(
        victims,
        alternations=alternations,
        workers=workers,
        device=device,
        say=lambda what: typer.echo(what, err=True),
    )
    if as_json:
        _print_json(report.to_json())
    else:
        print_bench(report)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """What is installed, which devices and engines work, what is missing and how to get it."""
    from evofool.cli import checkup

    findings = checkup.examine()
    if as_json:
        _print_json([finding.to_json() for finding in findings])
    else:
        checkup.print_findings(findings)
    if any(finding.state == "broken" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; errors that people are meant to read are one message."""
    signals.exit_on_signals()
    try:
        app()
    except OSError as error:  # the terminal or pipe we print to; files are the store's to explain
        if signals.DEBUG.get():
            raise
        sys.stderr.write(f"evofool: {error}\n")
        sys.exit(1)
    except EvofoolError as error:
        if signals.DEBUG.get():
            raise
        # messages quote configs, manifests and labels, which may be anyone's
        for line in str(error).splitlines() or [type(error).__name__]:
            typer.echo(f"evofool: {bare(line)}", err=True)
        sys.exit(signals.exit_code() if isinstance(error, Interrupted) else error.exit_code)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, allow_nan=False))
