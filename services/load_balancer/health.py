"""What a replica's health becomes when something is learnt of it: a table, and nothing else.

There are three kinds of evidence. A heartbeat is ANSWERED; it is MISSED (the replica is there and
stays silent: it may be slow, frozen or overloaded); or a connection is REFUSED, reset or cut, by a
heartbeat or by traffic. A silent replica gets `fall` chances, because moving its keys is not free.
A refused connection is stronger: the replica is SUSPECT at once, out of the routing table, and its
next heartbeat decides. Evidence gathered before the present state began says nothing about it
(a heartbeat sent before the crash may be answered after it) and is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    STARTING = "starting"  # created, has not answered yet
    ALIVE = "alive"
    SUSPECT = "suspect"  # refused a connection; the next heartbeat decides
    DEAD = "dead"


class Evidence(StrEnum):
    ANSWERED = "answered"
    MISSED = "missed"
    REFUSED = "refused"


@dataclass(frozen=True)
class Thresholds:
    """How many heartbeats in a row it takes: `fall` to die of silence, `rise` to come back."""

    fall: int
    rise: int


# (state, evidence) → what it becomes, once as many in a row as the threshold says (None: one).
# A pair that is absent changes nothing.
TRANSITIONS: dict[tuple[State, Evidence], tuple[State, str | None]] = {
    (State.STARTING, Evidence.ANSWERED): (State.ALIVE, None),
    (State.ALIVE, Evidence.MISSED): (State.DEAD, "fall"),
    (State.ALIVE, Evidence.REFUSED): (State.SUSPECT, None),
    (State.SUSPECT, Evidence.ANSWERED): (State.ALIVE, None),
    (State.SUSPECT, Evidence.MISSED): (State.DEAD, None),
    (State.SUSPECT, Evidence.REFUSED): (State.DEAD, None),
    (State.DEAD, Evidence.ANSWERED): (State.ALIVE, "rise"),
}


@dataclass(frozen=True)
class Health:
    """State, since when (seconds, the event loop's clock), and the run of equal evidence."""

    state: State = State.STARTING
    since: float = 0.0
    evidence: Evidence | None = None
    in_a_row: int = 0

    def after(
        self, evidence: Evidence, thresholds: Thresholds, *, asked_at: float, now: float
    ) -> Health:
        """The health after one more piece of evidence, gathered by asking at `asked_at`."""
        if asked_at < self.since:
            return self
        in_a_row = self.in_a_row + 1 if evidence is self.evidence else 1
        state, threshold = TRANSITIONS.get((self.state, evidence), (self.state, None))
        if state is self.state or in_a_row < (getattr(thresholds, threshold) if threshold else 1):
            return Health(self.state, self.since, evidence, in_a_row)
        return Health(state, now)
