"""The run folder: SQLite, manifest, locking. Only this package writes into one."""

from evofool.store.campaign import Archive, CampaignFolder
from evofool.store.experiment import ExperimentFolder
from evofool.store.files import write_atomically
from evofool.store.folder import Check, Folder, Result
from evofool.store.records.lineage import (
    Delta,
    EliteRow,
    GenerationRow,
    IndividualId,
    IndividualRow,
    WinRow,
)
from evofool.store.state import head_of, state_of

__all__ = [
    "Archive",
    "CampaignFolder",
    "Check",
    "Delta",
    "EliteRow",
    "ExperimentFolder",
    "Folder",
    "GenerationRow",
    "IndividualId",
    "IndividualRow",
    "Result",
    "WinRow",
    "head_of",
    "state_of",
    "write_atomically",
]
