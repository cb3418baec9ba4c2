"""``evofool drive``: signs that a car drives by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evofool.cli import completion
from evofool.cli.terminal import answer, remark
from evofool.text import rate

if TYPE_CHECKING:
    from evofool.experiments.driving import Driven


class Cut(StrEnum):
    """Shapes that signs are cut to."""

    AUTO = "auto"
    SQUARE = "square"
    DISC = "disc"
    TRIANGLE = "triangle"
    YIELD = "yield"
    OCTAGON = "octagon"


def drive(
    signs: Annotated[
        list[Path],
        typer.Argument(
            metavar="PICTURE... | RUN",
            help="Pictures of signs, or one run folder of evolve or attack with such pictures.",
        ),
    ],
    classifier: Annotated[
        str | None,
        typer.Option(
            help="The classifier: a name, or a mapping in braces as in a config (default: the"
            " classifier that the signs name, if it ships with evofool).",
            autocompletion=completion.classifiers,
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="The class that the signs should be read as (default: what each sign claims);"
            " with a run, only signs made for it."
        ),
    ] = None,
    true: Annotated[
        str | None,
        typer.Option(
            help="The class that the signs really show; without a target, any other answer fools."
        ),
    ] = None,
    frames: Annotated[
        int, typer.Option(help="Number of frames in the drive; each is a query.")
    ] = 100,
    far: Annotated[
        float, typer.Option("--from", help="Distance to the sign at the start, in metres.")
    ] = 40.0,
    near: Annotated[
        float, typer.Option("--to", help="Distance to the sign at the end, in metres.")
    ] = 6.0,
    angle: Annotated[
        float,
        typer.Option(
            help="Angle by which the sign is turned away from the road at the end, in degrees."
        ),
    ] = 15.0,
    width_mm: Annotated[
        float, typer.Option("--width-mm", help="Width of the sign in millimetres.")
    ] = 600.0,
    shape: Annotated[
        Cut,
        typer.Option(
            help="Shape that the sign is cut to (auto: by its transparency, else a square)."
        ),
    ] = Cut.AUTO,
    jitter: Annotated[
        float,
        typer.Option(help="Jitter of the simulated detector's box, as a share of its side."),
    ] = 0.05,
    margin: Annotated[
        float, typer.Option(help="Margin of the box around the sign, as a share of its side.")
    ] = 0.0,
    lenticular: Annotated[
        bool,
        typer.Option(
            "--lenticular",
            help="Two pictures behind lenses: the first is seen from the front, the second once"
            " the car has come nearer.",
        ),
    ] = False,
    switch: Annotated[
        float,
        typer.Option(
            help="With --lenticular: angle at which one picture changes to the other, in degrees."
        ),
    ] = 15.0,
    seed: Annotated[int, typer.Option(help="Seed of street, light, noise and detector.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="A new folder (default: runs/drive-NAME).")
    ] = None,
    video: Annotated[
        bool,
        typer.Option("--video", help="Also make an annotated film of the sign that fools most."),
    ] = False,
    stills: Annotated[
        int, typer.Option(min=1, max=20, help="Number of columns in the strip of stills.")
    ] = 6,
    as_json: Annotated[bool, typer.Option("--json", help="Print only JSON.")] = False,
) -> None:
    """Put signs into drawn streets, drive past them, and let a classifier read every frame.

    The detector is simulated: the classifier gets the box around the sign, with some jitter,
    resized to its input.
    """
    from evofool.cli.report import spec
    from evofool.cli.running import free_folder
    from evofool.experiments.driving import drive_by
    from evofool.signs.footage import Approach

    approach = Approach(
        frames=frames, far=far, near=near, turned=angle, side=width_mm / 1000, jitter=jitter,
        margin=margin, seed=seed,
    )  # fmt: skip
    place = out or free_folder(f"drive-{signs[0].resolve().stem}")
    if lenticular:
        from evofool.experiments.lenticular import lenticular_drive
        from evofool.signs.lenticular import Lenses

        driven = lenticular_drive(
            signs,
            place,
            classifier=None if classifier is None else spec(classifier),
            target=target,
            true=true,
            approach=approach,
            lenses=Lenses(switch=switch),
            shape="square" if shape is Cut.AUTO else shape.value,
            film=video,
            stills=stills,
            say=remark,
        )
        _tell(driven, as_json)
        return
    driven = drive_by(
        signs,
        place,
        classifier=None if classifier is None else spec(classifier),
        target=target,
        true=true,
        approach=approach,
        shape=shape.value,
        film=video,
        stills=stills,
        say=remark,
    )
    _tell(driven, as_json)


def _tell(driven: Driven, as_json: bool) -> None:
    summary = driven.summary
    if as_json:
        answer(*json.dumps(summary, indent=2, allow_nan=False).split("\n"))
        return
    answer(
        f"fooled {summary['successes']:,} of {summary['frames']:,} frames:"
        f" {_share(summary)} (95 % interval, frames taken as independent)"
    )
    for each in summary["by_distance"]:
        answer(
            f"  {each['far']:5.1f} to {each['near']:4.1f} m  {each['fooled']:,} of"
            f" {each['frames']:,}  {_share({**each, 'rate': each['fooled'] / each['frames']})}"
        )
    answer(f"{summary['queries']:,} queries of {summary['classifier']['name']}")
    if driven.note:
        remark(driven.note)
    answer(*(str(path) for path in (driven.film, driven.folder / "strip.png") if path))
    if "lenticular" in summary:
        answer(str(driven.folder / "angles.png"))
    answer(str(driven.folder / "results.csv"))


def _share(share: Mapping[str, float]) -> str:
    middle, low, high = (rate(share[key], int(share["frames"])) for key in ("rate", "low", "high"))
    return f"{middle}, {low} to {high}"
