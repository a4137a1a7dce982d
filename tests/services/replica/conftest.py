"""Fixtures: real replica processes, and waiting for conditions."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

DEADLINE_S = 20


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds; what it raises of OSError counts as not yet."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline_s:
            with suppress(OSError):
                if condition():
                    return
            time.sleep(0.01)
        pytest.fail(f"the condition did not hold within {DEADLINE_S} s")

    return wait


@pytest.fixture
def start_replica() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `python -m replica` with the given environment; killed when the test ends."""
    children = []

    def start(environment: dict[str, str], **options: Any) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-I", "-m", "replica"],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()
