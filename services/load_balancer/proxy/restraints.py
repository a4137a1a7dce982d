"""Replicas that get less than their share for a while: outliers nothing, newcomers more and more.

An outlier answers its heartbeats and fails its requests: so many 5xx or silences in a row. It is
ejected for a time, longer with each time; its keys go clockwise to the next. At most half of the
replicas may be out at once: better a suspect replica than none (Envoy's panic rule).

A newcomer in a running lab may have caches to fill. If slow start is on, it gets a share of its
keys that grows from a tenth to all, and the same keys first whenever it comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Settings
from ring import KEY_HASHES

MAX_EJECTION_S = 300.0  # Envoy's max_ejection_time
FIRST_SHARE = 0.1
_spread = KEY_HASHES["splitmix64"]  # uniform on range(2^64), whatever the keys


class Restraints:
    """`active` is empty nearly always, and asked on each request's way."""

    def __init__(self, settings: Settings, record: Callable[..., None]) -> None:
        self.active: set[Replica] = set()
        self.ejections: Counter[str] = Counter()  # by hostname, over all its lives
        self._settings = settings
        self._record = record
        self._failures: dict[Replica, int] = {}  # in a row
        self._times_ejected: dict[Replica, int] = {}
        self._ejected_until: dict[Replica, float] = {}
        self._started_at: dict[Replica, float] = {}

    def admits(self, replica: Replica, key: int, now: float) -> bool:
        """Whether `replica` may have the request of `key` now (the loop's clock)."""
        if replica in self._ejected_until:
            return False
        started_at = self._started_at.get(replica)
        if started_at is None:
            return True
        share = max(FIRST_SHARE, (now - started_at) / self._settings.slow_start_s)
        return _spread(key) < share * 2**64

    def succeeded(self, replica: Replica) -> None:
        self._failures.pop(replica, None)

    def failed(self, replica: Replica, table: RoutingTable, now: float) -> None:
        """It answered 5xx, or not in time."""
        failures = self._failures[replica] = self._failures.get(replica, 0) + 1
        limit = self._settings.outlier_failures
        if not limit or failures < limit or replica in self._ejected_until:
            return
        num_serving = len(table.replicas)
        if 2 * (len(self._ejected_until) + 1) > num_serving:
            return
        times = self._times_ejected[replica] = self._times_ejected.get(replica, 0) + 1
        time_s = min(times * self._settings.ejection_s, MAX_EJECTION_S)
        self._ejected_until[replica] = now + time_s
        self.active.add(replica)
        self.ejections[replica.hostname] += 1
        self._record("ejected", hostname=replica.hostname, failures=failures, for_s=time_s)

    def table_changed(self, before: RoutingTable, after: RoutingTable, now: float) -> None:
        """Newcomers begin slowly, unless all are newcomers; who has left is forgotten."""
        serving = set(after.replicas.values())
        if self._settings.slow_start_s and before.replicas:
            for replica in serving - set(before.replicas.values()):
                self._started_at[replica] = now
                self.active.add(replica)
        for states in (self._failures, self._times_ejected, self._ejected_until, self._started_at):
            for replica in [each for each in states if each not in serving]:
                del states[replica]
        self.active &= self._ejected_until.keys() | self._started_at.keys()

    def sweep(self, now: float) -> None:
        """Ends what is over; called a few times a second."""
        for replica, until in list(self._ejected_until.items()):
            if now >= until:
                del self._ejected_until[replica]
                self._failures.pop(replica, None)
                self._record("readmitted", hostname=replica.hostname)
        for replica, started_at in list(self._started_at.items()):
            if now >= started_at + self._settings.slow_start_s:
                del self._started_at[replica]
        self.active &= self._ejected_until.keys() | self._started_at.keys()
