"""What an experiment declares: from a config to a plan of works, and from results to a report.

All else is the same for all experiments: `life` begins and resumes their run folders.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel

from evofool.classifiers import Classifier
from evofool.config import Loaded, Model, load_model
from evofool.config.document import Document
from evofool.config.loading import validate, with_seed
from evofool.experiments.engine import lines
from evofool.experiments.engine.context import Engines
from evofool.experiments.engine.plan import Plan
from evofool.experiments.engine.results import Results
from evofool.experiments.engine.spending import Spending
from evofool.experiments.engine.verifying import verify_works
from evofool.experiments.engine.work import Work
from evofool.report.output import Drawn
from evofool.store import Check, Result
from evofool.store.experiment import ExperimentFolder
from evofool.store.fixed import Changeable

C = TypeVar("C", bound=BaseModel)
CHANGEABLE = Changeable(("scoring.workers",))
"""What of most experiments' configs never makes another plan."""


class Study(ABC, Generic[C]):
    """An experiment on the nets and data of one config.

    Attributes:
        loaded: the config.
        plan: its works.
        victim: the net that the manifest describes; None if the experiment trains all of its nets.
    """

    kind: ClassVar[str]
    """Of its configs and run folders."""
    config: ClassVar[type[Model]]
    """Of its configs; it has a key ``seed``."""
    moved: ClassVar[str] = "an experiment names several nets; put the file where config.yaml says"
    """Why its run folders take no ``--classifier``; empty where they do."""
    changeable: ClassVar[Changeable] = CHANGEABLE
    """What of its config never makes another plan."""
    partial: ClassVar[bool] = False
    """Whether its report can be drawn while works are missing or cut short by a budget."""

    roles: Mapping[str, Work] = MappingProxyType({})
    """Works by the name under which whoever reads the run folder looks for them."""
    engines: Engines = MappingProxyType({})
    """Of nets that were scored by when it was made."""

    def __init__(self, loaded: Loaded[C], plan: Plan, victim: Classifier | None = None) -> None:
        self.loaded, self.plan, self.victim = loaded, plan, victim

    @classmethod
    def load(
        cls,
        source: Any,
        overrides: Sequence[str] = (),
        seed: int | None = None,
        check_files: bool = True,
    ) -> Loaded[Any]:
        """A config of this kind, as `config` and `resolve` say.

        Args:
            source: a file, the name of a shipped config, a mapping, or a config object.
            overrides: ``key.sub=value``.
            seed: instead of the config's.
            check_files: whether files that it names must be there.

        Raises:
            ConfigError: anything is wrong; the message starts with the place.
        """
        loaded = load_model(source, cls.config, overrides)
        document = with_seed(loaded.document, seed)
        document = cls.resolve(loaded.config, document, check_files)
        return Loaded(validate(document, cls.config), document)

    @staticmethod
    def resolve(config: Any, document: Document, check_files: bool) -> Document:
        """`document` with the files that it names absolute; by default it names none.

        Args:
            config: what the document says.
            document: as it was written.
            check_files: whether the files must be there.

        Raises:
            ConfigError: at its place, where a file is missing or keys do not fit together.
        """
        return document

    @classmethod
    @abstractmethod
    def make(cls, loaded: Loaded[C]) -> Study[C]:
        """The study of a config: its nets and data are loaded, nothing is sent to a net.

        Raises:
            ConfigError: the config does not fit its nets or data.
        """

    @classmethod
    def restored(cls, loaded: Loaded[C], run: ExperimentFolder, edited: Sequence[str]) -> Study[C]:
        """The study of a config whose run folder is there; raises as `make`, and FolderError.

        Args:
            loaded: the config.
            run: its folder.
            edited: dotted keys that are not as they were when it was last run.
        """
        return cls.make(loaded)

    @abstractmethod
    def report(self, results: Results, manifest: Mapping[str, Any]) -> Drawn:
        """Draw the report of finished works; a function of their rows alone.

        Args:
            results: of all works of the plan.
            manifest: of the run.

        Raises:
            StoreError: a row is damaged.
        """

    @classmethod
    def budget_of(cls, config: C) -> int | None:
        """Most pictures that its works may send to nets, or None."""
        return None

    @classmethod
    def check_resume(cls, run: ExperimentFolder, config: C, overrides: Sequence[str]) -> None:
        """Refuse to go on, before any net is loaded; raises UsageError."""

    def spending(self, run: ExperimentFolder) -> Spending:
        """What its works may send."""
        return Spending(run.bookings)

    def checks(self, results: Results, engine: str | None) -> Iterator[Check]:
        """Check rows, artifacts and files; `engine` scores pictures again, where it is given."""
        yield from verify_works(self.plan, results, self.report)

    @classmethod
    def counted(cls, run: ExperimentFolder, roles: Mapping[str, str]) -> dict[str, Any]:
        """What its status says beside what all kinds say, as JSON values.

        Args:
            run: the folder.
            roles: addresses of `roles`.
        """
        return {}

    def described(self) -> dict[str, Any]:
        """What the manifest says beside what all kinds say."""
        return {}

    @classmethod
    def plan_lines(cls, plan: Any) -> list[str]:
        """What a dry run prints; `plan` is a study that was made."""
        return lines.plan_lines(plan.loaded.config, plan.plan)

    @classmethod
    def result_lines(cls, result: Result, pages: Sequence[Path]) -> list[str]:
        """What a run prints at its end."""
        return lines.result_lines(result, pages)
