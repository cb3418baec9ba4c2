"""Ray: a cluster that is joined, or one that is started on this machine and ended again.

All that asks Ray for something does so inside `session`, so that there is one way to start, join,
quieten and end it. The driver's checkout is never shipped as a working directory: workers import
evofool from where the driver does if that is there, and else the one that is installed there.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evofool.errors import UsageError

MISSING = "Ray is not installed: pip install 'evofool[ray]'"
ONE_THREAD: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}
"""What libraries read when a worker loads them: a worker is one of several on its machine."""
_QUIET: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray warns about otherwise
}
_BEFORE_IMPORT: Mapping[str, str] = {
    # else a driver that was started by `uv run` ships its folder as the workers' working directory
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
}
_PASSED = ("EVOFOOL_DATA",)
"""What workers are to have as it is here: files lie at the same paths on every machine."""
_CONNECT_SECONDS = 10.0
_PROBE_SECONDS = 120.0


def load_ray() -> Any:
    """The module ``ray``, imported when it is first wanted.

    Raises:
        UsageError: it is not installed.
    """
    try:
        with _environment(_BEFORE_IMPORT):
            import ray
    except ImportError as error:
        raise UsageError(MISSING) from error
    return ray


@contextmanager
def session(
    address: str | None = None,
    *,
    cpus: int | None = None,
    environment: Mapping[str, str] = ONE_THREAD,
) -> Iterator[Any]:
    """Gives the module ``ray``, connected to a cluster.

    Where this process is connected already, as within a task of Ray or a notebook, that connection
    is used and left as it is. Otherwise a connection is made, and ended with the block; a cluster
    is ended only if it was started here.

    Args:
        address: of a running cluster, ``HOST:PORT`` or ``auto`` for the one of this machine;
            None starts one on this machine, without dashboard or usage statistics.
        cpus: of a cluster that is started, how many cores its tasks and actors share; by default
            all that there are.
        environment: environment variables of the workers, beside the place of evofool.

    Raises:
        UsageError: Ray is not installed, no cluster answers at `address`, or its workers cannot
            import this version of evofool.
    """
    ray = load_ray()
    if ray.is_initialized():
        yield ray
        return
    if address is not None and address.startswith("ray://"):
        raise UsageError(
            f"{address}: Ray's client protocol cannot stream results; run evofool on a node of the"
            " cluster and name HOST:PORT of its head, or auto"
        )
    if address is not None:
        _check_reachable(address)
    passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
    runtime = {"env_vars": {**environment, **passed, "PYTHONPATH": _python_path()}}
    options: dict[str, Any] = {"address": "local", "include_dashboard": False, "num_cpus": cpus}
    if address is not None:
        options = {"address": address}
    with _environment(_QUIET), _signals():
        _connect(ray, address, {**options, "runtime_env": runtime})
    try:
        if address is not None:
            _check_workers(ray, address)
        yield ray
    finally:
        with _signals():
            ray.shutdown()


def _connect(ray: Any, address: str | None, options: Mapping[str, Any]) -> None:
    """Start or join; raises `UsageError`. A busy machine may need a second try to start."""
    tries = 2 if address is None else 1
    for left in reversed(range(tries)):
        try:
            ray.init(**options, log_to_driver=False, logging_level="ERROR", namespace="evofool")
            return
        except Exception as error:  # Ray has no type of its own for this
            ray.shutdown()
            if left:
                continue
            where = "Ray" if address is None else f"Ray at {address}"
            problem = "cannot be started" if address is None else "cannot be joined"
            raise UsageError(f"{where} {problem}: {told(error)}") from error


def _python_path() -> str:
    """Where workers of this machine find the evofool of this process, before anything else.

    Of a checkout that is its root, which holds a folder ``encodings``, but without
    ``__init__.py``: Python's own package of that name is found in spite of it. An installed
    evofool is found anyway. Empty entries would mean the worker's own folder, and are left out.
    """
    root = Path(__file__).resolve().parents[1]
    roots = [str(root)] if (root / "pyproject.toml").is_file() else []
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*roots, *(path for path in others if path)]))


def _check_reachable(address: str) -> None:
    """Refuse an address at which nobody listens: Ray itself tries for a quarter of an hour."""
    host, colon, port = address.rpartition(":")
    if not (colon and host and port.isdecimal()):
        if address == "auto":
            return
        raise UsageError(
            f"Ray at {address}: is not an address; give HOST:PORT of its head, or auto"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"Ray at {address} cannot be joined: {told(error)}; is its head running there?"
        ) from error


def _check_workers(ray: Any, address: str) -> None:
    """Ask a worker which evofool it imports; raises `UsageError` unless it is this one."""
    from evofool import __version__

    def found() -> tuple[str, str]:  # travels as code: nothing of it needs evofool to be there
        import platform

        from evofool import __version__ as installed

        return installed, platform.python_version()

    mend = "install the same version on every node"
    try:
        asked = ray.remote(num_cpus=0, max_retries=0)(found).remote()
        version, python = ray.get(asked, timeout=_PROBE_SECONDS)
    except Exception as error:
        raise UsageError(
            f"Ray at {address}: its workers cannot import evofool ({told(error)}); {mend}"
        ) from error
    here = platform.python_version()
    if (version, python) != (__version__, here):
        raise UsageError(
            f"Ray at {address}: its workers run evofool {version} on Python {python}, but this"
            f" is {__version__} on {here}; {mend}"
        )


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables that are set while a process is started, where they are not set."""
    added = [name for name in values if name not in os.environ]
    os.environ.update({name: values[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def _signals() -> Iterator[None]:
    """Keep this process's own handlers: Ray puts one of its own for SIGTERM in their place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            with contextlib.suppress(TypeError):  # None: it was not set from Python
                signal.signal(number, handler)


def told(error: BaseException) -> str:
    """An error of Ray's in a line, which says most in its last one; at most 300 characters."""
    text = str(error)
    if "low on memory" in text:  # followed by a page of advice
        return "its machine ran low on memory, and Ray ended it"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
