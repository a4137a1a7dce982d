"""The table of health, pair by pair."""

import pytest
from load_balancer.health import TRANSITIONS, Evidence, Health, State, Thresholds

THRESHOLDS = Thresholds(fall=3, rise=2)
STARTING, ALIVE, SUSPECT, DEAD = State
ANSWERED, MISSED, REFUSED = Evidence

# Every pair: what it becomes, and after how many in a row. Itself: however many.
EXPECTED = {
    (STARTING, ANSWERED): (ALIVE, 1),
    (STARTING, MISSED): (STARTING, 99),
    (STARTING, REFUSED): (STARTING, 99),
    (ALIVE, ANSWERED): (ALIVE, 99),
    (ALIVE, MISSED): (DEAD, 3),
    (ALIVE, REFUSED): (SUSPECT, 1),
    (SUSPECT, ANSWERED): (ALIVE, 1),
    (SUSPECT, MISSED): (DEAD, 1),
    (SUSPECT, REFUSED): (DEAD, 1),
    (DEAD, ANSWERED): (ALIVE, 2),
    (DEAD, MISSED): (DEAD, 99),
    (DEAD, REFUSED): (DEAD, 99),
}


def run(state: State, *evidence: Evidence) -> list[State]:
    """The states that a health passes through, a second apart."""
    health, states = Health(state), []
    for now, each in enumerate(evidence):
        health = health.after(each, THRESHOLDS, asked_at=now, now=now)
        states.append(health.state)
    return states


def test_the_expectation_is_complete() -> None:
    """Every pair is looked at below, and what the table has beyond them is nothing."""
    assert set(EXPECTED) == {(state, evidence) for state in State for evidence in Evidence}
    assert set(TRANSITIONS) == {pair for pair, (after, _) in EXPECTED.items() if after != pair[0]}


@pytest.mark.parametrize(("state", "evidence"), EXPECTED)
def test_pair(state: State, evidence: Evidence) -> None:
    """It changes with as many in a row as are wanted, and not with one less."""
    after, count = EXPECTED[state, evidence]
    assert run(state, *[evidence] * count) == [state] * (count - 1) + [after]


def test_misses_must_be_in_a_row() -> None:
    """One answer between them, and they count anew."""
    states = run(ALIVE, MISSED, MISSED, ANSWERED, MISSED, MISSED, MISSED)
    assert states == [ALIVE] * 5 + [DEAD]


def test_answers_must_be_in_a_row() -> None:
    """A dead one that flaps stays dead."""
    states = run(DEAD, ANSWERED, MISSED, ANSWERED, REFUSED, ANSWERED, ANSWERED)
    assert states == [DEAD] * 5 + [ALIVE]


def test_a_new_state_begins_its_own_run() -> None:
    """What led to it does not count towards the next."""
    assert run(SUSPECT, ANSWERED, MISSED, MISSED, MISSED) == [ALIVE, ALIVE, ALIVE, DEAD]


def test_old_evidence_is_passed_over() -> None:
    """A heartbeat sent before the state began may have been answered before it began."""
    health = Health(SUSPECT, since=10.0)
    assert health.after(ANSWERED, THRESHOLDS, asked_at=9.9, now=10.1) is health
    assert health.after(ANSWERED, THRESHOLDS, asked_at=10.0, now=10.1) == Health(ALIVE, 10.1)


def test_since_changes_with_the_state_only() -> None:
    """It tells how long the state has lasted."""
    health = Health(ALIVE, since=1.0).after(MISSED, THRESHOLDS, asked_at=5.0, now=5.0)
    assert health == Health(ALIVE, 1.0, MISSED, 1)
