"""What the tests of all services share."""

import time
from collections.abc import Callable
from contextlib import suppress

import pytest

DEADLINE_S = 20


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
