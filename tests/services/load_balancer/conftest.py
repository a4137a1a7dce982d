"""Fixtures of all: an environment without our settings, free ports."""

import os
import socket
from collections.abc import Callable

import pytest


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in os.environ:
        if name.startswith("LOAD_BALANCER_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A loopback port that nobody listens on."""

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as found:
            return found.getsockname()[1]

    return find
