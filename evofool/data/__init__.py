"""Data sets, and the small sample that ships."""

from __future__ import annotations

from evofool.data.base import Dataset, DatasetInfo, Split
from evofool.data.load import (
    DataSets,
    data_folder,
    download_dataset,
    inspect_dataset,
    load_dataset,
    names,
)

__all__ = [
    "DataSets",
    "Dataset",
    "DatasetInfo",
    "Split",
    "data_folder",
    "download_dataset",
    "inspect_dataset",
    "load_dataset",
    "names",
]
