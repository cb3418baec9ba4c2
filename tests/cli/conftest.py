"""The command line as a process of its own: exit codes, both streams, signals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

CODE = "import runpy; runpy.run_module('evofool', run_name='__main__', alter_sys=True)"
"""``python -m evofool``."""


@pytest.fixture(scope="session")
def start_evofool(forked: Callable[..., Any]) -> Callable[..., Any]:
    """``start_evofool(argument, ..., cwd=..., VARIABLE=...)``: starts it and does not wait."""
    return lambda *arguments, **settings: forked(CODE, *arguments, **settings)


@pytest.fixture(scope="session")
def evofool(start_evofool: Callable[..., Any]) -> Callable[..., Any]:
    """The same, to its end: gives ``returncode``, ``stdout`` and ``stderr``."""
    return lambda *arguments, **settings: start_evofool(*arguments, **settings).end()


@pytest.fixture(scope="session")
def fails(evofool: Callable[..., Any]) -> Callable[..., str]:
    """``fails(code, argument, ...)``: the message of a command that must end with `code`."""

    def run(code: int, *arguments: Any, **settings: Any) -> str:
        done = evofool(*arguments, **settings)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return str(done.stderr)

    return run
