"""Classifiers of scikit-learn from skops files: nothing that is stored in one is run.

skops makes only objects of types that are trusted, and names all others. Of the types that it does
not trust by itself one is added here, the node storage of decision trees, since forests have it:
scikit-learn follows the indices in it without looking at them, so they are checked first.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evofool.errors import ClassifierError
from evofool.files import read_file, reason
from evofool.text import inert

TREE = "sklearn.tree._tree.Tree"
INSTALL = "scikit-learn and skops are not installed: pip install 'evofool[sklearn]'"
_MAX_UNPACKED = 1 << 32
"""Most bytes that a file may unpack to."""
_NAMED = 5
"""Types that a message names."""
_BROKEN = (
    ArithmeticError, AttributeError, ImportError, LookupError, MemoryError, NotImplementedError,
    OSError, RecursionError, TypeError, ValueError, zipfile.BadZipFile,
)  # fmt: skip
"""What skops and scikit-learn raise for damaged content, besides their own errors."""


def read_model(path: Path, name: str) -> tuple[Any, str]:
    """The fitted classifier in a skops file, and the hex sha256 of the file.

    Args:
        path: the file.
        name: of the victim, for messages.

    Raises:
        ClassifierError: a missing package, a file that is missing, damaged or holds other types
            than trusted ones, or no fitted classifier.
    """
    try:
        import sklearn.base
        from skops import io as skops_io
    except ImportError as error:
        raise ClassifierError(f"classifier {name}: {INSTALL}") from error
    try:
        data = read_file(path)
    except OSError as error:
        raise ClassifierError(f"classifier {name}: {path}: {reason(error)}") from error
    try:
        _check_archive(data)
        untrusted = [each for each in skops_io.get_untrusted_types(data=data) if each != TREE]
        if untrusted:
            raise ClassifierError(_refused(name, untrusted))
        model = skops_io.loads(data, trusted=[TREE])
        _check_trees(model)
    except ClassifierError:
        raise
    except _BROKEN as error:
        raise ClassifierError(
            f"classifier {name}: {path}: is not a sound skops file ({type(error).__name__}:"
            f" {inert(reason(error))[:200]})"
        ) from error
    if not isinstance(model, sklearn.base.BaseEstimator) or not sklearn.base.is_classifier(model):
        raise ClassifierError(
            f"classifier {name}: {path}: holds a {inert(type(model).__name__)}, which is not a"
            " classifier of scikit-learn"
        )
    return model, hashlib.sha256(data).hexdigest()


def _refused(name: str, untrusted: list[str]) -> str:
    shown = ", ".join(inert(each)[:200] for each in untrusted[:_NAMED])
    more = f" and {len(untrusted) - _NAMED} more" if len(untrusted) > _NAMED else ""
    return (
        f"classifier {name}: the file holds types that are not trusted: {shown}{more}; it is not"
        " loaded. Save a model that has only scikit-learn's own types (for k-nearest"
        " neighbours, with algorithm='brute')"
    )


def _check_archive(data: bytes) -> None:
    """Refuses what unpacks to too much, and trees that are not built as scikit-learn saves them.

    Raises:
        ValueError: with the reason.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(info.file_size for info in archive.infolist()) > _MAX_UNPACKED:
            raise ValueError(f"unpacks to more than {_MAX_UNPACKED} bytes")
        nodes = list(_nodes(json.loads(archive.read("schema.json"))))
        by_id: dict[object, list[Mapping[str, Any]]] = {}
        for node in nodes:
            by_id.setdefault(node["__id__"], []).append(node)
        for node in nodes:
            if node.get("__loader__") != "TreeNode":
                continue
            arguments = node["__reduce__"]["args"]
            _, classes, outputs = arguments["content"]
            for part in (arguments, classes, outputs):
                # skops makes one object of all that have one id, whatever they hold
                if any(other != part for other in by_id[part["__id__"]]):
                    raise ValueError("two objects have the same id")
            stored = io.BytesIO(archive.read(classes["file"]))
            shape = np.lib.format.read_array(stored, allow_pickle=False).shape
            if (shape, json.loads(outputs["content"])) != ((1,), 1):
                raise ValueError("a tree has several outputs")


def _nodes(schema: object) -> Iterator[Mapping[str, Any]]:
    """Every object of a schema, on any level."""
    if isinstance(schema, dict):
        if "__id__" in schema:
            yield schema
        for value in schema.values():
            yield from _nodes(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _nodes(value)


def _check_trees(model: object) -> None:
    """Refuses trees whose nodes lead out of them, in a circle, or to features that there are not.

    Raises:
        ValueError: with the reason.
    """
    from sklearn.tree._tree import Tree

    seen: set[int] = set()
    waiting: list[tuple[object, float]] = [(model, np.inf)]
    while waiting:
        value, features = waiting.pop()
        if isinstance(value, Tree):  # may be reached by two ways with different bounds
            _check_tree(value, features)
            continue
        if id(value) in seen:
            continue
        seen.add(id(value))
        own = getattr(value, "__dict__", {})
        if type(value).__name__ != "Pipeline":  # whose steps get what the one before gives
            features = min(features, own.get("n_features_in_", np.inf))
        inner: list[object] = list(own.values())
        if isinstance(value, dict):
            inner += value.values()
        elif isinstance(value, list | tuple | set):
            inner += value
        elif isinstance(value, np.ndarray) and value.dtype == object:
            inner += value.ravel().tolist()
        waiting += [(each, features) for each in inner]


def _check_tree(tree: Any, features: float) -> None:
    n = tree.node_count
    if not 1 <= n == tree.capacity:
        raise ValueError("a tree does not have the number of nodes that it declares")
    left, right = np.array(tree.children_left), np.array(tree.children_right)
    inner = left != -1  # where scikit-learn sees a leaf
    at = np.arange(n)
    for child in (left, right):  # which always comes after its parent
        if not ((child > at) & (child < n))[inner].all():
            raise ValueError("a node of a tree points outside the tree")
    feature = np.array(tree.feature)[inner]
    if not ((feature >= 0) & (feature < features)).all():
        raise ValueError("a tree uses features that do not exist")
