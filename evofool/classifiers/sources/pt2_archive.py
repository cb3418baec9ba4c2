"""Programs that `torch.export.save` wrote, made harmless before torch reads them.

`torch.export.load` is not meant for files of strangers: it unpickles examples of inputs and objects
of any class, loads compiled code, looks operators up by any dotted name (``torch.os.system`` is
one), evaluates the text of sizes as Python, and writes names into source code that it runs. So the
archive is read here first. What a classifier needs is checked word by word and written into a new
archive; the rest is left out or, where the program cannot do without it, refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evofool.errors import ClassifierError
from evofool.files import open_file, reason

_MAX_TEXT = 1 << 28
"""Largest description of a program that is read, in bytes."""

_NEEDED = "models/model.json", "archive_version", "data/weights/model_weights_config.json"
_OLD = "serialized_exported_program.json"
_KEPT = re.compile(
    r"models/model\.json|archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
    r"|data/weights/(weight_\d+|model_weights_config\.json)"
    r"|data/constants/(tensor_\d+|model_constants_config\.json)"
)
_LEFT_OUT = re.compile(r"data/sample_inputs/model\.pt|extra/.*")
"""Of no use here. Examples of inputs are a pickle; torch takes an empty file for none."""
_EMPTIED = "data/sample_inputs/model.pt"

_PLAIN = re.compile(r"[\w.+\-]{0,400}")
"""Names, among which no Python can be hidden."""
_VARIABLE = re.compile(r"\w{0,400}")
"""Names of values, which become variables: ``torch.load`` would be assigned to."""
_WORDS = frozenset((
    "Abs", "Add", "And", "CeilDiv", "CeilToInt", "CleanDiv", "Eq", "False", "FloorDiv",
    "FloorToInt", "Ge", "Gt", "Identity", "IntTrueDiv", "Integer", "Le", "Lt", "Max", "Min", "Mod",
    "ModularIndexing", "Mul", "Ne", "Not", "Or", "PythonMod", "Rational", "ToFloat", "True",
    "TruncToInt", "Where", "false", "true",
))  # fmt: skip
_TOKEN = re.compile(r"\s+|[A-Za-z_]\w*|\d{1,18}(?:\.\d{1,18})?|[-+*/(),<>=!&|~]")
_SYMBOL = re.compile(r"[suz][a-z]{0,3}\d{1,6}")
_CALL = re.compile(rf"Symbol\('({_SYMBOL.pattern})'(?:, [a-z]+=(?:True|False)){{0,6}}\)")
_POWER = re.compile(rf"Pow\({_SYMBOL.pattern}, Integer\(-?\d\)\)")
"""The only powers: torch would work out 9**9**9."""

_EMPTY = {"metadata": dict, "guards_code": list, "treespec_namedtuple_fields": dict}
"""Parts of a description that say nothing of what is computed, and what they become."""
_FREE = ("as_string", "as_strings")
"""Arguments of operators, which stay texts."""
_CONTAINERS = ("builtins.tuple", "builtins.list", "builtins.dict", None)

_SHAPES = "getitem add sub mul floordiv truediv mod neg pow eq ne lt le gt ge and_ or_"
_OTHERS = frozenset(
    [f"_operator.{word}" for word in _SHAPES.split()]
    + ["math.trunc", "math.ceil", "math.floor"]
    + [f"torch.sym_{word}" for word in ("int", "float", "ite", "max", "min", "not", "sum", "sqrt")]
    + [f"torch.ops.higher_order.wrap_with_{word}" for word in ("set_grad_enabled", "autocast")]
)
"""Arithmetic of sizes, and blocks without gradients or in lower precision."""
_PRIVATE = frozenset((
    "_adaptive_avg_pool2d", "_assert_scalar", "_assert_tensor_metadata", "_log_softmax",
    "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
    "_scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu", "_softmax",
    "_to_copy", "_unsafe_view", "_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa",
))  # fmt: skip
"""Operators with an underscore that exported nets hold; others may trust what they are given."""
_WITHOUT_TENSOR = frozenset({"sym_size", "sym_stride", "sym_numel", "item"})


@dataclass(frozen=True)
class CheckedProgram:
    """An archive that torch may read.

    Attributes:
        archive: the new archive, for `torch.export.load`.
        sha256: hex, of the file it was made of.
    """

    archive: io.BytesIO
    sha256: str


def checked_program(path: Path, name: str) -> CheckedProgram:
    """The program in `path`, without what could run code as it is read.

    Raises:
        ClassifierError: no such program, or one that holds pickled objects, compiled code, or
            operators beyond those of PyTorch that compute with tensors.
    """
    where = f"classifier {name}"
    sha256 = hashlib.sha256()
    try:
        with open_file(path) as file:
            while block := file.read(1 << 20):
                sha256.update(block)
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                return CheckedProgram(_copied(archive, where), sha256.hexdigest())
    except (OSError, zipfile.BadZipFile, RuntimeError, ValueError, RecursionError) as error:
        raise ClassifierError(
            f"{where}: cannot be read as a program of torch.export ({reason(error)})"
        ) from error


def _copied(archive: zipfile.ZipFile, where: str) -> io.BytesIO:
    entries = _members(archive, where)
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as new:
        for member, entry in entries.items():
            if _LEFT_OUT.fullmatch(member):
                continue
            content = archive.read(entry)
            if member.endswith(".json"):
                content = _checked_text(member, content, where)
            new.writestr(f"model/{member}", content)
        new.writestr(f"model/{_EMPTIED}", b"")
    copy.seek(0)
    return copy


def _members(archive: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    """The entries by their names below the archive's only folder, all of a known kind."""
    if _OLD in archive.namelist():
        raise ClassifierError(
            f"{where}: is in an older format, whose weights are pickled; export the net again with"
            " a newer torch"
        )
    entries: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        member = entry.filename.partition("/")[2]
        if entry.compress_type != zipfile.ZIP_STORED:
            raise ClassifierError(f"{where}: is compressed; save it with torch.export.save")
        if member in entries:
            raise ClassifierError(f"{where}: holds {member[:100]} twice; save it again")
        entries[member] = entry
    absent = [member for member in _NEEDED if member not in entries]
    if absent:
        raise ClassifierError(
            f"{where}: was not written by torch.export.save (it has no {absent[0]}); for weights"
            " name"
            " the architecture, for other nets a file of your own: path/to/file.py:function"
        )
    for member in entries:
        if not (_KEPT.fullmatch(member) or _LEFT_OUT.fullmatch(member)):
            what = "compiled code" if "aotinductor" in member else "pickled or unknown parts"
            raise ClassifierError(
                f"{where}: is refused, since it holds {what} ({member[:100]}), which could run"
                " code when it"
                " is read; export the plain net again"
            )
    return entries


def _checked_text(member: str, content: bytes, where: str) -> bytes:
    if len(content) > _MAX_TEXT:
        raise ClassifierError(
            f"{where}: {member} is larger than {_MAX_TEXT >> 20} MB; export the net again"
        )
    told = json.loads(content)
    if not isinstance(told, dict):
        raise ClassifierError(f"{where}: {member} is not a JSON object; export the net again")
    try:
        if member == _NEEDED[0]:
            _only_first_call(told)
            _Checked().value(told, "")
        else:
            _check_payloads(told)
    except _RefusedError as error:
        raise ClassifierError(f"{where}: {member}: refused, {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ClassifierError(f"{where}: {member} is damaged ({reason(error)})") from error
    return json.dumps(told).encode()


class _RefusedError(ValueError):
    """Why a description is refused."""


def _check_payloads(told: dict[str, Any]) -> None:
    """Weights and constants are plain bytes, none of them a pickle."""
    for key, payload in told["config"].items():
        plain = re.fullmatch(r"(weight|tensor)_\d+", payload["path_name"])
        if payload["use_pickle"] or not plain:
            raise _RefusedError(f"{key[:100]!r} is a pickled object; export the plain net again")
        _Checked().value(payload["tensor_meta"], "")


def _only_first_call(told: dict[str, Any]) -> None:
    """Leave the call of the whole net alone: those of its parts say nothing of what it computes."""
    module = told["graph_module"]
    module["module_call_graph"] = [
        entry for entry in module["module_call_graph"] if entry["fqn"] == ""
    ]
    for entry in module["module_call_graph"]:
        for key in ("in_spec", "out_spec"):
            _check_tree(json.loads(entry["signature"][key])[1])
            entry["signature"][key] = _Tree(entry["signature"][key])


class _Tree(str):
    """The text of a tree of containers that has been checked."""

    __slots__ = ()


def _check_tree(tree: dict[str, Any]) -> None:
    """Arguments and results in tuples, lists and dictionaries: other types are imported."""
    context = tree["context"]
    if isinstance(context, str):
        context = json.loads(context)
    named = isinstance(context, list) and all(isinstance(key, str) for key in context)
    if tree["type"] not in _CONTAINERS or not (context is None or named):
        raise _RefusedError(
            f"it takes or returns a {str(tree['type'])[:100]}; export a module that takes one"
            " tensor and returns one"
        )
    for child in tree["children_spec"]:
        _check_tree(child)


class _Checked:
    """Goes through a description, and empties what no classifier needs."""

    def value(self, value: object, key: str) -> None:
        """Raises `_RefusedError` if a text in `value`, which is that of `key`, may do harm."""
        if isinstance(value, dict):
            for name in list(value):
                if name in _EMPTY:
                    value[name] = _EMPTY[name]()
                elif name in ("device", "as_device") and isinstance(value[name], dict):
                    value[name] = {"type": "cpu", "index": None}  # where everything is loaded
                else:
                    self._text(name, "name")
                    self.value(value[name], name)
        elif isinstance(value, list):
            for part in value:
                self.value(part, key)
        elif isinstance(value, str):
            self._text(value, key)

    def _text(self, text: str, key: str) -> None:
        if key in ("target", "as_operator"):
            _check_operator(text)
        elif key == "expr_str":
            _check_expression(text)
        elif key in _FREE or isinstance(text, _Tree):
            return
        elif not (_VARIABLE if key in ("name", "as_name") else _PLAIN).fullmatch(text):
            raise _RefusedError(f"{key[:50]} {text[:100]!r} is no name")


def _check_expression(text: str) -> None:
    """Arithmetic of numbers and sizes such as ``s0``."""
    plain = _POWER.sub("Integer(1)", _CALL.sub(r"\1", text))
    words = re.findall(r"[A-Za-z_]\w*", plain)
    known = all(word in _WORDS or _SYMBOL.fullmatch(word) for word in words)
    if _TOKEN.sub("", plain) or len(text) > 2000 or not known or "**" in plain:
        raise _RefusedError(f"{text[:100]!r} is no size")


def _check_operator(text: str) -> None:
    """Operators of PyTorch that compute with tensors, and arithmetic of sizes."""
    if text in _OTHERS:
        return
    if not _harmless(text):
        raise _RefusedError(
            f"its operator {text[:100]} is none of PyTorch's own that are known to be harmless;"
            " load the net in a file of your own: path/to/file.py:function"
        )


def _harmless(text: str) -> bool:
    import torch

    parts = text.split(".")
    if parts[:3] != ["torch", "ops", "aten"] or len(parts) != 5:
        return False
    if parts[3].startswith("_") and parts[3] not in _PRIVATE:
        return False
    try:
        operator: Any = getattr(getattr(torch.ops.aten, parts[3]), parts[4])
        schema = operator._schema
    except (AttributeError, RuntimeError):
        return False
    files = any(argument.name == "filename" for argument in schema.arguments)
    computes = any("Tensor" in str(result.type) for result in schema.returns)
    return not files and (computes or parts[3] in _PRIVATE | _WITHOUT_TENSOR)
