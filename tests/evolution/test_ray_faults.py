"""Workers, nodes and drivers that are lost: the archive is that of a campaign without faults."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray_pools import linear_campaign, over_ray, watched_pools

from evofool.errors import ScoringError, UsageError
from evofool.evolution.campaign import Progress, evolve, resume
from evofool.evolution.status import status
from evofool.scoring.ray import RayPool
from evofool.scoring.ray import pool as pool_module

pytestmark = pytest.mark.cluster
Until = Callable[..., None]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the campaign comes to without Ray."""
    return evolve(linear_campaign(), tmp_path_factory.mktemp("alone") / "run").summary


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> list[RayPool]:
    """Those that campaigns open."""
    return watched_pools(monkeypatch)


def at(generation: int, act: Callable[[], None]) -> Callable[[Progress], None]:
    """Progress that acts once."""

    def progress(now: Progress) -> None:
        if now.generation == generation:
            act()

    return progress


def test_one_worker_gives_the_same(cluster: Any, alone: dict[str, Any], tmp_path: Path) -> None:
    """Begun here, gone on with by a worker."""
    evolve(linear_campaign(stop={"generations": 4}), tmp_path / "run")
    done = resume(tmp_path / "run", overrides=["stop.generations=12", "scoring.ray.actors=1"])
    assert done.summary["archive_digest"] == alone["archive_digest"]


def test_a_killed_worker_is_replaced(
    cluster: Any, alone: dict[str, Any], tmp_path: Path, pools: list[RayPool]
) -> None:
    before: list[int] = []

    def kill() -> None:
        before.extend(report.pid for report in pools[0].reports)
        os.kill(before[0], signal.SIGKILL)

    done = evolve(over_ray(linear_campaign()), tmp_path / "run", progress=at(3, kill))
    assert done.summary["archive_digest"] == alone["archive_digest"]
    sent = done.summary["sent"]
    assert sent["queries"] == alone["sent"]["queries"]
    assert sent["retries"] > 0
    assert sent["total"] == sent["queries"] + sent["retries"]
    assert done.summary["forward_images"] > alone["forward_images"]


def test_all_workers_killed_at_once_are_replaced(
    cluster: Any, alone: dict[str, Any], tmp_path: Path, pools: list[RayPool]
) -> None:
    def kill() -> None:
        for report in pools[0].reports:
            os.kill(report.pid, signal.SIGKILL)

    done = evolve(over_ray(linear_campaign()), tmp_path / "run", progress=at(3, kill))
    assert done.summary["archive_digest"] == alone["archive_digest"]
    new = {report.pid for report in pools[0].reports}
    assert not new  # closed with the run


VICTIM = """
import os, sys, time
import torch
sys.path.append({toys!r})
from linear import Linear, SIDE
from evofool.classifiers import from_module

def once(act):  # by one worker alone, as soon as the file is there
    if os.getpid() != {driver}:
        try:
            os.remove({flag!r})
        except FileNotFoundError:
            return
        act()

def fail():
    raise RuntimeError("not now")

{loaded}

class Picky(Linear):
    def forward(self, x):
        logits = super().forward(x)
        {change}
        return logits

def victim():
    return from_module(Picky(), input_shape=(1, SIDE, SIDE), name="picky",
                       labels=list("abcdefg"), output="logits", probe="none")
"""


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    """What `once` in the victim of `picky` waits for."""
    return tmp_path / "flag"


@pytest.fixture
def picky(tmp_path: Path, flag: Path) -> Callable[..., dict[str, Any]]:
    """A campaign whose victim is torch code in a file of its own, with `change` in it."""

    def make(change: str = "pass", loaded: str = "", **sections: Any) -> dict[str, Any]:
        file = tmp_path / "picky.py"
        toys = str(Path(__file__).parents[1] / "toys")
        file.write_text(
            VICTIM.format(
                toys=toys, change=change, loaded=loaded, driver=os.getpid(), flag=str(flag)
            )
        )
        scoring = {"batch": 16, "workers": 2, "engine": "torch"}
        return linear_campaign(
            classifier={"name": f"{file}:victim", "probe": "none"}, scoring=scoring,
            **{"stop": {"generations": 4}, **sections},
        )  # fmt: skip

    return make


def test_a_worker_that_hangs_is_replaced(
    cluster: Any, picky: Callable[..., dict[str, Any]], flag: Path, tmp_path: Path
) -> None:
    config = picky("once(lambda: time.sleep(1e6))")
    here = evolve(config, tmp_path / "here").summary
    over = over_ray(config, timeout=8.0)
    there = evolve(over, tmp_path / "there", progress=at(1, flag.touch)).summary
    assert not flag.exists()
    assert there["archive_digest"] == here["archive_digest"]
    assert there["sent"]["queries"] == here["sent"]["queries"]
    assert there["sent"]["retries"] > 0


def test_a_start_that_fails_is_tried_again(
    cluster: Any, picky: Callable[..., dict[str, Any]], flag: Path, tmp_path: Path
) -> None:
    config = picky(loaded="once(fail)")
    here = evolve(config, tmp_path / "here").summary
    flag.touch()
    there = evolve(over_ray(config), tmp_path / "there").summary
    assert not flag.exists()
    assert there["archive_digest"] == here["archive_digest"]
    assert there["sent"]["retries"] == 0


def test_workers_that_cannot_be_replaced_end_the_run_saved(
    cluster: Any, picky: Callable[..., dict[str, Any]], tmp_path: Path, pools: list[RayPool]
) -> None:
    """Since the victim that they load has changed meanwhile."""
    config = picky()
    file, run = tmp_path / "picky.py", tmp_path / "run"
    before = file.read_text()

    def kill() -> None:
        file.write_text(before.replace("pass", "logits = logits * 2"))
        for report in pools[0].reports:
            os.kill(report.pid, signal.SIGKILL)

    with pytest.raises(ScoringError, match=r"no Ray worker is left.*same paths.*evofool resume"):
        evolve(over_ray(config), run, progress=at(2, kill))
    file.write_text(before)
    assert status(run)["generations"] == 2
    done = resume(run, overrides=["scoring.ray=null"]).summary
    assert done["archive_digest"] == evolve(config, tmp_path / "here").summary["archive_digest"]


def test_out_of_memory_halves_as_here(
    cluster: Any, picky: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = picky("if len(x) > 8: raise MemoryError('no room for so many')")
    here = evolve(config, tmp_path / "here").summary
    there = evolve(over_ray(config), tmp_path / "there").summary
    assert there["archive_digest"] == here["archive_digest"]
    assert there["sent"]["queries"] == here["sent"]["queries"]
    assert there["sent"]["retries"] > 0


def test_pictures_without_scores_are_counted_as_here(
    cluster: Any, picky: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = picky("logits = torch.where(x[:, 0, 0, :1] > .7, torch.nan, logits)")
    here = evolve(config, tmp_path / "here").summary
    there = evolve(over_ray(config), tmp_path / "there").summary
    assert here["unscored"] > 0
    assert there["unscored"] == here["unscored"]
    assert there["archive_digest"] == here["archive_digest"]


def test_a_fitness_function_sees_the_pictures(cluster: Any, tmp_path: Path) -> None:
    file = tmp_path / "dark.py"
    file.write_text(
        "def dark(log_odds, images):\n"
        "    return log_odds - images.reshape(len(images), -1).mean(1)[:, None] / 64\n"
    )
    config = linear_campaign(
        evolution={"initial": 20, "children": 20, "fitness": f"{file}:dark"},
        stop={"generations": 4},
    )
    here = evolve(config, tmp_path / "here").summary
    there = evolve(over_ray(config), tmp_path / "there").summary
    assert there["archive_digest"] == here["archive_digest"]


def test_a_victim_that_changed_on_a_worker_is_refused(
    cluster: Any,
    picky: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another file at the same path, as on a machine that was not updated."""
    config = picky()
    sent = pool_module.sent

    def late(*arguments: Any) -> Any:
        file = tmp_path / "picky.py"
        file.write_text(file.read_text().replace("pass", "logits = logits * 2"))
        return sent(*arguments)

    monkeypatch.setattr(pool_module, "sent", late)
    with pytest.raises((UsageError, ScoringError), match="same files must lie at the same paths"):
        evolve(over_ray(config), tmp_path / "run")


DEADLY = """
import os, signal, sys
sys.path.append({toys!r})
from exact import Bytes

class Deadly(Bytes):
    name = "deadly"
    def render(self, genomes, size):
        if os.getpid() != {driver} and os.path.exists({flag!r}):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().render(genomes, size)
"""


def test_a_micro_batch_that_kills_its_workers_ends_the_run_saved(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "ATTEMPTS", 2)
    file, flag, run = tmp_path / "deadly.py", tmp_path / "flag", tmp_path / "run"
    toys = str(Path(__file__).parents[1] / "toys")
    file.write_text(DEADLY.format(toys=toys, driver=os.getpid(), flag=str(flag)))
    config = over_ray(linear_campaign(encoding=f"{file}:Deadly"), actors=1)
    with pytest.raises(
        ScoringError, match=r"2 workers in a row were lost over one.*evofool resume"
    ):
        evolve(config, run, progress=at(2, flag.touch))
    assert status(run)["generations"] == 2


BOXED = """
import sys
sys.path.append({toys!r})
from dataclasses import dataclass
from exact import Bytes

@dataclass
class Box:
    inside: object

class Boxed(Bytes):
    name = "boxed"
    def sample(self, rng):
        return Box(super().sample(rng))
    def mutate(self, genome, rng, generation=0):
        return Box(super().mutate(genome.inside, rng, generation))
    def mate(self, first, second, rng):
        return tuple(map(Box, super().mate(first.inside, second.inside, rng)))
    def render(self, genomes, size):
        return super().render([genome.inside for genome in genomes], size)
    def dump(self, genome):
        return super().dump(genome.inside)
    def load(self, data):
        return Box(super().load(data))
    def describe(self, genome):
        return super().describe(genome.inside)
"""


@pytest.mark.parametrize(("encoding", "travels"), [("cppn", bytes), ("boxed", list)])
def test_genomes_of_any_class_travel(
    cluster: Any, tmp_path: Path, pools: list[RayPool], encoding: str, travels: type
) -> None:
    """Pickled where their class has a name on the worker, else as their dumps."""
    file = tmp_path / "boxed.py"
    file.write_text(BOXED.format(toys=str(Path(__file__).parents[1] / "toys")))
    name = f"{file}:Boxed" if encoding == "boxed" else encoding
    config = linear_campaign(encoding=name, stop={"generations": 4})
    sent: set[type] = set()

    def watch(now: Progress) -> None:
        score = pools[0].score
        if now.generation == 0:
            pools[0].score = lambda parcel, **options: (  # type: ignore[method-assign]
                sent.add(type(parcel.content)) or score(parcel, **options)
            )

    here = evolve(config, tmp_path / "here").summary
    there = evolve(over_ray(config), tmp_path / "there", progress=watch).summary
    assert there["archive_digest"] == here["archive_digest"]
    assert sent == {travels}


DRIVER = """
import os, sys
from ray_pools import linear_campaign, over_ray
from evofool.evolution.campaign import evolve
from evofool.cli import signals
from evofool.errors import Interrupted

os.setsid()  # a process group of its own, as a shell gives it
signals.exit_on_signals()
config = linear_campaign(stop={"generations": 100000})
with signals.stop_requested() as stop:
    try:
        evolve(over_ray(config), sys.argv[1], should_stop=stop)
    except Interrupted as error:
        print(error)
        sys.exit(signals.exit_code())
"""


@pytest.fixture
def driver(forked: Callable[..., Any], tmp_path: Path) -> Any:
    """A campaign in a process of its own, which starts Ray."""
    return forked(DRIVER, tmp_path / "run")


def _stored(run: Path) -> int:
    try:
        return int(status(run)["generations"])
    except Exception:  # not there yet
        return -1


def test_a_killed_driver_is_resumed(driver: Any, tmp_path: Path, until: Until) -> None:
    run = tmp_path / "run"
    until(driver, lambda: _stored(run) >= 5)
    driver.kill()
    limit = _stored(run) + 5
    done = resume(run, overrides=[f"stop.generations={limit}", "scoring.ray=null"]).summary
    alone = evolve(linear_campaign(stop={"generations": limit}), tmp_path / "alone").summary
    assert done["archive_digest"] == alone["archive_digest"]
    assert done["sent"]["queries"] == alone["sent"]["queries"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group_saves(
    driver: Any, tmp_path: Path, until: Until, number: int
) -> None:
    """As Ctrl-C at a terminal: the workers must not die of it before the driver has saved."""
    run = tmp_path / "run"
    until(driver, lambda: _stored(run) >= 5)
    os.killpg(driver.pid, number)
    ended = driver.end()
    assert ended.returncode == 128 + number, ended.stderr
    assert "is saved; continue with" in ended.stdout
    assert "was lost" not in ended.stderr
    assert status(run)["status"] == "interrupted"
