"""The run folder: SQLite, manifest, locking. Only this package writes into one."""

from evofool.store.attack_schema import CLEAN, ChunkRow, Counts, ImageRow, ResultRow
from evofool.store.attackfolder import AttackFolder
from evofool.store.defend_schema import DiagnosticRow, ThreatRow
from evofool.store.defendfolder import CostsFolder, DefendFolder
from evofool.store.files import write_atomically
from evofool.store.retrain_schema import MeasureRow, NetRow
from evofool.store.retrainfolder import RetrainFolder
from evofool.store.runfolder import Archive, Check, Result, RunFolder
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
    "MeasureRow",
    "NetRow",
    "Result",
    "ResultRow",
    "RetrainFolder",
    "RunFolder",
    "ThreatRow",
    "WinRow",
    "head_of",
    "state_of",
    "write_atomically",
]
