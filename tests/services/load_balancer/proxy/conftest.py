"""The data plane between fakes: scripted clients before it, scripted replicas behind it.

Nothing here waits. The loop is a real one, but its clock stands still until a test moves it, and
its connections end in a `Peer`: a test says what each side sends, and reads what came out on both
wires.
"""

import asyncio
import errno
import re
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from load_balancer.health import Evidence
from load_balancer.proxy.server import Server
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Settings

from ring import PRESETS, SlotRing, key_of

HOSTNAMES = ("Server1", "Server2", "Server3")
CLIENT_ADDRESS = "198.51.100.7"
ADMIN = "admin"  # stands for the admin API's socket among the replicas
REQUEST_BEHIND = b"GET /behind HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 1\r\n\r\n"
SURPLUS = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


class Transport(asyncio.Transport):
    """Our end of a connection to a peer."""

    def __init__(self, peer: "Peer") -> None:
        super().__init__()
        self._peer = peer
        self._closing = False

    def write(self, data: bytes) -> None:
        assert not self._peer.saw_eof, f"written behind the end of file: {data!r}"
        if not self._peer.was_cut:
            self._peer.take_in(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (CLIENT_ADDRESS, 40_000) if name == "peername" else default

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._peer.saw_eof = True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        if not self._peer.is_slow:  # else when it has read what is buffered
            self._peer.lab.loop.call_soon(self._peer.lose, None)

    def abort(self) -> None:
        self._closing = self._peer.was_cut = True
        self._peer.lab.loop.call_soon(self._peer.lose, None)

    def pause_reading(self) -> None:
        self._peer.is_read = False

    def resume_reading(self) -> None:
        self._peer.is_read = True
        self._peer.lab.loop.call_soon(self._peer.deliver)


class Peer:
    """The far end of a connection: a client, or a replica."""

    def __init__(self, lab: "Lab", protocol: Any) -> None:
        self.lab = lab
        self.received = b""
        self.saw_eof = False  # we closed our half
        self.was_cut = False  # we aborted
        self.is_lost = False  # the connection is over
        self.is_read = True  # we read what it sends
        self.is_slow = False  # it does not read
        self._is_full = False  # the buffers of what we write to it
        self._unread: list[bytes] = []
        self._protocol = protocol
        self._transport = Transport(self)
        protocol.connection_made(self._transport)

    @property
    def is_open(self) -> bool:
        return not (self.is_lost or self._transport.is_closing())

    @property
    def statuses(self) -> list[int]:
        """Of all that it received, if it is a client."""
        return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", self.received)]

    def take(self) -> bytes:
        """What it received since it was last asked."""
        taken, self.received = self.received, b""
        return taken

    def send(self, data: bytes) -> None:
        self._unread.append(data)
        self.lab.do(self.deliver)

    def send_byte_by_byte(self, data: bytes) -> None:
        def send(octet: int) -> None:
            self._unread.append(bytes([octet]))
            self.deliver()

        self.lab.do(*(partial(send, octet) for octet in data))

    def half_close(self) -> None:
        """Sends no more, and reads on."""

        def end() -> None:
            if self.is_open and not self._protocol.eof_received():
                self._transport.close()

        self.lab.do(end)

    def close(self) -> None:
        self.half_close()
        self.lab.do(lambda: self.lose(None))

    def reset(self) -> None:
        self.lab.do(lambda: self.lose(ConnectionResetError(errno.ECONNRESET, "reset")))

    def stop_reading(self) -> None:
        """The next that is written to it fills the buffers."""
        self.is_slow = True

    def read_on(self) -> None:
        self.is_slow = False
        if self._is_full:
            self._is_full = False
            self.lab.do(self._protocol.resume_writing)
        if self._transport.is_closing():
            self.lab.do(lambda: self.lose(None))

    # On the loop

    def take_in(self, data: bytes) -> None:
        self.received += data
        if self.is_slow and not self._is_full:
            self._is_full = True
            self._protocol.pause_writing()

    def deliver(self) -> None:
        while self._unread and self.is_read and self.is_open:
            self._protocol.data_received(self._unread.pop(0))

    def lose(self, error: Exception | None) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._protocol.connection_lost(error)


class Listener:
    is_open = True

    def close(self) -> None:
        self.is_open = False


class Loop(asyncio.SelectorEventLoop):
    """Connections end in peers, and time passes when `now` is changed."""

    now = 1000.0
    lab: "Lab"

    def time(self) -> float:
        return self.now

    async def create_server(self, factory: Any, *_: Any, **__: Any) -> Any:
        self.lab.new_client = factory
        return self.lab.listener

    async def create_connection(self, factory: Any, host: Any = None, *_: Any, **__: Any) -> Any:
        return await self.lab.accept(host, factory)

    async def create_unix_connection(self, factory: Any, *_: Any, **__: Any) -> Any:
        return await self.lab.accept(ADMIN, factory)


class Lab:
    """A server that listens, three replicas in service, and the admin API."""

    def __init__(self, **settings: Any) -> None:
        self.loop = Loop()
        self.loop.lab = self
        self.loop.set_exception_handler(lambda _, context: self._faults.append(context))
        self._faults: list[dict[str, Any]] = []
        self.listener = Listener()
        self.new_client: Callable[[], Any]
        self.events: list[tuple[str, dict[str, object]]] = []
        self.evidence: list[tuple[str, Evidence | None]] = []
        # Behind it: connections by hostname, oldest first, and how new ones end.
        self.connections: dict[str, list[Peer]] = defaultdict(list)
        self.connect_errors: dict[str, OSError] = {}
        self.unreachable: set[str] = set()  # connecting takes until `reach`
        self._waiting: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.replicas = {name: Replica(name, (name, 5000)) for name in HOSTNAMES}
        self.ring = SlotRing(PRESETS["seed-deployed"])
        for server_id, name in enumerate(HOSTNAMES, start=1):
            self.ring.add(name, node_id=server_id)
        self.do(lambda: self._make(Settings(**settings)))
        self.start(self.server.listen())

    def _make(self, settings: Settings) -> None:
        table = RoutingTable(self.ring, self.replicas, 1)
        self.server = Server(settings, table, Path("admin.sock"), self._on_evidence, self._record)

    def _record(self, kind: str, **detail: object) -> None:
        self.events.append((kind, detail))

    def _on_evidence(self, replica: Replica, evidence: Evidence | None) -> None:
        self.evidence.append((replica.hostname, evidence))

    # What tests do

    def client(self) -> Peer:
        return self.do(lambda: Peer(self, self.new_client()))

    def upstream(self, hostname: str) -> Peer:
        """The newest connection to a replica."""
        return self.connections[hostname][-1]

    def ask(self, client: Peer, request: bytes) -> Peer:
        """Sends the request, and returns the connection by which it reached a replica."""
        client.send(request)
        (asked,) = (peer for peers in self.connections.values() for peer in peers if peer.take())
        return asked

    def order(self, request_id: bytes) -> tuple[str, ...]:
        """Hostnames in failover order, as the ring itself says."""
        return self.ring.preference(key_of(request_id))

    def serve(self, *hostnames: str) -> None:
        """Only these are in service from now on."""
        replicas = {name: self.replicas[name] for name in hostnames}
        table = RoutingTable(self.ring, replicas, self.server.table.version + 1)
        self.do(lambda: self.server.table_published(table))

    def refuse(self, *hostnames: str) -> None:
        for name in hostnames:
            self.connect_errors[name] = ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    def reach(self, hostname: str) -> None:
        self.unreachable.remove(hostname)
        self.do(self._waiting.pop(hostname).set)

    def advance(self, seconds: float) -> None:
        """Time passes, timers and the sweep with it."""
        self.loop.now += seconds
        self.do(lambda: None)

    def start(self, coroutine: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        return self.do(lambda: self.loop.create_task(coroutine))

    def do(self, *actions: Callable[[], Any]) -> Any:
        """Runs each of `actions` on the loop, with all that follows from it at once; returns what
        the last of them does."""

        async def turn() -> Any:
            result = None
            for action in actions:
                result = action()
                await asyncio.sleep(0)
                while self.loop._ready:  # type: ignore[attr-defined]
                    await asyncio.sleep(0)
            return result

        result = self.loop.run_until_complete(turn())
        assert not self._faults
        return result

    def close(self) -> None:
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.do(lambda: None)
        self.loop.close()

    # What the loop asks

    async def accept(self, hostname: str, factory: Callable[[], Any]) -> tuple[Any, Any]:
        if hostname in self.unreachable:
            await self._waiting[hostname].wait()
        if (error := self.connect_errors.get(hostname)) is not None:
            raise error
        protocol = factory()
        self.connections[hostname].append(Peer(self, protocol))
        return None, protocol


@pytest.fixture
def make_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Lab]]:
    """A lab with the given settings."""
    labs: list[Lab] = []

    def make(**settings: Any) -> Lab:
        lab = Lab(**settings)
        for module in ("exchange", "pool", "protocol", "upstream"):
            monkeypatch.setattr(f"load_balancer.proxy.{module}.perf_counter", lab.loop.time)
        labs.append(lab)
        return lab

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab()


class Feeding:
    """The ways in which one message may arrive."""

    def __init__(self, way: str) -> None:
        self._way = way

    def request(self, client: Peer, data: bytes) -> None:
        self._feed(client, data, REQUEST_BEHIND)

    def answer(self, replica: Peer, data: bytes) -> None:
        self._feed(replica, data, SURPLUS)

    def _feed(self, peer: Peer, data: bytes, behind: bytes) -> None:
        if self._way == "byte by byte":
            peer.send_byte_by_byte(data)
        else:
            peer.send(data + behind if self._way == "with the next behind" else data)


@pytest.fixture(params=["whole", "byte by byte", "with the next behind"])
def feed(request: pytest.FixtureRequest) -> Feeding:
    return Feeding(request.param)
