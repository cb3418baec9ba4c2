"""Pictures as a Parquet table, its images in the form that Hugging Face's `datasets` reads."""

from __future__ import annotations

import io
import json

from evofool.errors import UsageError
from evofool.experiments.export.pictures import Pictures

_ROWS_A_GROUP = 100
"""Readers take a group of rows at a time: images make rows large."""
_NAMES = {int: "int64", float: "float64", bool: "bool", str: "string"}


def parquet_bytes(pictures: Pictures) -> bytes:
    """The content of the file: a column ``image`` of structs ``{bytes, path}``, the PNG as it is
    saved and its name, and a typed column for each fact; what is missing is null.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed: pip install 'evofool[parquet]'"
        ) from error
    types = {
        int: pyarrow.int64(),
        float: pyarrow.float64(),
        bool: pyarrow.bool_(),
        str: pyarrow.string(),
    }
    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    features = {
        "image": {"_type": "Image"},
        **{
            name: {"dtype": _NAMES[kind], "_type": "Value"}
            for name, kind in pictures.columns.items()
        },
    }
    schema = pyarrow.schema(
        [("image", image), *((name, types[kind]) for name, kind in pictures.columns.items())],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    rows = [
        {"image": {"bytes": picture.png, "path": picture.name}, **picture.facts}
        for picture in pictures.rows
    ]
    stream = io.BytesIO()
    parquet.write_table(
        pyarrow.Table.from_pylist(rows, schema=schema), stream, row_group_size=_ROWS_A_GROUP
    )
    return stream.getvalue()
