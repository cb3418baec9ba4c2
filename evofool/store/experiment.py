"""The run folder of an experiment: works, their rows, and the artifacts that they made.

The tables are the same for every kind of experiment. What a row says is JSON that this module does
not interpret: whoever asks for it checks it against the row's type.
"""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evofool.errors import DamagedError, StoreError
from evofool.store.files import json_object
from evofool.store.folder import Folder
from evofool.store.records.works import ArtifactRow, Cost, Read, StoredRow, WorkRow

_NULL = type(None)
UNUSED = "unused"
"""Folder of artifacts whose place a later plan has given to others."""


class ExperimentFolder(Folder):
    """One experiment on disk; may be written to from several threads."""

    def __init__(
        self, path: Path, manifest: dict[str, Any], config_text: str, lock: int | None
    ) -> None:
        super().__init__(path, manifest, config_text, lock)
        self._writing = threading.RLock()

    # what is written

    def begin(self, work: WorkRow, artifacts: Sequence[ArtifactRow]) -> None:
        """Note that a work is begun, and where its artifacts will lie.

        What another work has made in these places is moved to `UNUSED` first.
        """
        with self._writing:
            for artifact in artifacts:
                self._make_room(artifact)
            with self._transaction():
                self._db.execute(
                    "INSERT OR IGNORE INTO works VALUES (?, ?, ?, ?, 0, '', 0, 0, 0, 0.0, '[]',"
                    " '{}')",
                    (work.address, work.kind, work.version, work.definition),
                )
                self._db.executemany(
                    "INSERT OR IGNORE INTO artifacts VALUES (?, ?, ?, '')",
                    [(a.address, a.name, a.path) for a in artifacts],
                )

    def put_back(self, artifacts: Iterable[ArtifactRow]) -> None:
        """Move those of `artifacts` that lie in `UNUSED` to their places, which are wanted again.

        What another work has made there since is moved to `UNUSED` in turn, and from there to its
        own place if it is one of them.

        Args:
            artifacts: with the places where they are to lie, each its own.
        """
        wanted = {(a.address, a.name): a for a in artifacts}

        def displaced() -> list[ArtifactRow]:
            stored = {(a.address, a.name): a.path for a in self.artifacts()}
            return [a for k, a in wanted.items() if stored.get(k, "").startswith(f"{UNUSED}/")]

        with self._writing:
            while away := displaced():
                for artifact in away:
                    self._make_room(artifact)

    def commit(
        self,
        work: WorkRow,
        rows: Iterable[StoredRow] = (),
        artifacts: Iterable[ArtifactRow] = (),
        reads: Iterable[Read] = (),
        seconds: float | None = None,
    ) -> None:
        """Write the rows that a work has yielded since they were last written, in one transaction.

        Args:
            work: with its cost so far.
            rows: new ones; one of the same type and item gives way.
            artifacts: that are whole now.
            reads: artifacts of others that it used.
            seconds: of the whole run so far.
        """
        values = (
            work.address, work.kind, work.version, work.definition, int(work.finished),
            work.origin, work.cost.queries, work.cost.forward_images, work.cost.backward_images,
            work.cost.seconds, json.dumps(work.notes), json.dumps(dict(work.versions)),
        )  # fmt: skip
        with self._writing, self._transaction():
            self._db.execute(
                f"INSERT OR REPLACE INTO works VALUES ({', '.join('?' * len(values))})", values
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?)",
                [(work.address, r.type, r.item, r.content, r.png) for r in rows],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?)",
                [(a.address, a.name, a.path, a.digest) for a in artifacts],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO reads VALUES (?, ?, ?, ?)",
                [(work.address, r.source, r.name, r.digest) for r in reads],
            )
            if seconds is not None:
                self._meta({"seconds": repr(seconds)})

    def forget(self, address: str) -> None:
        """Remove the rows of a work, so that it is run anew; its artifacts are left in place.

        What it took goes over to `repeated`.
        """
        with self._writing:
            work = self.work(address)
            if work is not None and not work.origin:
                spent = self.repeated() + work.cost
                self.set_meta({"repeated": json.dumps(asdict(spent))})
        with self._writing, self._transaction():
            for table in ("rows", "reads", "works"):
                self._db.execute(f"DELETE FROM {table} WHERE address = ?", (address,))

    def set_meta(self, values: Mapping[str, str]) -> None:
        """Write status and the like."""
        with self._writing:
            super().set_meta(values)

    def _make_room(self, artifact: ArtifactRow) -> None:
        """Move what another work has made at the place of `artifact` out of its way."""
        taken = [a for a in self.artifacts() if a.path == artifact.path]
        moves = [a for a in taken if a.address != artifact.address]
        own = [a for a in self.artifacts(artifact.address) if a.name == artifact.name]
        for old in moves:
            self._move(old, f"{UNUSED}/{old.address[:16]}/{Path(old.path).name}")
        for old in own:
            if old.path != artifact.path:  # the plan calls it something else by now
                self._move(old, artifact.path)

    def _move(self, artifact: ArtifactRow, path: str) -> None:
        source, target = self.path / artifact.path, self.path / path
        try:
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.is_dir():
                    shutil.rmtree(target)
                source.rename(target)
        except OSError as error:
            raise StoreError(f"{source}: cannot be moved to {target} ({error.strerror})") from error
        with self._transaction():
            self._db.execute(
                "UPDATE artifacts SET path = ? WHERE address = ? AND name = ?",
                (path, artifact.address, artifact.name),
            )

    # what is read

    def work(self, address: str) -> WorkRow | None:
        """A work that was begun; None if it was not."""
        return self._works("WHERE address = ?", (address,)).get(address)

    def works(self) -> dict[str, WorkRow]:
        """The works that were begun, by address.

        Raises:
            StoreError: damaged.
        """
        return self._works()

    def _works(self, where: str = "", values: tuple[str, ...] = ()) -> dict[str, WorkRow]:
        stored = {}
        with self._writing:
            rows = self._rows(
                "SELECT address, kind, version, definition, finished, origin, queries,"
                f" forward_images, backward_images, seconds, notes, versions FROM works {where}"
                " ORDER BY address",
                (str, str, int, str, int, str, int, int, int, float, str, str),
                values,
            )
        for row in rows:
            address, kind, version, definition, finished, origin, *cost, notes, versions = row
            texts = _texts(notes, self.path)
            if not (finished in (0, 1) and min(cost) >= 0 and math.isfinite(cost[-1])):
                raise DamagedError(f"{self.path}: work {address[:16]} is damaged")
            stored[address] = WorkRow(
                address, kind, version, definition, bool(finished), origin, Cost(*cost), texts,
                {k: str(v) for k, v in json_object(versions, self.path).items()},
            )  # fmt: skip
        return stored

    def roles(self) -> dict[str, str]:
        """Addresses of the works that the plan that was last run gave a role, by its name.

        Raises:
            StoreError: damaged.
        """
        roles = json_object(self.meta().get("roles", "{}"), self.path)
        if not all(isinstance(address, str) for address in roles.values()):
            raise DamagedError(f"{self.path}: its roles are damaged")
        return roles

    def rows(self, address: str, type: str) -> list[StoredRow]:
        """The rows of one type that a work has yielded, in the order of their items."""
        with self._writing:
            rows = self._rows(
                "SELECT type, item, content, png FROM rows WHERE address = ? AND type = ?"
                " ORDER BY item",
                (str, int, str, (bytes, _NULL)),
                (address, type),
            )
        return [StoredRow(*row) for row in rows]

    def contents(self, address: str, type: str) -> list[tuple[int, str]]:
        """Items and JSON of `rows`, their pictures left out."""
        with self._writing:
            return [
                (item, content)
                for item, content in self._rows(
                    "SELECT item, content FROM rows WHERE address = ? AND type = ? ORDER BY item",
                    (int, str),
                    (address, type),
                )
            ]

    def png(self, address: str, type: str, item: int) -> bytes | None:
        """The picture of a row; None where there is no such row, or none with a picture."""
        with self._writing:
            rows = self._rows(
                "SELECT png FROM rows WHERE address = ? AND type = ? AND item = ?",
                ((bytes, _NULL),),
                (address, type, item),
            )
        return rows[0][0] if rows else None

    def types(self, address: str) -> list[str]:
        """The types of the rows of a work."""
        with self._writing:
            rows = self._rows(
                "SELECT DISTINCT type FROM rows WHERE address = ? ORDER BY type", (str,), (address,)
            )
        return [type for (type,) in rows]

    def artifacts(self, address: str | None = None) -> list[ArtifactRow]:
        """What a work has made or is making; of all works if `address` is None.

        Raises:
            StoreError: damaged; a path that leads out of the folder, above all.
        """
        where, values = ("", ()) if address is None else ("WHERE address = ?", (address,))
        with self._writing:
            rows = self._rows(
                f"SELECT address, name, path, digest FROM artifacts {where} ORDER BY address, name",
                (str, str, str, str),
                values,
            )
        stored = [ArtifactRow(*row) for row in rows]
        for artifact in stored:
            self.inside(f"{artifact.path}/.")  # the thing itself, were it a link
        return stored

    def repeated(self) -> Cost:
        """What went into works that had to be done anew, beside what their rows say.

        Raises:
            StoreError: damaged.
        """
        with self._writing:
            text = self.meta().get("repeated")
        if text is None:
            return Cost()
        values = json_object(text, self.path)
        try:
            cost = Cost(**values)
            counts = (cost.queries, cost.forward_images, cost.backward_images)
            sane = all(type(n) is int and n >= 0 for n in counts) and cost.seconds >= 0
        except TypeError as error:
            raise DamagedError(f"{self.path}: its counts are damaged ({error})") from error
        if not sane:
            raise DamagedError(f"{self.path}: its counts are damaged")
        return cost

    def reads(self, address: str) -> list[Read]:
        """The artifacts of other works that a work has used."""
        with self._writing:
            rows = self._rows(
                "SELECT source, name, digest FROM reads WHERE address = ? ORDER BY source, name",
                (str, str, str),
                (address,),
            )
        return [Read(*row) for row in rows]


def _texts(text: str, path: Path) -> tuple[str, ...]:
    texts = json_object(f'{{"notes": {text}}}', path)["notes"]
    if not (isinstance(texts, list) and all(isinstance(each, str) for each in texts)):
        raise DamagedError(f"{path}: the notes of a work are damaged")
    return tuple(texts)
