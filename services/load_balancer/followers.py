"""The control plane's side of data planes that follow it: who they are, which table each serves by,
what it has in flight, and what it has counted.

What is sent is the state, not what has changed: each gets the newest snapshot when it is ready for
one, so a slow one skips some, and one that was away needs no history. Whoever leaves, dies or is
suspect is in the snapshot as that, and the follower does what our own data plane does.
"""

from __future__ import annotations

import asyncio
import hmac
import itertools
import logging
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from load_balancer import messages, snapshot
from load_balancer.errors import BadMessage
from load_balancer.health import Evidence
from load_balancer.membership import Member, Membership
from load_balancer.messages import (
    Counted,
    Happened,
    Hello,
    Here,
    Noticed,
    Sampled,
    Serving,
    Welcome,
)
from load_balancer.proxy.sampler import Sampler
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Address, Settings

logger = logging.getLogger(__name__)

SETTLING_S = 1.0  # that a command waits for all followers at most
MAX_FOLLOWERS = 1024
MAX_GONE = 100  # followers that have gone and whose counts are still kept apart


class Link:
    """A follower that is connected."""

    def __init__(self, hello: Hello, writer: asyncio.StreamWriter, now: float) -> None:
        self.name = hello.name
        self.process = hello.process
        self.writer = writer
        self.serving = Serving(version=0)
        self.heard_at = now

    def is_done_with(self, life: int, version: int) -> bool:
        """Whether it serves by table `version`, and waits for no answer of `life`."""
        return self.serving.version >= version and life not in self.serving.in_flight


class Followers:
    """Observer of membership. `on_evidence` and `record` as for our own data plane, for what
    followers see is as good."""

    def __init__(
        self,
        membership: Membership,
        settings: Settings,
        admin_socket: Path,
        sampler: Sampler,
        on_evidence: Callable[[Replica, Evidence | None], None],
        record: Callable[..., None],
    ) -> None:
        self.links: set[Link] = set()
        self.counted: dict[str, Counted] = {}  # by process; of those that have gone, too
        self.gone: list[Counted] = []  # so long ago that they will not be back
        self._membership = membership
        self._settings = settings
        self._admin_socket = admin_socket
        self._sampler = sampler
        self._on_evidence = on_evidence
        self._record = record
        self._listening: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._numbers: dict[Replica, int] = {}
        self._next_number = itertools.count(1)
        self._news = asyncio.Event()  # set, and replaced, when anything has changed on either side
        self._line = (0, b"")  # the newest snapshot as it is sent, with its version
        self._encoding = asyncio.Lock()

    async def listen(self, at: Path | Address, token: str = "") -> None:
        """Followers may come to `at` from now on; to a host's port only with the token, if there
        is one. OSError if the address cannot be had."""
        limit = messages.MAX_REPORT_BYTES
        if isinstance(at, Path):
            with suppress(FileNotFoundError):
                at.unlink()  # of one that was killed
            listening = await asyncio.start_unix_server(
                lambda *streams: self._serve(*streams, token=""), str(at), limit=limit
            )
            at.chmod(0o600)  # who may open it needs no token
        else:
            listening = await asyncio.start_server(
                lambda *streams: self._serve(*streams, token=token), *at, limit=limit
            )
        self._listening.append(listening)

    async def close(self) -> None:
        for listening in self._listening:
            listening.close()
        for writer in self._connections.values():
            writer.transport.abort()
        await asyncio.gather(*self._connections, return_exceptions=True)

    # What the control plane asks

    async def settled(self) -> None:
        """Returns when all that are connected serve by the present table, or after SETTLING_S."""
        version = self._membership.table.version
        await self._until(
            lambda: all(link.serving.version >= version for link in self.links), SETTLING_S
        )

    async def drained(self, replica: Replica, timeout_s: float) -> None:
        """Returns when none that is connected waits for an answer of `replica`, which is out of
        the table; after `timeout_s` they have cut them, or will."""
        version, life = self._membership.table.version, self._numbers.get(replica, 0)
        await self._until(
            lambda: all(link.is_done_with(life, version) for link in self.links), timeout_s
        )

    @property
    def in_flight(self) -> Counter[str]:
        """Requests that followers wait for, by hostname."""
        names = {number: replica.hostname for replica, number in list(self._numbers.items())}
        total: Counter[str] = Counter()
        for link in list(self.links):
            for life, count in link.serving.in_flight.items():
                if life in names:
                    total[names[life]] += count
        return total

    # Observer of membership

    def table_published(self, table: RoutingTable) -> None:
        self._tell()

    def replica_started(self, member: Member, replica: Replica) -> None: ...

    def replica_suspected(self, replica: Replica) -> None: ...

    def replica_died(self, member: Member, replica: Replica) -> None: ...

    # Within: one follower

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, token: str
    ) -> None:
        """Until it goes, or says what it may not."""
        if len(self._connections) >= MAX_FOLLOWERS:
            logger.warning("there are %d followers, and no room for more", MAX_FOLLOWERS)
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        name = "a follower"
        try:
            hello = await messages.read(reader, messages.HELLO)
            name = f"follower {hello.name}"
            self._check(hello, token)
            await self._follow(Link(hello, writer, self._now()), reader)
        except BadMessage as error:
            logger.warning("%s is refused: %s", name, error)
            with suppress(OSError):
                writer.write(messages.Refusal(reason=str(error)).line)
        except (OSError, TimeoutError) as error:
            logger.info("%s has gone: %s", name, error or "silent for too long")
        finally:
            del self._connections[task]
            writer.close()

    @staticmethod
    def _check(hello: Hello, token: str) -> None:
        if token and not hmac.compare_digest(hello.token.encode(), token.encode()):
            raise BadMessage("token must be that of --followers-token")

    async def _follow(self, link: Link, reader: asyncio.StreamReader) -> None:
        logger.info("follower %s has come", link.name)
        self.links.add(link)
        telling = asyncio.ensure_future(self._tell_all(link))
        try:
            while True:
                message = await messages.read(reader, messages.FROM_FOLLOWER)
                link.heard_at = self._now()
                self._take(link, message)
        finally:
            telling.cancel()
            self.links.discard(link)
            self._forget_the_oldest()
            self._tell()

    def _take(self, link: Link, message: messages.FromFollower) -> None:
        match message:
            case Serving():
                link.serving = message
                self._tell()
            case Noticed(life=life, evidence=evidence):
                replica = next((r for r, number in self._numbers.items() if number == life), None)
                if replica is not None:
                    self._on_evidence(replica, evidence)
            case Happened(event=event, detail=detail):
                self._record(event, **detail | {"data_plane": link.name})
            case Counted():
                self.counted.pop(link.process, None)
                self.counted[link.process] = message  # the last heard of is the last here
            case Sampled(requests=requests):
                for key, hostname in requests:
                    self._sampler.add(key, hostname)

    async def _tell_all(self, link: Link) -> None:
        """Each snapshot when there is one and the follower has read the one before."""
        writer, sent = link.writer, 0
        # So that `drain` waits till all is read, but for what the kernel holds.
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(self._welcome(writer).line)
        with suppress(OSError):  # whoever reads from it sees that, too
            while True:
                if sent != self._membership.table.version:
                    sent, line = await self._snapshot_line()
                else:
                    line = Here(wants_samples=self._sampler.is_looked_at).line
                writer.write(line)
                await writer.drain()
                await self._until(
                    lambda: sent != self._membership.table.version,  # noqa: B023  # asked at once
                    messages.TELL_S,
                )

    def _welcome(self, writer: asyncio.StreamWriter) -> Welcome:
        is_here = writer.get_extra_info("socket").family == socket.AF_UNIX
        return Welcome(
            admin_socket=str(self._admin_socket) if is_here else None,
            admin_port=self._settings.bind_address[1],
            is_guarded=bool(self._settings.admin_token),
            speaks_contract=self._settings.manages_replicas,
        )

    async def _snapshot_line(self) -> tuple[int, bytes]:
        """The newest, made once for all, and beside the loop: a ring may be large."""
        async with self._encoding:
            table, ring = self._membership.table, self._membership.ring
            if self._line[0] != table.version:
                replicas = self._lives(table)
                taken = await asyncio.to_thread(
                    lambda: snapshot.taken(table.version, ring, replicas).line
                )
                self._line = (table.version, taken)
            return self._line

    def _lives(self, table: RoutingTable) -> list[messages.Life]:
        members, leaving = [*self._membership.members.values()], self._membership.leaving
        present = [each.replica for each in (*members, *leaving) if each.replica is not None]
        self._numbers = {
            replica: self._numbers.get(replica) or next(self._next_number) for replica in present
        }
        return snapshot.lives(members, leaving, table, self._numbers)

    # Within: all of them

    def _forget_the_oldest(self) -> None:
        """Of those that have gone only so many can come back and count on."""
        here = {link.process for link in self.links}
        gone = [process for process in self.counted if process not in here]
        for process in gone[:-MAX_GONE]:
            self.gone = [messages.total([*self.gone, self.counted.pop(process)])]

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition():
                    await self._news.wait()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
