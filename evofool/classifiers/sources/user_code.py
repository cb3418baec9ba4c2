"""A user's file and the files beside it, imported for this one victim.

Two repositories may both have a ``model.py``. Python keeps modules by name for the whole process,
so the second would get the first one's. Here each load has modules of its own: the code of a
user's file is run with an ``__import__`` that looks beside the file, at load and in every later
call, in any thread. Nothing of it is left under a common name in `sys.modules`.
"""

from __future__ import annotations

import builtins
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from evofool.classifiers.identity.siblings import Located, beside, is_site, locate
from evofool.files import read_file

NAMESPACE = "evofool_user_"
"""How the names begin that modules of users' files have in `sys.modules`."""
_LOADING = threading.RLock()
"""`UserCode.loading` changes `sys.path` and `sys.modules`, of which there is one a process."""


class UserCode:
    """The modules of one load of one file.

    Args:
        path: the user's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = f"{NAMESPACE}{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
        """Prefix of the names in `sys.modules`, where `inspect` and `dataclasses` look."""
        self.modules: dict[str, ModuleType] = {}
        self._roots: tuple[Path, ...] = (path.parent,)
        self._swept: list[ModuleType] = []
        self._locks: dict[str, threading.RLock] = {}
        self._guard = threading.Lock()

    def run(self) -> ModuleType:
        """The module of the user's file, run anew. Call it inside `loading`.

        Raises:
            Exception: whatever the file raises.
        """
        for name in [name for name in sys.modules if name.startswith(self.key)]:
            del sys.modules[name]  # of an earlier load
        return self._execute(self.path.stem, Located(self.path), self.key)

    def files(self) -> tuple[Path, ...]:
        """The Python files that were imported beside the user's own so far, in order of name."""
        modules = [*self.modules.values(), *self._swept]
        files = {Path(file) for module in modules if (file := getattr(module, "__file__", None))}
        return tuple(sorted(files - {self.path}))

    @contextmanager
    def loading(self) -> Iterator[None]:
        """While the file runs: its folder also serves ``importlib.import_module`` and unpickling.

        Folders that the code puts into `sys.path` belong to it and leave `sys.path` again, and so
        do modules from there that were imported past this class.
        """
        with _LOADING:
            path, before = list(sys.path), set(sys.modules)
            hidden = self._hide()
            finder = _Finder(self)
            sys.meta_path.insert(0, finder)
            try:
                yield
            finally:
                self._roots = self.roots(path)
                sys.path[:] = [p for p in sys.path if p in path or is_site(Path(p))]
                sys.meta_path.remove(finder)
                self._sweep(before, path)
                sys.modules.update(hidden)

    def roots(self, before: Sequence[str] | None = None) -> tuple[Path, ...]:
        """Folders whose files are the user's: its own, and those it put into `sys.path`."""
        if before is None:
            return self._roots
        new = [p for p in sys.path if p and p not in before and not is_site(Path(p))]
        first = next((i for i, p in enumerate(sys.path) if p in before), len(sys.path))
        ahead = [Path(p).absolute() for p in new if sys.path.index(p) < first]
        behind = [Path(p).absolute() for p in new if sys.path.index(p) >= first]
        return tuple(dict.fromkeys((*ahead, *self._roots, *behind)))

    def owns(self, name: str) -> bool:
        """Whether the top-level module `name` is one of this code."""
        return name in self.modules or locate(name, self._now(), self.path) is not None

    def load(self, name: str) -> ModuleType:
        """The module of a dotted name, run if it is new.

        Raises:
            ModuleNotFoundError: there is no such file.
            Exception: whatever it raises.
        """
        done = ""
        for part in name.split("."):
            parent, done = done, f"{done}.{part}" if done else part
            with self._lock(done):  # a second thread waits until it has been run
                if done in self.modules:
                    continue
                if parent:
                    search = getattr(self.modules[parent], "__path__", None)
                    located = None if search is None else beside(part, [Path(p) for p in search])
                else:
                    located = locate(part, self._now(), self.path)
                if located is None:
                    raise ModuleNotFoundError(f"No module named {done!r}", name=done)
                module = self._execute(done, located, f"{self.key}.{done}")
                if parent:
                    setattr(self.modules[parent], part, module)
                finder = self._finder()
                if finder is not None and not finder.elsewhere(done.split(".")[0]):
                    sys.modules.setdefault(done, module)  # while loading: pickles look there
        return self.modules[name]

    def _import(
        self,
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        """`builtins.__import__` as this code sees it."""
        package = str((globals or {}).get("__package__") or "")
        full = name
        if level and package.split(".")[0] in self.modules:
            full = importlib.util.resolve_name("." * level + name, package)
            level = 0
        if level or not self.owns(full.split(".")[0]):
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        module = self.load(full)
        if not fromlist:
            return self.modules[full.split(".")[0]]
        if hasattr(module, "__path__"):
            names = [n for n in fromlist if n != "*"]
            if "*" in fromlist:
                names += getattr(module, "__all__", [])
            for attribute in names:
                if not hasattr(module, attribute):
                    try:
                        self.load(f"{full}.{attribute}")
                    except ModuleNotFoundError as error:
                        if error.name != f"{full}.{attribute}":
                            raise
        return module

    def _execute(self, name: str, located: Located, unique: str) -> ModuleType:
        if located.file is not None and located.file.suffix != ".py":
            return self._extension(name, located.file, unique)
        module = ModuleType(unique)
        file = "" if located.file is None else str(located.file)
        loader = importlib.machinery.SourceFileLoader(unique, file) if file else None
        package = located.search is not None
        # the spec bears the name that the code itself uses: relative imports go by it
        spec = importlib.machinery.ModuleSpec(name, loader, origin=file or None, is_package=package)
        module.__spec__, module.__loader__ = spec, loader
        module.__package__ = name if package else name.rpartition(".")[0]
        if located.search is not None:
            spec.submodule_search_locations = module.__path__ = [str(p) for p in located.search]
        sys.modules[unique] = module
        if unique != self.key or locate(name, self._roots, self.path) is not None:
            self.modules[name] = module
        if located.file is None:
            return module
        module.__file__ = file
        space = vars(module)
        space["__builtins__"] = {**vars(builtins), "__import__": self._import}
        try:
            # compiled here: bytecode kept by an earlier run is only looked at by whole seconds
            exec(compile(read_file(located.file), file, "exec", dont_inherit=True), space)
        except BaseException:
            self.modules.pop(name, None)
            sys.modules.pop(unique, None)
            raise
        return module

    def _extension(self, name: str, file: Path, unique: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(unique, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        self.modules[name] = sys.modules[unique] = module
        spec.loader.exec_module(module)
        return module

    def _now(self) -> tuple[Path, ...]:
        finder = self._finder()
        return self._roots if finder is None else self.roots(finder.path)

    def _finder(self) -> _Finder | None:
        """The one of a load that is going on."""
        return next((f for f in sys.meta_path if isinstance(f, _Finder) and f.code is self), None)

    def _lock(self, name: str) -> threading.RLock:
        with self._guard:
            return self._locks.setdefault(name, threading.RLock())

    def _hide(self) -> dict[str, ModuleType]:
        """Takes modules of the calling program out of `sys.modules` that bear a sibling's name."""
        names = {entry.stem for entry in self.path.parent.iterdir()} & set(sys.modules)
        files = {name: Path(getattr(sys.modules[name], "__file__", None) or "") for name in names}
        clashing = {name for name in names if self.owns(name) and not is_site(files[name])}
        if not clashing:
            return {}
        return {
            name: sys.modules.pop(name)
            for name in list(sys.modules)
            if name.split(".")[0] in clashing
        }

    def _sweep(self, before: set[str], path: Sequence[str]) -> None:
        """Takes out of `sys.modules` what the code alone has brought in from outside `path`."""
        ours = {id(module) for module in self.modules.values()}
        changed = [
            (name, module)
            for name, module in list(sys.modules.items())
            if name not in before or id(module) in ours
        ]
        known = {Path(entry).resolve() for entry in path} if changed else set()
        for name, module in changed:
            top = name.split(".")[0]
            if id(module) in ours and top != self.key:
                del sys.modules[name]
            elif name not in before and top not in before and not top.startswith(NAMESPACE):
                root = _import_root(name, getattr(module, "__file__", None))
                if root is not None and root not in known and not _findable(top):
                    self._swept.append(module)
                    del sys.modules[name]


class _Finder(importlib.abc.MetaPathFinder):
    """Serves the names of `code` to imports that do not come from it."""

    def __init__(self, code: UserCode) -> None:
        self.code = code
        self.path = list(sys.path)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        root = fullname.split(".")[0]
        ours = self.code.modules.get(root)
        if ours is not None and sys.modules.get(root) is ours:
            pass  # a submodule of a module that was served before
        elif "." in fullname or not self.code.owns(fullname) or self.elsewhere(fullname):
            return None
        try:
            module = self.code.load(fullname)
        except ModuleNotFoundError as error:
            if error.name == fullname:
                return None
            raise
        sys.modules.pop(fullname, None)  # what is there already when this returns is run again
        spec = importlib.machinery.ModuleSpec(fullname, _Ready(module), origin=module.__file__)
        spec.submodule_search_locations = getattr(module, "__path__", None)
        return spec

    def elsewhere(self, name: str) -> bool:
        """Whether libraries mean another module by this name."""
        roots = {str(root) for root in self.code.roots(self.path)}
        entries = [entry for entry in sys.path if entry not in roots]
        found = importlib.machinery.PathFinder.find_spec(name, entries)
        return found is not None and found.origin is not None and is_site(Path(found.origin))


class _Ready(importlib.abc.Loader):
    """Gives a module that has been run already."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> Any:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


def _findable(name: str) -> bool:
    """Whether anybody can import `name` (an editable installation need not be in `sys.path`)."""
    finders = [finder for finder in sys.meta_path if not isinstance(finder, _Finder)]
    return any(finder.find_spec(name, None) is not None for finder in finders)


def _import_root(name: str, file: str | None) -> Path | None:
    """The folder from which `file` is imported as `name`; None for libraries and odd files."""
    if file is None or not file.endswith(".py"):
        return None
    place = Path(file).resolve()
    if is_site(place) or place.is_relative_to(Path(importlib.__file__).resolve().parent.parent):
        return None
    parts = name.split(".")
    if place.name == "__init__.py":
        place = place.parent
    if place.stem != parts[-1] or len(place.parts) <= len(parts):
        return None
    return place.parents[len(parts) - 1]
