"""An encoding from a file of the user's."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from evofool import encodings
from evofool.errors import EncodingError

FILE = Path(__file__).parents[2] / "docs" / "examples" / "grating.py"
NAME = f"{FILE}:Grating"


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 20, 30)])
def test_it_does_all_an_encoding_does(shape: tuple[int, int, int]) -> None:
    encoding = encodings.load(NAME, shape)
    rng = np.random.default_rng(1)
    first, second = encoding.sample(rng), encoding.sample(rng)
    genomes = [first, encoding.mutate(first, rng, 1), *encoding.mate(first, second, rng)]
    images = encoding.render(genomes, shape[1:])
    assert images.shape == (4, *shape)
    assert images.dtype == np.uint8
    assert images.std() > 0
    for genome in genomes:
        data = encoding.dump(genome)
        assert encoding.dump(encoding.load(data)) == data
        assert encoding.describe(genome)["kind"] == "grating"


def test_it_is_known_by_its_file_and_digest() -> None:
    source = encodings.find(NAME)
    assert source.path == FILE.resolve()
    assert source.sha256 == hashlib.sha256(FILE.read_bytes()).hexdigest()


@pytest.mark.parametrize("data", [b"", b"\0", b"\0" * 25, b"\0" * 20, b"\xff" * 24])
def test_it_refuses_other_bytes(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"grating|buffer"):
        encodings.load(NAME, (1, 8, 8)).load(data)


def test_its_options_are_checked() -> None:
    assert encodings.load(NAME, (1, 8, 8), {"max_waves": 5}).options == {"max_waves": 5}
    with pytest.raises(EncodingError, match="max_waves"):
        encodings.load(NAME, (1, 8, 8), {"max_waves": 0})
    with pytest.raises(EncodingError, match="waves"):
        encodings.load(NAME, (1, 8, 8), {"waves": 3})
