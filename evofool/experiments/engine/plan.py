"""A plan: the works of an experiment, in order, each with a title and a name for its artifacts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from evofool.errors import UsageError
from evofool.experiments.engine.work import Work


@dataclass(frozen=True)
class Planned:
    """One work of a plan, with how it is shown.

    Attributes:
        title: for people: ``FGSM on the defended net``.
        work: what is to be run.
        called: the name of its artifacts: ``cross-entropy-1``; empty of a work without any.
    """

    title: str
    work: Work
    called: str = ""


class Plan:
    """The works of an experiment, each after its dependencies, and each address once.

    Args:
        works: in the order in which they are to be done, as far as dependencies allow.
            A dependency that is not named here is put before them, under its kind.

    Raises:
        UsageError: works that depend on each other in a circle, or two artifacts of one place.
    """

    def __init__(self, works: Sequence[Planned]) -> None:
        self._by_address: dict[str, Planned] = {}
        for planned in works:
            self._by_address.setdefault(planned.work.address, planned)
        for planned in works:
            self._add_needs(planned.work)
        self._check_places()
        position = {address: n for n, address in enumerate(self._by_address)}
        sorter = TopologicalSorter(
            {
                address: [need.address for need in planned.work.needs]
                for address, planned in self._by_address.items()
            }
        )
        try:
            sorter.prepare()
        except CycleError as error:
            names = " -> ".join(self._by_address[a].title for a in error.args[1])
            raise UsageError(f"these works depend on each other in a circle: {names}") from error
        self.order: list[Planned] = []
        ready = list(sorter.get_ready())
        while ready:
            address = min(ready, key=position.__getitem__)
            ready.remove(address)
            self.order.append(self._by_address[address])
            sorter.done(address)
            ready += sorter.get_ready()

    def __iter__(self) -> Iterator[Planned]:
        return iter(self.order)

    def __len__(self) -> int:
        return len(self.order)

    def __contains__(self, address: str) -> bool:
        return address in self._by_address

    def __getitem__(self, address: str) -> Planned:
        return self._by_address[address]

    def place(self, work: Work, artifact: str) -> str:
        """Where an artifact of a work of this plan lies, relative to the run folder."""
        return work.place(artifact, self._by_address[work.address].called)

    def _add_needs(self, work: Work) -> None:
        for need in work.needs:
            if need.address not in self._by_address:
                self._by_address[need.address] = Planned(need.kind, need, need.address[:16])
                self._add_needs(need)

    def _check_places(self) -> None:
        taken: dict[str, Planned] = {}
        for planned in self._by_address.values():
            for artifact in planned.work.makes:
                place = planned.work.place(artifact, planned.called)
                if (other := taken.setdefault(place, planned)) is not planned:
                    raise UsageError(f"{other.title} and {planned.title} both write {place}")
