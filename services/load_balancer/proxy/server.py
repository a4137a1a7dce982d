"""The data plane as one object: the listening socket, its clients, and a pool for each replica."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from load_balancer.health import Evidence
from load_balancer.membership import Member
from load_balancer.proxy import wire
from load_balancer.proxy.access_log import AccessLog
from load_balancer.proxy.admin_pool import AdminPool
from load_balancer.proxy.head import Limits
from load_balancer.proxy.pool import Pool, Stats
from load_balancer.proxy.protocol import ClientConnection
from load_balancer.proxy.restraints import Restraints
from load_balancer.proxy.retry_budget import RetryBudget
from load_balancer.proxy.reuse_port import send_newcomers_to_the_other
from load_balancer.proxy.sampler import Sampler
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Address, Settings
from ring.bounded import capacity_of, first_below

SWEEP_S = 0.25  # how exact timeouts are
BACKLOG = 16_384  # clients that connect at once; the kernel has a limit of its own, somaxconn
GRACE_S = 8.0  # to answer what is in flight at the end; the engine kills after 10 s
CLOSING_TURN_S = 0.02
NEWCOMER_S = 1.0  # after the last connection is accepted, for the first byte of its request
ADMIN_CONNECTIONS = 64  # more than it has threads, so that waiting is done there
ADMIN_TIMEOUT_S = 150.0  # a command may wait for containers to start and requests to end

AnyPool = TypeVar("AnyPool", bound=Pool)

ADMIN_PATHS = frozenset(
    {
        b"/rep",
        b"/add",
        b"/rm",
        b"/crash",
        b"/pause",
        b"/resume",
        b"/ring",
        b"/route",
        b"/events",
        b"/metrics",
        b"/openapi.json",
        b"/dashboard",
    }
)


class Server:
    """Reads the routing table; hands each request to a replica, or to the admin API on
    `admin_socket`. Tells `on_evidence` when a replica refuses, and when (None) it hangs up;
    `record`s an event when it gives a replica less than its share."""

    def __init__(
        self,
        settings: Settings,
        table: RoutingTable,
        admin_socket: Path,
        on_evidence: Callable[[Replica, Evidence | None], None],
        record: Callable[..., None],
    ) -> None:
        self.settings = settings
        self.table = table
        self.route = table.route
        self.limits = Limits(
            settings.max_head_bytes, settings.max_fields, settings.max_target_bytes
        )
        self.loop = asyncio.get_running_loop()
        # As of the last sweep; exact enough for deadlines.
        self.now = self.loop.time()
        self.idle_deadline = self.now + settings.idle_timeout_s
        self.max_attempts = settings.max_attempts
        self.min_body_bytes = settings.min_body_rate * settings.body_timeout_s
        self.authority = settings.bind.encode()
        self.is_closing = False
        self.retry_budget = RetryBudget(settings.retry_share)
        self.restraints = Restraints(settings, record)
        self.speaks_contract = settings.manages_replicas
        self.access_log = AccessLog(settings.access_log) if settings.access_log else None
        self.stats: defaultdict[str, Stats] = defaultdict(Stats)
        self.sampler = Sampler(self.loop)
        self._on_evidence = on_evidence
        self.pools: dict[Replica, Pool] = {}
        self._clients: set[ClientConnection] = set()
        self._clients_at: Counter[bytes] = Counter()  # by address
        self._sockets: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self.admin_pool = self._new_pool(
            AdminPool, None, admin_socket, Stats(), ADMIN_CONNECTIONS, ADMIN_TIMEOUT_S
        )

    async def listen(self) -> None:
        """Accepts clients from now on. OSError if the address cannot be had."""
        host, port = self.settings.bind_address
        self._sockets = await self.loop.create_server(
            lambda: ClientConnection(self),
            host,
            port,
            backlog=BACKLOG,
            reuse_port=self.settings.reuse_port,
        )
        if self.access_log is not None:
            self.access_log.start()
        self._sweep()

    async def close(self, grace_s: float) -> None:
        """Accepts no more, answers what is in flight, and cuts what takes longer than `grace_s`."""
        self.is_closing = True
        if self._sockets is not None:
            # The kernel would reset who has connected and is not accepted.
            await self._send_newcomers_away(self._sockets)
            self._sockets.close()
        started_at = self.loop.time()
        deadline = started_at + grace_s
        while self.loop.time() < deadline:
            # First of all, for who was accepted just now is made known in the loop's next turn.
            await asyncio.sleep(CLOSING_TURN_S)
            if not self._clients:
                break
            patient = self.loop.time() < started_at + NEWCOMER_S
            for client in list(self._clients):
                client.close_when_idle(patient=patient)
        for client in list(self._clients):
            client.abort()
        await asyncio.sleep(0)  # they have left, and their requests are not tried elsewhere
        if self._sweeper is not None:
            self._sweeper.cancel()
        for pool in [*self.pools.values(), self.admin_pool]:
            pool.cut()
        if self.access_log is not None:
            await self.access_log.close()

    # What exchanges ask

    def pool(self, replica: Replica) -> Pool:
        try:
            return self.pools[replica]
        except KeyError:
            stats = self.stats[replica.hostname]
            settings = self.settings
            pool = self._new_pool(
                *(Pool, replica, replica.address, stats),
                *(settings.pool_size, settings.response_timeout_s),
            )
            self.pools[replica] = pool
            return pool

    def successor(self, key: int, tried: Container[str]) -> Replica | None:
        """The next replica clockwise for `key` that was not tried; one under restraint only if
        there is no other."""
        now = self.loop.time()
        order = [each for each in self.table.failover_order(key) if each.hostname not in tried]
        free = [each for each in order if self.restraints.admits(each, key, now)]
        return self._roomy(free) or next(iter(free or order), None)

    def answered(self, replica: Replica, status: int) -> None:
        """A replica's answer, but for those that are like the one before them."""
        if status < 500:
            self.restraints.succeeded(replica)
        else:
            self.restraints.failed(replica, self.table, self.loop.time())

    @staticmethod
    def is_admin(path: bytes) -> bool:
        return path in ADMIN_PATHS or path.startswith(b"/dashboard/")

    # What the control plane asks

    async def drain(self, replica: Replica, timeout_s: float) -> None:
        """Returns when no request is in flight to `replica`, or cuts them after `timeout_s`."""
        if (pool := self.pools.get(replica)) is not None:
            await pool.drain(timeout_s)
            self.pools.pop(replica, None)

    def cut(self, replica: Replica) -> None:
        """Closes all connections to `replica` now; what is in flight fails over."""
        if (pool := self.pools.pop(replica, None)) is not None:
            pool.cut()

    @property
    def in_flight(self) -> dict[str, int]:
        """Requests that each replica has not answered yet, by hostname."""
        pools = list(self.pools.items())  # a copy: the admin API asks from another thread
        return {replica.hostname: pool.in_flight for replica, pool in pools}

    @property
    def ejections(self) -> Mapping[str, int]:
        """How often each replica was an outlier, by hostname."""
        return self.restraints.ejections

    @property
    def num_clients(self) -> int:
        return len(self._clients)

    # Observer of membership

    def table_published(self, table: RoutingTable) -> None:
        self.restraints.table_changed(self.table, table, self.loop.time())
        self.table = table
        self.route = table.route if table.load_factor is None else self._route_bounded

    def replica_started(self, member: Member, replica: Replica) -> None: ...

    def replica_suspected(self, replica: Replica) -> None:
        if (pool := self.pools.get(replica)) is not None:
            pool.give_up_connecting()

    def replica_died(self, member: Member, replica: Replica) -> None:
        self.cut(replica)

    # What clients tell

    def connected(self, client: ClientConnection) -> None:
        limit, limit_each = self.settings.max_connections, self.settings.max_connections_per_client
        if len(self._clients) >= limit:
            self._turn_away(client, 503, f"there are {limit} connections, and no room for more")
        elif limit_each and self._clients_at[client.address] >= limit_each:
            self._turn_away(client, 429, f"one client may have {limit_each} connections")
        else:
            self._clients.add(client)
            self._clients_at[client.address] += 1

    def disconnected(self, client: ClientConnection) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._clients_at[client.address] -= 1
            if not self._clients_at[client.address]:
                del self._clients_at[client.address]

    # Within

    async def _send_newcomers_away(self, sockets: asyncio.Server) -> None:
        """To who takes over the port, if we had it for ourselves; then we accept whom we have."""
        if self.settings.reuse_port and self.settings.workers == 1:
            with suppress(OSError):
                send_newcomers_to_the_other(sockets.sockets[0].fileno())
            await asyncio.sleep(CLOSING_TURN_S)
        else:
            await asyncio.sleep(0)

    def _route_bounded(self, key: int) -> Replica | None:
        """The first in the failover order that has not too many requests in flight already."""
        return self._roomy(self.table.failover_order(key))

    def _roomy(self, order: Iterable[Replica]) -> Replica | None:
        """The first that may have one more by the bound on loads; without one, the first."""
        table, pools = self.table, self.pools
        if table.load_factor is None:
            return next(iter(order), None)
        loads = {
            replica: pools[replica].in_flight if replica in pools else 0
            for replica in table.replicas.values()
        }
        capacity = capacity_of(table.load_factor, sum(loads.values()) + 1, 1, len(loads) or 1)
        return first_below(order, loads.__getitem__, capacity)

    @staticmethod
    def _turn_away(client: ClientConnection, status: int, message: str) -> None:
        lines = wire.VIA + wire.CLOSE + b"Retry-After: 1\r\n"
        answer = wire.error_response(status, message, method=b"GET", lines=lines)
        client.turn_away(status, answer)

    def _new_pool(
        self,
        kind: type[AnyPool],
        replica: Replica | None,
        at: Path | Address,
        stats: Stats,
        size: int,
        response_timeout_s: float,
    ) -> AnyPool:
        return kind(
            loop=self.loop,
            replica=replica,
            at=at,
            stats=stats,
            access_log=self.access_log,
            size=size,
            response_timeout_s=response_timeout_s,
            settings=self.settings,
            speaks_contract=self.speaks_contract,
            limits=self.limits,
            on_evidence=self._on_evidence,
            on_answer=self.answered,
        )

    def _sweep(self) -> None:
        self.now = self.loop.time()
        self.idle_deadline = self.now + self.settings.idle_timeout_s
        self.retry_budget.tick(sum(stats.num_answers for stats in self.stats.values()))
        self.restraints.sweep(self.now)
        for client in list(self._clients):
            client.sweep(self.now)
        for pool in [*self.pools.values(), self.admin_pool]:
            pool.sweep(self.now)
        self._sweeper = self.loop.call_later(SWEEP_S, self._sweep)
