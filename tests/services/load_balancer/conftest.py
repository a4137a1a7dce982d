"""Fixtures of all: an environment without our settings, waiting for conditions, free ports."""

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

DEADLINE_S = 20


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings come from the test alone."""
    for name in os.environ:
        if name.startswith("LOAD_BALANCER_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def wait_until() -> Callable[[Callable[[], object]], None]:
    """Wait until a condition holds; what it raises of OSError counts as not yet."""

    def wait(condition: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline_s:
            with suppress(OSError):
                if condition():
                    return
            time.sleep(0.01)
        pytest.fail(f"the condition did not hold within {DEADLINE_S} s")

    return wait


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A loopback port that nobody listens on."""

    def find() -> int:
        with socket.create_server(("127.0.0.1", 0)) as found:
            return found.getsockname()[1]

    return find
