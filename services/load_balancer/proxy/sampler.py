"""A sample of the requests that are answered, for people to look at.

The data plane notes which one it answered last. While somebody looks, that note is taken down
twenty times a second; while nobody does, all this costs one assignment per request.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from load_balancer.proxy.exchange import Exchange

EVERY_S = 0.05
KEPT = 100
PATIENCE_S = 3.0  # since somebody has looked


@dataclass(frozen=True, slots=True)
class Sample:
    """A request that a replica has answered; numbers grow."""

    number: int
    key: int
    hostname: str


class Sampler:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.latest: Exchange | None = None
        self._loop = loop
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._numbers = itertools.count(1)
        self._looked_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def since(self, number: int) -> list[Sample]:
        """Samples after `number`, oldest first. Asking is looking; any thread may."""
        self._loop.call_soon_threadsafe(self._look)
        return [sample for sample in list(self._samples) if sample.number > number]

    @property
    def is_looked_at(self) -> bool:
        """Whether somebody wants samples now."""
        return self._timer is not None

    def add(self, key: int, hostname: str) -> None:
        """One that another data plane has taken."""
        self._samples.append(Sample(next(self._numbers), key, hostname))

    def _look(self) -> None:
        self._looked_at = self._loop.time()
        if self._timer is None:
            self.latest = None  # of before
            self._timer = self._loop.call_later(EVERY_S, self._take)

    def _take(self) -> None:
        exchange, self.latest = self.latest, None
        if exchange is not None and exchange.replica is not None:  # not the admin API's
            self._samples.append(
                Sample(next(self._numbers), exchange.key, exchange.replica.hostname)
            )
        is_looked_at = self._loop.time() < self._looked_at + PATIENCE_S
        self._timer = self._loop.call_later(EVERY_S, self._take) if is_looked_at else None
