"""A data plane that follows a control plane elsewhere, in another process or on another machine.

It serves by the last snapshot that it got, whatever becomes of who sent it, and listens for clients
as soon as it has one. What it notices and counts it tells; admin calls it passes on. While the
control plane is away it looks for it, and answers admin calls with the age of its table.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import Any

from load_balancer import messages, snapshot
from load_balancer.errors import BadMessage
from load_balancer.health import Evidence, State
from load_balancer.messages import (
    Counted,
    Happened,
    Hello,
    Here,
    Life,
    Noticed,
    Refusal,
    Sampled,
    Serving,
    Snapshot,
    Welcome,
)
from load_balancer.process import spare_the_collector
from load_balancer.proxy.server import GRACE_S, Server
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Address, Settings, is_loopback
from ring import Placement

logger = logging.getLogger(__name__)

# Between two tries to find the control plane.
BACKOFF_FIRST_S = 0.05
BACKOFF_LAST_S = 0.5
# A replica that only we cannot reach is alive again as soon as it is asked: it must not come and go
# with every request of ours.
REFUSALS_S = 1.0
MAX_UNTOLD = 100  # events that wait for a control plane that does not read


async def serve(
    settings: Settings, followed: Path | Address, name: str, stop: asyncio.Event
) -> None:
    """Serves by the tables of the control plane at `followed` until `stop` is set, and then answers
    what is in flight. OSError if the address to serve at cannot be had."""
    follower = Follower(settings, followed, name)
    following = asyncio.ensure_future(follower.run())
    stopping = asyncio.ensure_future(stop.wait())
    has_table = asyncio.ensure_future(follower.has_table.wait())
    try:
        await asyncio.wait([has_table, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            spare_the_collector()
            await follower.server.listen()
            logger.info("serving on http://%s", settings.bind)
            await stopping
    finally:
        logger.info("stopping")
        for task in (has_table, stopping):
            task.cancel()
        await follower.server.close(GRACE_S)
        following.cancel()
        await asyncio.wait([following])


def told(address: Path | Address) -> str:
    return str(address) if isinstance(address, Path) else f"{address[0]}:{address[1]}"


class Follower:
    """`followed`: the control plane's socket for followers. Lives on one event loop."""

    def __init__(self, settings: Settings, followed: Path | Address, name: str) -> None:
        self.has_table = asyncio.Event()
        nobody = RoutingTable(settings.ring(), {}, 0)
        self.server = Server(settings, nobody, Path(), self._on_evidence, self._on_event)
        self.server.admin_pool.followed = self
        self._settings = settings
        self._followed = followed
        self._name = name
        self._process = secrets.token_hex(8)  # by which its counts are known
        # The control plane
        self._welcome: Welcome | None = None  # None: it is away
        self._heard_at = self._now()
        self._fault = ""  # why it was last lost, or not found
        # Its last snapshot
        self._ring: tuple[dict[str, Any], Placement] | None = None  # as data, and as a ring
        self._replicas: dict[int, Replica] = {}  # by the numbers of their lives
        self._lives: dict[Replica, Life] = {}
        self._numbers_hold = False  # they are of the connection that is open now
        self._drains: set[asyncio.Task[None]] = set()
        # What the control plane is to be told
        self._serving_changed = False
        self._noticed: dict[Replica, Evidence | None] = {}
        self._refused_at: dict[Replica, float] = {}
        self._happened: list[Happened | Sampled] = []
        self._last_sample = 0
        self._news = asyncio.Event()

    async def run(self) -> None:
        """For ever."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                await self._follow()
            except (BadMessage, OSError, TimeoutError) as error:
                if self._welcome is not None:
                    backoff_s = BACKOFF_FIRST_S
                self._lost(str(error) or "it is silent")
            except Exception:  # ours; to serve on by the last table is still the best there is
                logger.exception("following the control plane failed")
                self._welcome = None
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_LAST_S)

    # What the admin pool asks

    def refusal(self) -> tuple[int, str] | None:
        if self._welcome is None:
            return self.silence()
        is_within = is_loopback(self._settings.bind_address[0]) or self._settings.open_admin
        if not (is_within or self._welcome.is_guarded):
            return 403, (
                f"bound to {self._settings.bind}, beyond loopback, a data plane passes no admin"
                " call on to a control plane without an --admin-token"
            )
        return None

    def silence(self) -> tuple[int, str]:
        version, age_s = self.server.table.version, self._now() - self._heard_at
        return 503, f"the control plane does not answer; serving table {version}, {age_s:.1f} s old"

    # Within: the connection

    async def _follow(self) -> None:
        """Until it breaks: BadMessage, OSError, TimeoutError."""
        reader, writer = await self._connected()
        token = self._settings.followers_token
        writer.write(Hello(name=self._name, process=self._process, token=token).line)
        telling: asyncio.Future[None] | None = None
        try:
            while True:
                match await messages.read(reader, messages.FROM_CONTROL_PLANE):
                    case Welcome() as welcome:
                        self._found(welcome)
                        telling = telling or asyncio.ensure_future(self._tell(writer))
                    case Snapshot() as taken:
                        await self._take(taken)
                    case Here(wants_samples=True):
                        self._sample()
                    case Refusal(reason=reason):
                        raise BadMessage(f"it refuses us: {reason}")
                self._heard_at = self._now()
        finally:
            if telling is not None:
                telling.cancel()
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        limit = messages.MAX_SNAPSHOT_BYTES
        async with asyncio.timeout(messages.PATIENCE_S):
            if isinstance(self._followed, Path):
                return await asyncio.open_unix_connection(str(self._followed), limit=limit)
            return await asyncio.open_connection(*self._followed, limit=limit)

    def _found(self, welcome: Welcome) -> None:
        away_s = self._now() - self._heard_at
        after = f", after {away_s:.1f} s without" if self.has_table.is_set() else ""
        logger.info("following the control plane at %s%s", told(self._followed), after)
        self._welcome, self._fault = welcome, ""
        self._numbers_hold = False
        self.server.speaks_contract = welcome.speaks_contract
        self.server.admin_pool.moved(welcome.admin_at(self._followed))

    def _lost(self, fault: str) -> None:
        """Said once, however often it is tried."""
        self._welcome = None
        if fault != self._fault:
            serving = f"serving table {self.server.table.version}"
            serving = serving if self.has_table.is_set() else "serving nobody yet"
            logger.warning("no control plane at %s: %s; %s", told(self._followed), fault, serving)
            self._fault = fault

    # Within: its snapshots

    async def _take(self, taken: Snapshot) -> None:
        """Serves by it from now on. BadMessage, and all is as before."""
        replicas = self._replicas_of(taken)
        # Beside the loop, for a ring may be large.
        table = await asyncio.to_thread(self._table_of, taken, replicas)
        before = self._lives
        self._replicas = replicas
        self._lives = {replicas[each.life]: each for each in taken.replicas}
        self._numbers_hold = True
        self.server.table_published(table)
        for replica, life in self._lives.items():
            self._turn(replica, before.get(replica), life)
        for replica in before.keys() - self._lives.keys():
            self.server.cut(replica)
            self._refused_at.pop(replica, None)
        self.has_table.set()
        self._serving_changed = True
        self._news.set()

    def _table_of(self, taken: Snapshot, replicas: dict[int, Replica]) -> RoutingTable:
        if self._ring is None or self._ring[0] != taken.ring:
            self._ring = (taken.ring, snapshot.ring_of(taken))
        return snapshot.table_of(taken, self._ring[1], replicas)

    def _replicas_of(self, taken: Snapshot) -> dict[int, Replica]:
        """Who stands for each life: known by its number, which holds while the connection does; a
        control plane that was away means the same where name and address are."""
        same = {(replica.hostname, replica.address): replica for replica in self._lives}
        replicas = {}
        for life in taken.replicas:
            address = (life.host, life.port)
            if self._numbers_hold:
                known = self._replicas.get(life.life)
            else:
                known = same.get((life.hostname, address))
            replicas[life.life] = known or Replica(life.hostname, address)
        return replicas

    def _turn(self, replica: Replica, before: Life | None, life: Life) -> None:
        """What our own data plane does when it hears of the change."""
        state = before.state if before else None
        if life.leaves and not (before and before.leaves):
            drain = asyncio.get_running_loop().create_task(self._drain(replica))
            self._drains.add(drain)
            drain.add_done_callback(self._drains.discard)
        if state is not life.state is State.SUSPECT:
            self.server.replica_suspected(replica)
        if state is not life.state is State.DEAD:
            self.server.cut(replica)

    async def _drain(self, replica: Replica) -> None:
        await self.server.drain(replica, self._settings.drain_timeout_s)
        self._serving_changed = True
        self._news.set()

    # Within: what is told

    def _on_evidence(self, replica: Replica, evidence: Evidence | None) -> None:
        if evidence is not None:
            if self._now() < self._refused_at.get(replica, -inf) + REFUSALS_S:
                return
            self._refused_at[replica] = self._now()
        self._noticed[replica] = self._noticed.get(replica) or evidence
        self._news.set()

    def _on_event(self, kind: str, **detail: object) -> None:
        logger.info("%s: %s", kind, detail)
        if len(self._happened) < MAX_UNTOLD:
            self._happened.append(Happened.model_validate({"event": kind, "detail": detail}))
        self._news.set()

    def _sample(self) -> None:
        """Asking for some is what has them taken: the first time there are none."""
        samples = self.server.sampler.since(self._last_sample)
        if samples and len(self._happened) < MAX_UNTOLD:
            self._last_sample = samples[-1].number
            requests = [(sample.key, sample.hostname) for sample in samples]
            self._happened.append(Sampled(requests=requests))
            self._news.set()

    async def _tell(self, writer: asyncio.StreamWriter) -> None:
        """What has changed, at once; how it stands, every so often."""
        told_at = 0.0
        with suppress(OSError):  # whoever reads from it sees that, too
            while True:
                self._news.clear()
                writer.writelines(self._changes())
                if self._now() >= told_at + messages.TELL_S:
                    told_at = self._now()
                    writer.writelines([self._serving().line, self._counted().line])
                await writer.drain()
                with suppress(TimeoutError):
                    async with asyncio.timeout(messages.TELL_S):
                        await self._news.wait()

    def _changes(self) -> list[bytes]:
        noticed = [
            Noticed(life=self._lives[replica].life, evidence=evidence).line
            for replica, evidence in self._noticed.items()
            if replica in self._lives and self._numbers_hold
        ]
        happened = [each.line for each in self._happened]
        serving = [self._serving().line] if self._serving_changed else []
        self._noticed.clear()
        self._happened.clear()
        self._serving_changed = False
        return [*noticed, *happened, *serving]

    def _serving(self) -> Serving:
        if not self._numbers_hold:  # of what is served the control plane knows no numbers
            return Serving(version=0)
        in_flight = {
            life.life: pool.in_flight
            for replica, life in self._lives.items()
            if (pool := self.server.pools.get(replica)) is not None and pool.in_flight
        }
        return Serving(version=self.server.table.version, in_flight=in_flight)

    def _counted(self) -> Counted:
        server = self.server
        return Counted(
            replicas=messages.told(server.stats),
            ejections=dict(server.ejections),
            num_clients=server.num_clients,
        )

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
