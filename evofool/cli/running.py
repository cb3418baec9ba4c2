"""Runs of any kind: begun from a config, gone on with, and what is printed at their end."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evofool import kinds
from evofool.cli import signals
from evofool.cli.gallery import served, shown, stay
from evofool.cli.progress import watch_run
from evofool.cli.terminal import answer, remark
from evofool.cli.usage import RAY_HERE
from evofool.errors import UsageError
from evofool.files import is_file

if TYPE_CHECKING:
    from evofool.kinds import Kind
    from evofool.store import Result


@dataclass(frozen=True)
class Served:
    """Where the growing gallery of a run is served."""

    host: str
    port: int


def begin(
    command: str,
    config: str | Mapping[str, Any],
    overrides: Sequence[str] | None,
    out: Path | None,
    seed: int | None,
    dry_run: bool,
    watched: Served | None = None,
    reuse: Sequence[Path] | None = None,
    ray: str | None = None,
    at_once: int = 1,
) -> None:
    """Run a config, or say what the run would do.

    Args:
        command: of evofool that was given the config.
        config: a file, the name of a shipped one, or a mapping.
        overrides: ``key.sub=value``.
        out: the run folder, None for the default.
        seed: instead of the config's.
        dry_run: only say.
        watched: where the growing gallery is served, None: nowhere.
        reuse: run folders whose rows may be taken over, of an experiment.
        ray: the address of a cluster of Ray, `RAY_HERE`, or None to do without.
        at_once: works of an experiment at a time.
    """
    kind = _kind_of(config, command)
    changes, options = _of_kind(kind, reuse, ray, at_once)
    loaded = kind.part("load")(config, [*(overrides or ()), *changes], seed)
    if dry_run:
        answer(*kind.part("plan_lines")(kind.part("plan")(loaded)))
        return
    stem = Path(config).stem if isinstance(config, str) else kind.name
    folder = out or _default_folder(kind, loaded.config.name or stem)
    typed = shlex.join(["evofool", *sys.argv[1:]])
    run = kind.part("run")
    with contextlib.nullcontext() if watched is None else _served(folder, watched):
        with watch_run(kind) as progress, signals.stop_requested() as stop:
            result = run(
                loaded, folder, command=typed, progress=progress, should_stop=stop, **options
            )
        finish(kind, result)


def reproduce(
    claims: Sequence[str],
    scale: str,
    out: Path | None,
    seed: int | None,
    dry_run: bool,
    reuse: Sequence[Path] | None,
    folders: Mapping[str, Path],
    ray: str | None = None,
) -> None:
    """Test claims of the literature in the folder of their scale, new or not.

    Args:
        claims: by name, or ``all``.
        scale: how much is done.
        out: the run folder, None for ``runs/reproduce-SCALE``.
        seed: instead of the usual one.
        dry_run: only say what would be done.
        reuse: run folders whose rows may be taken over.
        folders: of pictures, by their key in the config.
        ray: as in `begin`.
    """
    from evofool.experiments.reproduce.again import add_claims

    folder = out or Path("runs") / f"reproduce-{scale}"
    if is_file(folder / "manifest.json") and not dry_run:
        if seed is not None:
            raise UsageError(f"--seed: {folder} already has a seed; name another --out")
        add_claims(folder, claims, scale, folders)
        go_on(folder, None, None, None, reuse, ray)
        return
    config = {
        "kind": "reproduce",
        "claims": list(claims),
        "scale": scale,
        **{key: str(folder.absolute()) for key, folder in folders.items()},
    }
    begin("reproduce", config, None, folder, seed, dry_run, reuse=reuse, ray=ray)


def compare(
    given: Sequence[str],
    out: Path | None,
    seed: int | None,
    dry_run: bool,
    reuse: Sequence[Path] | None,
    ray: str | None = None,
) -> None:
    """Run a comparison, or compare what run folders hold.

    Args:
        given: a config and its overrides, or run folders.
        out: the run folder, None for the default.
        seed: instead of the config's.
        dry_run: only say what would be done.
        reuse: run folders whose rows may be taken over.
        ray: as in `begin`.
    """
    from evofool.experiments.compare.stored.again import folder_of, is_again, runs_in

    paths = runs_in(given)
    if not paths:
        begin("compare", given[0], given[1:], out, seed, dry_run, reuse=reuse, ray=ray)
        return
    folder = out or folder_of(paths, seed)
    if not dry_run and is_again(folder, paths, seed):
        go_on(folder, None, None, None, reuse, ray)
        return
    config = {"kind": "compare", "runs": [str(path) for path in paths]}
    begin("compare", config, None, folder, seed, dry_run, reuse=reuse, ray=ray)


def sweep(
    config: str,
    grid: Sequence[str],
    out: Path | None,
    dry_run: bool,
    at_once: int,
    reuse: Sequence[Path] | None,
    ray: str | None,
) -> None:
    """Run a config with every combination of some values and seeds.

    Args:
        config: what is swept, or a config of kind sweep.
        grid: ``key=a,b,c``.
        out: the run folder, None for the default.
        dry_run: only say what would be done.
        at_once: runs at a time.
        reuse: run folders whose rows may be taken over.
        ray: as in `begin`.
    """
    from evofool.experiments.sweep.grid import sweep_of

    written = sweep_of(config, grid)
    begin(
        "sweep", written, None, out, None, dry_run, reuse=reuse, ray=ray, at_once=at_once
    )  # fmt: skip


def go_on(
    path: Path,
    overrides: Sequence[str] | None,
    classifier: str | None,
    encoding: str | None,
    reuse: Sequence[Path] | None = None,
    ray: str | None = None,
    at_once: int = 1,
) -> None:
    """Go on with the run in a folder; arguments as in `begin`."""
    from evofool.experiments import runs

    kind = runs.kind_of(path)
    changes, options = _of_kind(kind, reuse, ray, at_once)
    with watch_run(kind) as progress, signals.stop_requested() as stop:
        result = runs.resume(
            path,
            classifier=classifier,
            encoding=encoding,
            overrides=[*(overrides or ()), *changes],
            progress=progress,
            should_stop=stop,
            **options,
        )
    finish(kind, result)


def _kind_of(config: str | Mapping[str, Any], command: str) -> Kind:
    """The kind of a config; a mapping names it."""
    if not isinstance(config, str):
        return kinds.find(str(config["kind"]))
    from evofool.config import kind_of  # here: no other command waits for the models of configs

    return kind_of(config, command)


def _of_kind(
    kind: Kind, reuse: Sequence[Path] | None, ray: str | None, at_once: int
) -> tuple[list[str], dict[str, Any]]:
    """What options stand for: changes to the config of a campaign, and what experiments take.

    Raises:
        UsageError: a kind of run that does not know one.
    """
    address: bool | str = False if ray is None else True if ray == RAY_HERE else ray
    if kind.study:
        return [], {
            "reuse": tuple(reuse or ()),
            "say": remark_lines,
            "ray": address,
            "at_once": at_once,
        }
    if reuse:
        raise UsageError(
            f"--reuse: {kind.about} has no rows that another run could share; run it without"
        )
    if at_once > 1:
        raise UsageError(f"--at-once: {kind.about} is a single run; run it without")
    if ray is not None and kind.name != "evolve":
        raise UsageError(f"--ray: {kind.about} is a single computation; run it without")
    from evofool.config import ray_overrides

    return ray_overrides(address), {}


def remark_lines(text: str) -> None:
    """Say something of several lines at once."""
    remark(*text.split("\n"))


def finish(kind: Kind, result: Result) -> None:
    """Make the gallery of a run of a kind that has one, and print what it came to."""
    pages: list[Path] = []
    if kind.reader:
        from evofool.gallery import Options

        made = shown(result.path, options=Options(top=kind.most_shown))
        pages = [page for page in (made.page, made.contact_sheet) if page is not None]
    answer(*kind.part("result_lines")(result, pages))


@contextlib.contextmanager
def _served(folder: Path, watched: Served) -> Iterator[None]:
    with served(folder, watched.host, watched.port):
        yield
        stay()


def _default_folder(kind: Kind, name: str) -> Path:
    """The kind's own, or a free one below ``runs``."""
    return Path(kind.out) if kind.out else free_folder(name)


def free_folder(name: str) -> Path:
    """``runs/NAME``, or the first of ``runs/NAME-2``... that is not there."""
    folder, number = Path("runs") / name, 1
    while folder.exists():
        number += 1
        folder = Path("runs") / f"{name}-{number}"
    return folder
