"""What live pages are told once a second: counters, and some of the requests. It is made once for
all of them, so that a class that looks on costs hardly more than one."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from math import inf

from load_balancer import forecast
from load_balancer.data_planes import DataPlanes
from load_balancer.membership import Membership
from load_balancer.proxy.pool import LATENCY_BUCKETS_S

EVERY_S = 1.0


class LiveFeed:
    """Asked by threads of the admin API; asking is looking on, for which requests are sampled."""

    def __init__(self, planes: DataPlanes, membership: Membership) -> None:
        self._planes = planes
        self._membership = membership
        self._making = threading.Lock()
        self._made_at = -inf
        self._number = 0
        self._text = ""
        self._last_sample = 0

    def latest(self) -> tuple[int, str]:
        """The present message, at most EVERY_S old, as a server-sent event; its number grows, and
        is not told, so that nobody resumes behind it."""
        with self._making:
            now = self._now()
            if now - self._made_at >= EVERY_S:
                has_paused = now - self._made_at >= 3 * EVERY_S  # nobody has looked on
                self._made_at = now
                self._number += 1
                self._text = f"event: live\ndata: {json.dumps(self._message(has_paused))}\n\n"
            return self._number, self._text

    def _message(self, has_paused: bool) -> dict[str, object]:
        samples = self._planes.sampler.since(self._last_sample)
        if samples:
            self._last_sample = samples[-1].number
        if has_paused:
            samples = []  # of long ago
        ring = self._membership.ring
        in_flight = self._planes.in_flight
        return {
            "time": round(time.time(), 6),
            "table_version": self._membership.table.version,
            "replicas": {
                hostname: {
                    "answered": stats.num_answers,
                    "in_flight": in_flight.get(hostname, 0),
                    "latency": list(itertools.accumulate(stats.latency_counts)),
                }
                for hostname, stats in list(self._planes.stats.items())
            },
            "latency_up_to_s": LATENCY_BUCKETS_S,
            "requests": [
                {"replica": each.hostname, "place": forecast.place(ring, each.key)}
                for each in samples
            ],
        }

    _now: Callable[[], float] = staticmethod(time.monotonic)
