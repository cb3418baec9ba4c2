"""Attacks of an installed foolbox, under the name ``foolbox:NAME``, through our Scorer.

They run as foolbox wrote them, every image that they send through the net counted; what they give
is judged, rounded and reported like what our own attacks give.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, get_args, get_origin, get_type_hints

import numpy as np

from evofool.attacks.base import Aim, Attack, Needs, Parameter
from evofool.attacks.job import Job, Rows
from evofool.attacks.lattice.levels import Norm
from evofool.attacks.result import NONE
from evofool.errors import AttackError
from evofool.images import FloatImages, to_float, to_uint8
from evofool.randomness import Stream, generator, private_draws
from evofool.render.masks import Mask
from evofool.text import counted, suggestion

if TYPE_CHECKING:
    import torch

PREFIX = "foolbox:"
_PLAIN = (bool, int, float, str, type(None))
_SCORES = frozenset(("GenAttack",))
_LABELS = (
    "Additive",
    "BinarySearchContrast",
    "BoundaryAttack",
    "ContrastReduction",
    "GaussianBlur",
    "HopSkipJump",
    "Inversion",
    "LinearSearch",
    "Pointwise",
    "SaltAndPepper",
)
"""Parts of the names of attacks that only need the top-1 class; all others climb gradients."""
_UNTARGETED = ("DeepFool", "FastGradient", "NewtonFool", "VirtualAdversarial")
_TARGETED = ("GenAttack",)
_NEEDS_MORE = frozenset(("DatasetAttack", "BinarizationRefinementAttack"))
"""Attacks of attacks: they start from adversaries or images that a config cannot give."""


@dataclass(frozen=True)
class FoolboxAttack(Attack):
    """An attack of foolbox. `peer` gives a class for each.

    A batch runs together and passes are booked evenly on its images, as foolbox keeps an image that
    is done in the batch. What foolbox draws from the global generators comes from generators keyed
    by (seed, first image of the batch) instead: results repeat, but depend on the batch.

    Attributes:
        eps: of an attack with a fixed radius.
        options: parameters of foolbox's class.
    """

    name: ClassVar[str] = ""
    one_class: ClassVar[bool] = True
    norm: ClassVar[Norm] = "l2"
    fixed: ClassVar[bool] = False
    kind: ClassVar[Any] = None

    eps: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.eps is not None:
            self.check_positive("eps")
        self._attack()

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """The parameters that a config may give: `eps` for a fixed radius, and foolbox's own."""
        own = tuple(
            Parameter(name, hint, default, required)
            for name, (hint, default, required) in _signature(cls.kind).items()
        )
        radius = (Parameter("eps", float, None, True),) if cls.fixed else ()
        return (*radius, *own, Parameter("seed", int, 0), Parameter("mask", Mask | None, None))

    @classmethod
    def make(
        cls,
        eps: float | None = None,
        seed: int = 0,
        mask: Mask | None = None,
        **options: Any,
    ) -> FoolboxAttack:
        """One, from the parameters of a config."""
        return cls(eps=eps, seed=seed, options=options, mask=mask)

    def plain_parameters(self) -> dict[str, Any]:
        mask = {} if self.mask is None else {"mask": self.mask}
        return {**({"eps": self.eps} if self.fixed else {}), **self.options, **mask}

    def _attack(self) -> Any:
        try:
            return self.kind(**self.options)
        except (TypeError, ValueError, NotImplementedError, AssertionError) as error:
            raise AttackError(f"{self.name}: foolbox refuses its parameters ({error})") from error

    def craft(self, job: Job) -> None:
        # with a mask one at a time: what it sends does not tell whose picture is to lie behind
        size = job.scorer.images_per_batch if job.mask is None else 1
        for start in range(0, len(job), size):
            rows = job.rows()[start : start + size]
            self._craft(job, rows)
            job.touch(rows)
            job.open[rows] = False

    def _craft(self, job: Job, rows: Rows) -> None:
        import torch

        ep, foolbox = import_module("eagerpy"), import_module("foolbox")

        device = job.scorer.gradient_device if self.needs == "gradients" else "cpu"
        x = torch.from_numpy(job.start[rows]).to(device)
        targeted = bool((job.targets[rows] >= 0).all())
        classes = torch.from_numpy((job.targets if targeted else job.labels)[rows]).to(device)
        criterion = (
            foolbox.criteria.TargetedMisclassification(classes)
            if targeted
            else foolbox.criteria.Misclassification(classes)
        )
        model = _model(_outputs(job, rows, self.needs))
        attack = self._attack()
        radius = {"epsilon": self.eps} if self.fixed else {}
        first = int(job.ids[rows[0]])
        try:
            with _alone(self.seed, first):
                adversarial = attack.run(model, x, criterion, **radius)
                if self.fixed:
                    clipped = attack.distance.clip_perturbation(
                        ep.astensor(x), ep.astensor(adversarial), self.eps
                    )
                    adversarial = clipped.raw
        except (ValueError, AssertionError, NotImplementedError, RuntimeError) as error:
            job.notes.append(
                f"foolbox gave up on {counted(len(rows), 'image')}: {error or type(error).__name__}"
            )
            return
        moved: FloatImages = np.clip(adversarial.detach().cpu().numpy(), 0, 1).astype(np.float32)
        job.x[rows] = np.where(np.isfinite(moved), moved, job.start[rows])
        if not self.fixed and job.scorer.classifier.predict is not None:
            # what fooled was the picture nearest to what foolbox asked for
            job.pixels.update(zip(rows.tolist(), to_uint8(job.x[rows]), strict=True))


def peer(name: str) -> type[FoolboxAttack]:
    """The attack of foolbox that has this name.

    Raises:
        AttackError: foolbox is not installed, or has no such attack.
    """
    if find_spec("foolbox") is None:
        raise AttackError(
            f"{PREFIX}{name}: foolbox is not installed; install the extra evofool[compare]"
        )
    kinds = _kinds()
    if name not in kinds:
        mend = suggestion(name, kinds) or "; evofool list attacks shows those that exist"
        raise AttackError(f"{PREFIX}{name}: foolbox has no such attack{mend}")
    return kinds[name]


def peer_names() -> tuple[str, ...]:
    """All attacks of foolbox that can be named, none where it is not installed."""
    if find_spec("foolbox") is None:
        return ()
    return tuple(f"{PREFIX}{name}" for name in _kinds())


@cache
def _kinds() -> dict[str, type[FoolboxAttack]]:
    attacks = import_module("foolbox.attacks")
    fixed_kind, least_kind = attacks.base.FixedEpsilonAttack, attacks.base.MinimizationAttack
    kinds: dict[str, type[FoolboxAttack]] = {}
    for name, kind in sorted(vars(attacks).items()):
        if not inspect.isclass(kind) or inspect.isabstract(kind) or name in _NEEDS_MORE:
            continue
        fixed = issubclass(kind, fixed_kind)
        if not (fixed or issubclass(kind, least_kind)):
            continue
        _bind(kind.__module__)
        needs: Needs = "gradients"
        if any(part in kind.__name__ for part in _LABELS):
            needs = "labels"
        elif kind.__name__ in _SCORES:
            needs = "scores"
        aim: Aim = "both"
        if any(part in kind.__name__ for part in _UNTARGETED):
            aim = "untargeted"
        elif kind.__name__ in _TARGETED:
            aim = "targeted"
        kinds[name] = type(
            name,
            (FoolboxAttack,),
            {
                "__doc__": (inspect.getdoc(kind) or kind.__name__),
                "name": f"{PREFIX}{name}",
                "needs": needs,
                "aim": aim,
                "paper": "foolbox (Rauber et al., JOSS 2020)",
                "fixed": fixed,
                "kind": kind,
                "norm": _norm(kind),
            },
        )
    return kinds


def _norm(kind: Any) -> Norm:
    p = getattr(getattr(kind, "distance", None), "p", 2)
    names: dict[float, Norm] = {0: "l0", 1: "l1", 2: "l2", float("inf"): "linf"}
    return names.get(p, "l2")


def _signature(kind: Any) -> dict[str, tuple[Any, Any, bool]]:
    """Parameters of a foolbox class that plain values can give: type, default, required."""
    hints = get_type_hints(kind.__init__)
    parameters = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        hint = hints.get(name)
        if name == "tensorboard" or hint is None or not _plain(hint):
            continue  # a writer of files, `self`, and what only Python objects can be
        required = parameter.default is parameter.empty
        parameters[name] = (hint, None if required else parameter.default, required)
    return parameters


def _plain(hint: Any) -> bool:
    if hint in _PLAIN:
        return True
    origin = get_origin(hint)
    if origin is None:
        return False
    return all(_plain(part) or isinstance(part, str | bool | int) for part in get_args(hint))


def _outputs(job: Job, rows: Rows, needs: Needs) -> Callable[[torch.Tensor], torch.Tensor]:
    """The victim for foolbox: tensors to outputs, each image booked."""
    if needs == "gradients":
        return job.differentiable(rows)

    def ask(x: torch.Tensor) -> torch.Tensor:
        import torch

        images = x.detach().clamp(0, 1).cpu().numpy().astype(np.float32)
        own = np.resize(rows, len(images))
        victim = job.scorer.classifier
        if victim.predict is not None:
            images = to_float(to_uint8(images))  # a black box sees pictures
        if victim.output == "label":
            labels = torch.from_numpy(job.labels_of(own, images))
            return torch.nn.functional.one_hot(labels, victim.n_classes).float()
        scores = job.scores(own, images)
        odds = scores.log_odds
        if not scores.scored.all():  # to foolbox such a picture is still what it was
            odds = odds.copy()
            odds[~scores.scored] = 0.0
            labelled = ~scores.scored & (job.labels[own] != NONE)
            odds[labelled, job.labels[own][labelled]] = 1.0
        return torch.from_numpy(odds).float()

    return ask


def _model(outputs: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """`outputs` as a foolbox model on [0, 1]."""
    ep, foolbox = import_module("eagerpy"), import_module("foolbox")
    model: Any = foolbox.models.Model

    class Victim(model):  # type: ignore[misc]
        data_format = "channels_first"

        @property
        def bounds(self) -> Any:
            return foolbox.types.Bounds(0, 1)

        def __call__(self, inputs: Any) -> Any:
            x, restore = ep.astensor_(inputs)
            return restore(ep.astensor(outputs(x.raw)))

    return Victim()


class _NumPy(ModuleType):
    """What the name ``np`` means in modules of foolbox: numpy, and inside `_alone` in the same
    thread a generator of its own as ``np.random``."""

    def __getattr__(self, name: str) -> Any:
        draws = _DRAWS.get() if name == "random" else None
        return getattr(np, name) if draws is None else draws


_NUMPY = _NumPy("numpy")
_DRAWS: ContextVar[np.random.RandomState | None] = ContextVar("draws", default=None)


def _bind(module: str) -> None:
    """Let a module of foolbox draw from the generators of `_alone`; all else stays as it is."""
    names = vars(import_module(module))
    names.update({name: _NUMPY for name, value in names.items() if value is np})


@contextlib.contextmanager
def _alone(seed: int, image: int) -> Iterator[None]:
    """foolbox draws from generators of its own in this thread; one thread for torch.

    The global generators of Python, NumPy and torch are neither read nor written, so other threads
    may use them meanwhile. One thread for torch as in a Scorer's workers: what threads within an
    operator win, they lose again on shared cores.
    """
    import torch

    from evofool.attacks.foreign.torch_draws import TorchDraws

    rng = generator(seed, Stream.ATTACK, image, 0)
    draws = private_draws(rng)
    threads = torch.get_num_threads()
    token = _DRAWS.set(draws.numpy)
    try:
        torch.set_num_threads(1)
        with TorchDraws(int(rng.integers(2**63))):
            yield
    finally:
        torch.set_num_threads(threads)
        _DRAWS.reset(token)
