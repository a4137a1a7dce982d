"""All data planes as one: our own, and those that follow. What the controller asks of them, and
what they have counted together."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping

from load_balancer.followers import Followers
from load_balancer.messages import Counted
from load_balancer.proxy.pool import Stats
from load_balancer.proxy.server import Server
from load_balancer.routing import Replica


class DataPlanes:
    """Counts may be asked for by any thread; without followers they are the server's own."""

    def __init__(self, server: Server, followers: Followers) -> None:
        self._server = server
        self._followers = followers
        self.sampler = server.sampler

    # What the controller asks

    async def drain(self, replica: Replica, timeout_s: float) -> None:
        """Returns when no request is in flight to `replica`, or cuts them after `timeout_s`."""
        await asyncio.gather(
            self._server.drain(replica, timeout_s), self._followers.drained(replica, timeout_s)
        )

    def cut(self, replica: Replica) -> None:
        """Closes all connections to `replica` now; what is in flight fails over. Followers do it
        with their next snapshot."""
        self._server.cut(replica)

    async def settled(self) -> None:
        """Returns when all serve by the present table, or have been waited for long enough."""
        await self._followers.settled()

    # Sums

    @property
    def stats(self) -> Mapping[str, Stats]:
        """By hostname."""
        elsewhere = self._elsewhere
        if not elsewhere:
            return self._server.stats
        total: defaultdict[str, Stats] = defaultdict(Stats)
        for hostname, stats in list(self._server.stats.items()):
            total[hostname].add(stats)
        for counted in elsewhere:
            for hostname, counters in counted.replicas.items():
                total[hostname].add(counters)
        return total

    @property
    def ejections(self) -> Mapping[str, int]:
        """By hostname."""
        total = Counter(self._server.ejections)
        for counted in self._elsewhere:
            total.update(counted.ejections)
        return total

    @property
    def in_flight(self) -> Mapping[str, int]:
        """Requests that each replica has not answered yet, by hostname."""
        total = Counter(self._server.in_flight)
        total.update(self._followers.in_flight)
        return total

    @property
    def num_clients(self) -> int:
        here = [self._followers.counted.get(link.process) for link in list(self._followers.links)]
        return self._server.num_clients + sum(each.num_clients for each in here if each)

    @property
    def _elsewhere(self) -> list[Counted]:
        return [*self._followers.gone, *list(self._followers.counted.values())]

    def followers(self) -> list[tuple[str, int, float]]:
        """Of each that is connected the name, the version of its table, and for how many seconds
        nothing was heard of it."""
        now = self._server.loop.time()
        links = list(self._followers.links)
        return [(link.name, link.serving.version, now - link.heard_at) for link in links]
