"""The run folder: SQLite, manifest, locking. Only this package writes into one."""

from evofool.store.files import write_atomically
from evofool.store.runfolder import Archive, RunFolder
from evofool.store.schema import (
    SCHEMA_VERSION,
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
)

__all__ = [
    "SCHEMA_VERSION",
    "Archive",
    "Delta",
    "EliteRow",
    "GenerationRow",
    "IndividualId",
    "IndividualRow",
    "RunFolder",
    "WinRow",
    "write_atomically",
]
