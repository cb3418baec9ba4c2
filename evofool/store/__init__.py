"""The run folder: SQLite, manifest, locking. Only this package writes into one."""

from evofool.store.attack_schema import CLEAN, ChunkRow, Counts, ImageRow, ResultRow
from evofool.store.attackfolder import AttackFolder
from evofool.store.files import write_atomically
from evofool.store.folder import Check, Folder, Result
from evofool.store.runfolder import Archive, RunFolder
from evofool.store.schema import (
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
)
from evofool.store.state import head_of, state_of

__all__ = [
    "CLEAN",
    "Archive",
    "AttackFolder",
    "Check",
    "ChunkRow",
    "Counts",
    "Delta",
    "EliteRow",
    "ExperimentFolder",
    "Folder",
    "GenerationRow",
    "ImageRow",
    "IndividualId",
    "IndividualRow",
    "Result",
    "ResultRow",
    "RunFolder",
    "WinRow",
    "head_of",
    "state_of",
    "write_atomically",
]
