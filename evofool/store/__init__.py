"""The run folder: SQLite, manifest, locking. Only this package writes into one."""

from evofool.store.attack_schema import CLEAN, ChunkRow, Counts, ImageRow, ResultRow
from evofool.store.attackfolder import AttackFolder
from evofool.store.defend_schema import DiagnosticRow, ThreatRow
from evofool.store.defendfolder import CostsFolder, DefendFolder
from evofool.store.files import write_atomically
from evofool.store.runfolder import Archive, Check, Result, RunFolder, state_of
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
    "CLEAN",
    "SCHEMA_VERSION",
    "Archive",
    "AttackFolder",
    "Check",
    "ChunkRow",
    "CostsFolder",
    "Counts",
    "DefendFolder",
    "Delta",
    "DiagnosticRow",
    "EliteRow",
    "GenerationRow",
    "ImageRow",
    "IndividualId",
    "IndividualRow",
    "Result",
    "ResultRow",
    "RunFolder",
    "ThreatRow",
    "WinRow",
    "state_of",
    "write_atomically",
]
