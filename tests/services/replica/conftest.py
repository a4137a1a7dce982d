"""Fixtures: real replica processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest


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
