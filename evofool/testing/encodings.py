"""Whether an encoding keeps the contract of `evofool.encodings.Encoding`."""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from evofool.encodings import BatchEncoding, Encoding, VectorEncoding, load
from evofool.errors import EncodingError
from evofool.images import Shape, Size
from evofool.randomness import Generators, Stream
from evofool.testing.faults import Faults

OTHER_SIZES: tuple[Size, ...] = ((5, 7), (1, 1), (24, 20))
"""Heights and widths at which genomes are drawn besides the encoding's own."""
DAMAGED = 48
"""Damaged dumps that `load` is given."""

_COPY = "copy the genome first and change the copy (genome.copy())"
_GENERATOR = "draw every number from the generator `rng` that is handed over, and keep no state"


def check_encoding(
    encoding: Encoding[Any] | type[Encoding[Any]] | str,
    shape: Shape = (3, 16, 16),
    options: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
) -> None:
    """Test that an encoding does all that evolution relies on.

    That is: operators leave their arguments alone and are determined by their generator; `dump` and
    `load` are inverse, and `load` refuses everything else; pictures have the right shape and type
    at any size, and depend on the genome alone; batch operations, if there are any, agree with the
    operators; options are resolved and descriptions are JSON.

    Args:
        encoding: one that is made, its class, or its name (``path/to/file.py:Class``).
        shape: channels, height and width; those that an encoding that is made was made with.
        options: for the class or the name.
        seed: of the genomes that are tried.

    Raises:
        ConformanceError: it does not conform; the error lists every fault with its mend.
    """
    subject = encoding if isinstance(encoding, str) else getattr(encoding, "__name__", None)
    faults = Faults(f"encoding {subject or type(encoding).__name__}")
    made = _made(faults, encoding, shape, options or {})
    _Encoding(faults, made, shape, seed).check()
    faults.stop_if_any()


def _made(faults: Faults, encoding: Any, shape: Shape, options: Mapping[str, Any]) -> Encoding[Any]:
    made: Any = None
    with faults.expecting("it cannot be made", "let Class(shape, **options) make it"):
        try:
            if isinstance(encoding, str):
                made = load(encoding, shape, options)
            else:
                made = encoding(shape, **options) if isinstance(encoding, type) else encoding
        except EncodingError as error:
            faults.add("it cannot be loaded", str(error), "see the message above")
    faults.stop_if_any()
    wanted = ("sample", "mutate", "mate", "render", "dump", "load", "describe")
    missing = [name for name in wanted if not callable(getattr(made, name, None))]
    if missing:
        faults.add(
            f"it has no method {', '.join(missing)}",
            "",
            "define all methods of evofool.encodings.Encoding",
        )
    faults.stop_if_any()
    built: Encoding[Any] = made
    return built


class _Encoding:
    def __init__(self, faults: Faults, encoding: Encoding[Any], shape: Shape, seed: int) -> None:
        self.faults = faults
        self.encoding = encoding
        self.shape = shape
        self.seed = seed
        self.genomes: list[Any] = []
        self.describes = False

    def check(self) -> None:
        self._identity()
        kept = _global_state()
        np.random.random(7), random.random()  # noqa: NPY002 (so that seeding anew is seen)
        before = _global_state()
        try:
            self._all()
            with self.faults.expecting("it uses the global random generators", _GENERATOR):
                same = repr(_global_state()) == repr(before)
                assert same, "numpy.random or random was drawn from, or seeded"
        finally:
            np.random.set_state(kept[0])  # noqa: NPY002
            random.setstate(kept[1])

    def _all(self) -> None:
        with self.faults.expecting("sample gives no genomes", "return a genome from sample(rng)"):
            self._sample()
        self.faults.stop_if_any()
        self._dumps()
        self.faults.stop_if_any()
        self._operators()
        if isinstance(self.encoding, BatchEncoding):
            self._batches(self.encoding)
        self._pictures()
        self._descriptions()
        self._garbage()
        if isinstance(self.encoding, VectorEncoding):
            self._vectors(self.encoding)

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, *key))

    def _sample(self) -> None:
        self.genomes = [self.encoding.sample(self._rng(0, k)) for k in range(4)]

    def _dumped(self) -> list[bytes]:
        return [self.encoding.dump(genome) for genome in self.genomes]

    def _identity(self) -> None:
        with self.faults.expecting("it has no name", 'set name = "mine" in the class'):
            name = getattr(self.encoding, "name", None)
            assert isinstance(name, str), f"name is {name!r}"
            assert name, "name is empty"
        with self.faults.expecting(
            "its options are not all of them, resolved",
            "set self.options to every option with its value, as plain YAML values, so that"
            " Class(shape, **options) makes the same encoding",
        ):
            options = dict(self.encoding.options)
            _assert_json(options)
            again = type(self.encoding)(self.shape, **options)  # type: ignore[call-arg]
            assert dict(again.options) == options, f"{options} become {again.options}"

    def _dumps(self) -> None:
        with self.faults.expecting("dump gives no bytes", "return bytes from dump"):
            for data in self._dumped():
                assert isinstance(data, bytes), f"dump gives {type(data).__name__}"
        self.faults.stop_if_any()
        with self.faults.expecting("sample is not determined by its generator", _GENERATOR):
            for k, data in enumerate(self._dumped()):
                again = self.encoding.dump(self.encoding.sample(self._rng(0, k)))
                _same_bytes(again, data, "two genomes of one seed")
        with self.faults.expecting(
            "load does not undo dump",
            "let dump write all of the genome, without rounding, and load read it back",
        ):
            for genome, data in zip(self.genomes, self._dumped(), strict=True):
                loaded = self.encoding.load(data)
                _same_bytes(self.encoding.dump(loaded), data, "dump(load(data)) and data")
                np.testing.assert_array_equal(
                    self._render([loaded]), self._render([genome]), "pictures after dump and load"
                )

    def _operators(self) -> None:
        encoding = self.encoding

        def mutate(rng: np.random.Generator) -> list[Any]:
            return [encoding.mutate(self.genomes[0], rng, g) for g in (1, 2, 1000)]

        def mate(rng: np.random.Generator) -> list[Any]:
            children = list(encoding.mate(self.genomes[0], self.genomes[1], rng))
            assert len(children) == 2, f"mate gives {len(children)} children, not 2"
            return children

        self._operator("mutate", mutate)
        self._operator("mate", mate)

    def _operator(self, name: str, operator: Callable[[np.random.Generator], list[Any]]) -> None:
        encoding = self.encoding
        with self.faults.expecting(f"{name} changes its parent", _COPY):
            for trial in range(4):
                before, pictures = self._dumped(), self._render(self.genomes)
                operator(self._rng(1, trial))
                for was, now in zip(before, self._dumped(), strict=True):
                    _same_bytes(now, was, f"the parent after and before {name}")
                np.testing.assert_array_equal(
                    self._render(self.genomes), pictures, f"the parents' pictures after {name}"
                )
        with self.faults.expecting(f"{name} is not determined by its generator", _GENERATOR):
            for trial in range(4):
                results = []
                for _ in range(2):
                    self._sample()  # a parent that was changed is no longer the same
                    children = operator(self._rng(2, trial))
                    results.append([encoding.dump(child) for child in children])
                for one, two in zip(*results, strict=True):
                    _same_bytes(two, one, f"two results of {name} by one seed")
        self._sample()
        with self.faults.expecting(f"children of {name} cannot be dumped, loaded and drawn", _COPY):
            children = operator(self._rng(3, 0))
            for child in children:
                data = encoding.dump(child)
                _same_bytes(encoding.dump(encoding.load(data)), data, "dump(load(data)) and data")
            self._render(children)
        self._sample()

    def _batches(self, encoding: Any) -> None:
        """A batch operation gives what the operator gives, over some generations."""
        mend = (
            "give for each genome exactly what the operator gives with its generator, in the same"
            " order; a pair that is not crossed comes back as the same objects"
        )
        with self.faults.expecting("mate_many or mutate_many differs from one at a time", mend):
            assert len(encoding.mutate_many([], self._rngs(0, 0), 1)) == 0, "of no genomes"
            assert len(encoding.mate_many([], [], self._rngs(0, 0))) == 0, "of no pairs"
            genomes = self.genomes
            for generation in range(1, 13):
                rngs = self._rngs(generation, len(genomes))
                others = genomes[1:] + genomes[:1]
                crossed = list(encoding.mate_many(genomes, others, rngs))
                assert len(crossed) == len(genomes), f"{len(crossed)} pairs, not {len(genomes)}"
                for one, two, rng, pair in zip(genomes, others, rngs, crossed, strict=True):
                    for child, wanted, parent in zip(
                        pair, encoding.mate(one, two, rng), (one, two), strict=True
                    ):
                        _same_bytes(encoding.dump(child), encoding.dump(wanted), "mate_many, mate")
                        assert (child is parent) == (wanted is parent), "a parent that is a copy"
                parents = [pair[k % 2] for k, pair in enumerate(crossed)]
                bred = encoding.mutate_many(parents, rngs, generation)
                assert len(bred) == len(parents), f"{len(bred)} genomes, not {len(parents)}"
                pictures = np.array(encoding.render(bred, self.shape[1:]))
                genomes = list(bred)
                for child, parent, rng in zip(genomes, parents, rngs, strict=True):
                    wanted = encoding.mutate(parent, rng, generation)
                    _same_bytes(
                        encoding.dump(child), encoding.dump(wanted), "mutate_many and mutate"
                    )
                np.testing.assert_array_equal(
                    pictures, self._render(genomes), "pictures of what mutate_many gives"
                )

    def _rngs(self, outer: int, count: int) -> Generators:
        return Generators(self.seed, Stream.MUTATE, outer, range(count))

    def _render(self, genomes: list[Any], size: Size | None = None) -> Any:
        return np.array(self.encoding.render(genomes, size or self.shape[1:]))

    def _pictures(self) -> None:
        encoding, own = self.encoding, self.shape[1:]
        for size in (own, *OTHER_SIZES):
            for genomes in (self.genomes, self.genomes[:1], []):
                wanted = (len(genomes), self.shape[0], *size)
                with self.faults.expecting(
                    f"render does not give uint8 pictures N x C x H x W at {_where(size, own)}",
                    "return an array of type numpy.uint8 and shape (len(genomes), channels,"
                    " *size) for every size, and an empty one for no genomes",
                ):
                    images = encoding.render(genomes, size)
                    assert isinstance(images, np.ndarray), f"it is a {type(images).__name__}"
                    assert images.dtype == np.uint8, f"dtype: {images.dtype}, not uint8"
                    assert images.shape == wanted, f"shape: {images.shape}, not {wanted}"
        if any(fault.what.startswith("render gives no") for fault in self.faults.found):
            return
        with self.faults.expecting(
            "a picture depends on what else is drawn with it",
            "draw each genome by itself: no statistics over the batch, and nothing that depends"
            " on its place there",
        ):
            together = self._render(self.genomes)
            alone = np.concatenate([self._render([genome]) for genome in self.genomes])
            np.testing.assert_array_equal(alone, together, "pictures alone and in a batch")
            np.testing.assert_array_equal(
                self._render(self.genomes[::-1])[::-1], together, "pictures in another order"
            )
        with self.faults.expecting(
            "a picture depends on what was drawn before",
            "keep nothing from one call of render to the next, and return a new array each time",
        ):
            first = encoding.render(self.genomes[:1], own)
            kept = first.copy()
            encoding.render(self.genomes[1:2], own)
            np.testing.assert_array_equal(first, kept, "a picture after another was drawn")
            encoding.render(self.genomes[:1], OTHER_SIZES[0])
            np.testing.assert_array_equal(
                self._render(self.genomes[:1]), kept, "a picture after one of another size"
            )
        with self.faults.expecting("render changes its genomes", _COPY):
            before = self._dumped()
            self._render(self.genomes)
            for was, now in zip(before, self._dumped(), strict=True):
                _same_bytes(now, was, "the genome after and before render")

    def _garbage(self) -> None:
        rng = self._rng(4)
        data = self.encoding.dump(self.genomes[0])
        damaged = [b"", b"\0", data[:-1], data[: len(data) // 2], data + b"\0", data + data,
                   bytes(len(data)), b"\xff" * len(data)]  # fmt: skip
        for _ in range(DAMAGED if data else 0):
            changed = bytearray(data)
            changed[int(rng.integers(len(data)))] = int(rng.integers(256))
            damaged.append(bytes(changed))
        for each in damaged:
            if each == data:
                continue
            shown = f"{each[:24]!r}{'...' if len(each) > 24 else ''} ({len(each)} bytes)"
            try:
                genome = self.encoding.load(each)
            except ValueError:
                continue
            except Exception as error:  # a stranger's
                self.faults.add(
                    "load raises something other than ValueError on bytes that dump did not write",
                    f"{type(error).__name__}: {error}\nof {shown}",
                    "check the bytes first: run folders may come from anyone",
                )
                continue
            with self.faults.expecting(
                "load accepts bytes that dump cannot have written",
                "check length, ranges and finiteness, and raise ValueError: run folders may come"
                " from anyone",
            ):
                again = self.encoding.dump(genome)
                _same_bytes(again, each, f"dump(load(data)) and data, {shown},")
                self._use(genome, shown)

    def _use(self, genome: Any, shown: str) -> None:
        """Draw, describe and vary a genome that `load` has accepted, however odd its bytes are."""
        try:
            with warnings.catch_warnings(action="error", category=RuntimeWarning):
                self._render([genome])
                self.encoding.mutate(genome, self._rng(5), 1)
                if self.describes:
                    json.dumps(self.encoding.describe(genome), allow_nan=False)
        except Exception as error:  # a stranger's
            raise AssertionError(
                f"from {shown} it makes a genome that cannot be used: {type(error).__name__}:"
                f" {error}"
            ) from error

    def _descriptions(self) -> None:
        with self.faults.expecting(
            "describe does not give a JSON object",
            "return a dict of str, int, float, bool, None and lists of these; numpy's numbers need"
            " .item() or .tolist()",
        ):
            for genome in self.genomes:
                told = self.encoding.describe(genome)
                assert isinstance(told, dict), f"it is a {type(told).__name__}"
                _assert_json(told)
            self.describes = True

    def _vectors(self, encoding: Any) -> None:
        with self.faults.expecting(
            "to_vector and from_vector are not inverse on [0, 1]^n",
            "return float64 numbers on [0, 1], the same number of them for every genome, and clip"
            " in from_vector",
        ):
            lengths = set()
            for genome in self.genomes:
                vector = np.asarray(encoding.to_vector(genome))
                lengths.add(vector.shape)
                assert vector.ndim == 1, f"to_vector gives an array of shape {vector.shape}"
                assert ((vector >= 0) & (vector <= 1)).all(), "numbers outside [0, 1]"
                back = np.asarray(encoding.to_vector(encoding.from_vector(vector)))
                np.testing.assert_allclose(back, vector, atol=1e-6, err_msg="a vector, and back")
                outside = encoding.to_vector(encoding.from_vector(vector * 3 - 1))
                np.testing.assert_allclose(outside, np.clip(vector * 3 - 1, 0, 1), atol=1e-6)
            assert len(lengths) == 1, f"vectors of different lengths: {lengths}"


def _global_state() -> tuple[Any, Any]:
    """Of the generators that whole programs share."""
    return np.random.get_state(legacy=False), random.getstate()  # noqa: NPY002


def _assert_json(value: dict[str, Any]) -> None:
    try:
        back = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"{value}: {error}") from error
    assert back == value, f"{value} becomes {back}"


def _same_bytes(actual: bytes, wanted: bytes, what: str) -> None:
    if actual == wanted:
        return
    assert len(actual) == len(wanted), f"{what} differ: {len(actual)} and {len(wanted)} bytes"
    one, two = np.frombuffer(actual, np.uint8), np.frombuffer(wanted, np.uint8)
    np.testing.assert_array_equal(one, two, f"{what} differ")


def _where(size: Size, own: Size) -> str:
    return "its own size" if size == own else "other sizes"
