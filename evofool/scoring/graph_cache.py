"""Where the exported graph of a module is kept, and when it must not be."""

from __future__ import annotations

from pathlib import Path

from evofool.classifiers.base import Classifier
from evofool.files import cache_folder

__all__ = ["cache_folder", "graph_path", "unseen"]


def graph_path(classifier: Classifier, shape: tuple[int, ...]) -> Path | None:
    """The file of the module's graph for inputs of `shape`, named by all that can change an answer.

    That is the module's weights, whatever else it holds, its code, and versions of libraries. None
    where the module holds something that cannot be read: an old graph could answer for a new one.
    """
    from evofool.classifiers.identity.digest import cache_key

    assert classifier.module is not None
    key = cache_key(classifier.module)
    if key is None:
        return None
    side = "x".join(str(n) for n in shape)
    return cache_folder() / "onnx" / f"{key[:32]}-{side}.onnx"


def unseen(classifier: Classifier) -> str:
    """For people: what of a victim its digest does not cover; "" where it covers all."""
    if not classifier.opaque:
        return ""
    more = len(classifier.opaque) - 3
    parts = ", ".join(classifier.opaque[:3]) + (f" and {more} more" if more > 0 else "")
    return (
        f"the digest of {classifier.name} cannot cover {parts}: if that changes, resume and"
        " verify do not notice, and its graph is exported again each time"
    )
