"""The pictures of a run as a data set that other programs read: see docs/exporting.md."""

from evofool.experiments.export.written import FORMATS, export

__all__ = ["FORMATS", "export"]
