"""A service that writes down every picture it is sent, and fails when it is told to.

`SERVICE_LOG` names a file that grows by a byte a picture; once it is as long as the number in
`SERVICE_FAILS_AT`, the service does what `SERVICE_FAILS_BY` says: raise, memory, kill or nan.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evofool.classifiers import Classifier, from_predict

SIDE = 6
PIXELS = np.arange(SIDE * SIDE)
WEIGHTS = np.stack([(PIXELS * (3 * c + 5) + c * c) % 23 - 11 for c in range(7)])
"""Those of exact.py."""


def _predict(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    log = Path(os.environ["SERVICE_LOG"])
    before = log.stat().st_size if log.exists() else 0
    with log.open("ab", buffering=0) as file:
        file.write(b"." * len(images))
    logits = (images.reshape(len(images), -1).astype(np.int64) @ WEIGHTS.T) / 4096.0
    at = int(os.environ.get("SERVICE_FAILS_AT", "-1"))
    if before < at <= before + len(images):
        match os.environ["SERVICE_FAILS_BY"]:
            case "raise":
                raise RuntimeError("503")
            case "memory":
                raise MemoryError
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "nan":
                logits[at - before - 1] = np.nan
    return logits


def victim() -> Classifier:
    """As the toy of exact.py."""
    return from_predict(
        _predict, input_shape=(1, SIDE, SIDE), output="logits", link="sigmoid", name="service"
    )
