"""A history is random in what it does, and bound in what it may do."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from chaos.history import (
    KILL_GAP_S,
    MAX_REPLICAS,
    MIN_REPLICAS,
    RECOVERY_S,
    WEIGHTS,
    Operation,
    history,
)
from hypothesis import given
from hypothesis import strategies as st

BEGIN = ("Server1", "Server2", "Server3")
histories = st.builds(history, st.integers(0, 2**32), st.just(60.0))


def members_after(operations: list[Operation]) -> set[str]:
    members = set(BEGIN)
    for operation in operations:
        if operation.verb == "add":
            members |= set(operation.hostnames)
        elif operation.verb == "rm":
            members -= set(operation.hostnames)
    return members


@given(st.integers(0, 2**32), st.floats(0.0, 60.0))
def test_the_same_seed_gives_the_same_history(seed: int, seconds: float) -> None:
    """So a seed is all that it takes to see a failure again."""
    assert history(seed, seconds) == history(seed, seconds)


def test_an_engine_restarts_amid_the_same_operations() -> None:
    """Nothing else is different then."""
    plain, engine = history(1, 60.0), history(1, 60.0, engine=True)
    (restart,) = set(engine) - set(plain)
    assert "restart engine" == restart.verb
    assert len(plain) + 1 == len(engine)


@pytest.mark.parametrize("seed", range(1, 21))
def test_a_minute_has_everything_in_it(seed: int) -> None:
    """Each of the histories that `make chaos` runs does each thing at least once."""
    verbs = Counter(operation.verb for operation in history(seed, 60.0))
    assert set() == set(WEIGHTS) - set(verbs)


@given(histories)
def test_it_is_in_order_and_within_its_time(operations: list[Operation]) -> None:
    """Operations come by time, none after the end."""
    assert operations == sorted(operations)
    assert all(0.0 < operation.at_s < 60.0 for operation in operations)


@given(histories)
def test_n_is_bounded(operations: list[Operation]) -> None:
    """Between one replica and as many as every ring has room for."""
    sizes = {len(members_after(operations[:end])) for end in range(len(operations) + 1)}
    assert MIN_REPLICAS <= min(sizes)
    assert MAX_REPLICAS >= max(sizes)


@given(histories)
def test_commands_fit_the_members(operations: list[Operation]) -> None:
    """Who is added was absent; who is removed was present."""
    for position, operation in enumerate(operations):
        present = members_after(operations[:position]) & set(operation.hostnames)
        if operation.verb == "add":
            assert set() == present
        elif operation.verb == "rm":
            assert set(operation.hostnames) == present


@given(histories)
def test_one_replica_is_always_fit(operations: list[Operation]) -> None:
    """Whenever somebody is struck or removed, another member stays, which was neither struck nor
    added for as long as a recovery takes."""
    for position, operation in enumerate(operations):
        past, now_s = operations[: position + 1], operation.at_s
        recent = [each for each in past if each.at_s > now_s - RECOVERY_S]
        unfit = {name for each in recent if each.verb != "rm" for name in each.hostnames}
        if operation.verb in ("crash", "pause", "rm"):
            assert members_after(past) - unfit


@given(histories)
def test_services_are_given_time(operations: list[Operation]) -> None:
    """A supervisor that restarts the same program again and again waits longer each time."""
    for service in ("load-balancer", "provisioner"):
        at_s = [each.at_s for each in operations if each.verb == f"kill {service}"]
        gaps_s = [later - earlier for earlier, later in pairwise(at_s)]
        assert min(gaps_s, default=KILL_GAP_S) >= KILL_GAP_S - 0.001  # rounded
