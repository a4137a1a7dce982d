"""How many requests may be sent a second time: a share of the traffic, so that replicas in trouble
get no storm on top of it."""

from __future__ import annotations

from collections import deque

TICKS = 40  # that count: 10 s of the server's sweeps
FLOOR = 256  # retries within these, whatever the traffic: what a replica that crashes can have


class RetryBudget:
    """Retries within the last TICKS ticks are at most FLOOR and `share` of the answers then."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._total = 0
        self._answers: deque[int] = deque([0], maxlen=TICKS)
        self._retries: deque[int] = deque([0], maxlen=TICKS)

    def tick(self, total: int) -> None:
        """Time goes on; `total` answers were counted from the beginning."""
        self._answers.append(total - self._total)
        self._retries.append(0)
        self._total = total

    def withdraw(self) -> bool:
        """Whether one more is granted, and takes it."""
        if sum(self._retries) >= FLOOR + self._share * sum(self._answers):
            return False
        self._retries[-1] += 1
        return True
