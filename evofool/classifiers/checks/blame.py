"""What a failure of a victim is about, in words that name the mend."""

from __future__ import annotations

import re

from evofool.errors import ClassifierError

_DTYPE = re.compile(
    r"dtype|scalar type|should be the same|\b(Double|Half|BFloat16|Byte|double|half)\b",
    re.IGNORECASE,
)
_SHAPE = re.compile(
    r"shape|size|dimension|channels|broadcast|reshape|view|mat1 and mat2|index .*out of",
    re.IGNORECASE,
)
_GRAD = re.compile(r"requires? grad|inference tensor", re.IGNORECASE)
_DEVICE = re.compile(r"same device|on device|cuda|meta tensor", re.IGNORECASE)


def blamed(error: BaseException, name: str, shape: tuple[int, ...]) -> ClassifierError:
    """The error of a victim `name` that failed on images of `shape`, with a hint where one fits."""
    by = " x ".join(str(n) for n in shape)
    line = (str(error).strip().splitlines() or [""])[0]
    what = f"{type(error).__name__}: {line}" if line else type(error).__name__
    return ClassifierError(
        f"classifier {name}: fails on a batch of {by} images ({what}){_hint(error, line)}"
    )


def _hint(error: BaseException, line: str) -> str:
    match error:
        case ImportError():
            return f"; install {error.name}" if error.name else "; is all that it needs installed?"
        case SystemExit():
            return "; it must return scores, not end the process"
        case FileNotFoundError() | PermissionError():
            return "; it cannot open a file that it needs"
        case TimeoutError() | OSError():  # urllib's errors are OSErrors too
            return "; does the service that it calls answer?"
        case NotImplementedError() | AttributeError() | NameError():
            return "; the mistake is in its own code"
    for pattern, hint in (
        (_GRAD, "; return scores.detach()"),
        (
            _DTYPE,
            "; it gets float32 images (a predict function uint8): convert its weights, or"
            " the images inside it",
        ),
        (_DEVICE, "; its parts must be on the same device"),
        (_SHAPE, "; is input_shape right?"),
    ):
        if pattern.search(line):
            return hint
    return ""
