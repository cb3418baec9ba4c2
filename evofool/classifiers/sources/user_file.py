"""The user's own victims: ``path/to/file.py:function``."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import sys
from pathlib import Path

from evofool.classifiers.base import Classifier, Output
from evofool.classifiers.build import UNNAMED, freeze, from_module, from_predict
from evofool.classifiers.checks.probe import probe
from evofool.classifiers.identity.siblings import imported_files, sha256_files, sha256_source
from evofool.classifiers.sources.user_code import UserCode
from evofool.classifiers.spec import ClassifierSpec, Inspection, resolve
from evofool.errors import ClassifierError, EvofoolError
from evofool.files import read_file

_KEYS = ("input_shape", "labels", "output", "link", "mean", "std", "probe", "task")


def matches(name: str) -> bool:
    """Whether `name` has the form ``path.py:function`` (or lacks only the function)."""
    path, _, function = name.rpartition(":")
    return path.endswith(".py") or function.endswith(".py")


def load_user(spec: ClassifierSpec, base: Path) -> Classifier:
    """Runs the file, calls its function, and makes a victim of what it returns.

    The file is code and is run as such: load only what you would run yourself.

    Raises:
        ClassifierError: no such file or function, it fails, or returns something else than a
            module, a predict function or a `Classifier`.
    """
    spec.allow("a file of your own", _KEYS)
    path, function = _split(spec, base)
    if not path.is_file():
        raise ClassifierError(f"classifier {spec.name}: {path}: no such file")
    source = (path, sha256_source(path))  # before anything is run
    code = UserCode(path)
    made = _call(spec.name, code, function)
    if isinstance(made, Classifier):
        return _with_files(_ready(spec, made, source), code)
    if not callable(made):
        raise ClassifierError(
            f"classifier {spec.name}: {function}() returned a {type(made).__name__}; it must"
            " return a torch module, a predict function or a Classifier"
        )
    if spec.input_shape is None:
        raise ClassifierError(
            f"classifier {spec.name}: input_shape: is needed with a module or a predict"
            " function; set [channels, height, width]"
        )
    labels = spec.read_labels(base)
    if _is_module(made):
        victim = from_module(
            made,  # type: ignore[arg-type]
            input_shape=spec.input_shape,
            name=spec.name,
            labels=labels,
            output=spec.output,
            link=spec.link,
            mean=spec.mean,
            std=spec.std,
            source=source,
            keep=True,
            probe=spec.probe or "full",
            task=spec.task,
        )
        return _with_files(victim, code)
    if spec.mean is not None or spec.std is not None:
        raise ClassifierError(
            f"classifier {spec.name}: mean and std cannot be set for a predict function,"
            " which gets uint8 images; normalise inside it"
        )
    default: Output = "probs" if spec.prototypes is None else "logits"  # features, as they are
    victim = from_predict(
        made,
        input_shape=spec.input_shape,
        name=spec.name,
        labels=labels,
        output=spec.output or default,
        link=spec.link,
        source=source,
        probe=spec.probe or "small",
        task=spec.task,
    )
    return _with_files(victim, code)


def inspect_user(spec: ClassifierSpec, base: Path) -> Inspection:
    """The description by the spec, and whether the file defines the function; nothing is run."""
    spec.allow("a file of your own", _KEYS)
    path, function = _split(spec, base)
    labels = spec.read_labels(base)
    n_classes = None if labels is None else len(labels)
    missing = ""
    if not path.is_file():
        missing = f"{path}: no such file"
    elif not _defines(path, function, spec.name):
        missing = f"{path} does not define {function}"
    return Inspection(spec.name, spec.input_shape, n_classes, not missing, missing)


def _split(spec: ClassifierSpec, base: Path) -> tuple[Path, str]:
    path, _, function = spec.name.rpartition(":")
    if not path or not function.isidentifier():
        raise ClassifierError(
            f"classifier {spec.name}: name the function that makes it: path/to/file.py:function"
        )
    return resolve(path, base), function


def _call(name: str, code: UserCode, function: str) -> object:
    path = code.path
    try:
        with code.loading():
            maker = getattr(code.run(), function, None)
            if not callable(maker):
                raise ClassifierError(f"classifier {name}: {path} does not define {function}")
            made: object = maker()
    except ClassifierError as error:
        raise ClassifierError(_under(name, str(error))) from error
    except EvofoolError:
        raise
    except (Exception, SystemExit) as error:  # a script that ends the process is no victim
        line = (str(error).splitlines() or [""])[0]
        raise ClassifierError(
            f"classifier {name}: {path} fails ({type(error).__name__}: {line})"
        ) from error
    return made


def _under(name: str, message: str) -> str:
    """`message` with the name from the config, if the function gave its victim none."""
    for unnamed in UNNAMED:
        rest = message.removeprefix(f"classifier {unnamed}: ")
        if rest != message:
            return f"classifier {name}: {rest}"
    return message


def _ready(spec: ClassifierSpec, made: Classifier, source: tuple[Path, str]) -> Classifier:
    for key in _KEYS:
        later = key == "probe" or (key == "task" and spec.task == "multi-label")
        if not later and getattr(spec, key) is not None:
            raise ClassifierError(
                f"classifier {spec.name}: {key} cannot be set, since the function returns a"
                " Classifier that has it"
            )
    title = made.title or ("" if made.name in UNNAMED else made.name)
    classifier = dataclasses.replace(made, name=spec.name, title=title, source=source)
    if classifier.module is not None:
        freeze(classifier.module)
    if classifier.predict is not None and made.probed and spec.probe is None:
        return classifier  # by `from_predict`; a service may be paid by the picture
    probed = probe(classifier, spec.probe)
    if classifier.predict is None:
        return classifier
    return dataclasses.replace(classifier, probed=made.probed + probed.pictures)


def _with_files(victim: Classifier, code: UserCode) -> Classifier:
    """`victim` with the digest of files that its code imported unseen by `sha256_source`.

    They were imported by a name that is made as the code runs, or from a folder that the code put
    into `sys.path`.
    """
    hidden = sorted(set(code.files()) - set(imported_files(code.path)))
    if not hidden:
        return victim
    files = sha256_files(code.path.parent, code.path, hidden)
    digest = hashlib.sha256(f"{victim.digest} {files}".encode()).hexdigest()
    old_digest = victim.digest if victim.old_digest is None else victim.old_digest
    return dataclasses.replace(victim, digest=digest, old_digest=old_digest)


def _is_module(made: object) -> bool:
    # Asked of the class's ancestry by name first: a predict function needs no torch.
    if "torch" not in sys.modules:
        return False
    from torch import nn

    return isinstance(made, nn.Module)


def _defines(path: Path, function: str, name: str) -> bool:
    try:
        tree = ast.parse(read_file(path))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
        raise ClassifierError(f"classifier {name}: {path}: is not Python ({error})") from error
    return any(_binds(node, function) for node in tree.body)


def _binds(node: ast.stmt, name: str) -> bool:
    match node:
        case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
            return node.name == name
        case ast.Assign():
            return any(
                isinstance(target, ast.Name) and target.id == name for target in node.targets
            )
        case ast.Import() | ast.ImportFrom():
            return any((alias.asname or alias.name) in (name, "*") for alias in node.names)
        case ast.If() | ast.Try() | ast.With():
            return any(
                _binds(inner, name)
                for inner in ast.walk(node)
                if isinstance(inner, ast.stmt) and inner is not node
            )
        case _:
            return False
