"""Joining Ray: what is refused before Ray itself is asked. What runs on it is tested elsewhere."""

from __future__ import annotations

import builtins
import contextlib
import socket
from typing import Any

import pytest

from evofool import ray_session
from evofool.errors import UsageError


@pytest.fixture(autouse=True)
def nothing_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cluster another test of this process is connected to."""
    with contextlib.suppress(ImportError):
        import ray

        monkeypatch.setattr(ray, "is_initialized", lambda: False)


def free_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense", "is not an address; give HOST:PORT"),
        (":6379", "is not an address"),
        ("ray://127.0.0.1:10001", "client protocol cannot stream"),
        ("127.0.0.1:99999999", "cannot be joined"),
    ],
)
def test_an_address_that_cannot_be_joined_is_refused(address: str, message: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UsageError, match=message), ray_session.session(address):
        pass


def test_an_address_at_which_nobody_listens_is_refused_at_once() -> None:
    pytest.importorskip("ray")
    with (
        pytest.raises(UsageError, match=r"is its head running there\?"),
        ray_session.session(f"127.0.0.1:{free_port()}"),
    ):
        pass


def test_without_ray_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_ray(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "ray":
            raise ImportError("No module named 'ray'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(UsageError, match=r"pip install 'evofool\[ray\]'"), ray_session.session():
        pass
