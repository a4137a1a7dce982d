"""Crowds: very many clients at once, slow ones and idle ones among them, before a real process."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import uvloop

NUM_AT_ONCE = 10_000
NUM_SLOW = 500
NUM_IDLE = 200
REQUEST = b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: %d\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Peer(asyncio.Protocol):
    """One end of a connection, known to `peers` while it is open."""

    def __init__(self, peers: set[Peer]) -> None:
        self._peers = peers

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peers.discard(self)


class Origin(Peer):
    """Answers each GET, which comes in one piece; other requests never become whole here."""

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET "):
            self.transport.write(ANSWER)


class Client(Peer):
    """Sends what it is told to, and keeps what comes."""

    def __init__(self, peers: set[Peer]) -> None:
        super().__init__(peers)
        self.received = b""
        self.ended = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"hello"):
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class Balancer:
    def __init__(self, port: int, child: subprocess.Popen[bytes], peers: set[Peer]) -> None:
        self.port = port
        self._child = child
        self._peers = peers

    async def connect(self) -> Client:
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(
            lambda: Client(self._peers), "127.0.0.1", self.port
        )
        return client

    @property
    def memory_bytes(self) -> int:
        """Resident."""
        pages = int(Path(f"/proc/{self._child.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()


Scene = Callable[[Balancer], Awaitable[None]]


@pytest.fixture
def play(free_port: Callable[[], int]) -> Iterator[Callable[[Scene], None]]:
    """Runs a scene with clients on one loop with the origin, and the load balancer beside it."""
    children: list[subprocess.Popen[bytes]] = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def on_stage(scene: Scene) -> None:
        loop, peers = asyncio.get_running_loop(), set[Peer]()
        origin_port, port = free_port(), free_port()
        origin = await loop.create_server(
            lambda: Origin(peers), "127.0.0.1", origin_port, backlog=4096
        )
        replica = f"--replica=Server1=127.0.0.1:{origin_port}"
        patience = "--head-timeout-s=120"  # nobody is sent away for being slow
        command = [
            sys.executable,
            "-m",
            "load_balancer",
            f"--bind=127.0.0.1:{port}",
            replica,
            patience,
        ]
        children.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        balancer = Balancer(port, children[-1], peers)
        try:
            async with asyncio.timeout(120):
                await _reached(balancer)
                await scene(balancer)
        finally:
            origin.close()
            for peer in list(peers):
                peer.transport.abort()
            while peers:
                await asyncio.sleep(0.02)

    yield lambda scene: uvloop.run(on_stage(scene))
    for child in children:
        child.kill()
        child.wait()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _reached(balancer: Balancer) -> None:
    while True:
        with suppress(ConnectionError):
            await balancer.connect()
            return
        await asyncio.sleep(0.02)


def test_ten_thousand_at_once(play: Callable[[Scene], None]) -> None:
    """Ten thousand connections, a request on each in the same breath: all are answered."""

    async def scene(balancer: Balancer) -> None:
        clients = await asyncio.gather(*(balancer.connect() for _ in range(NUM_AT_ONCE)))
        for number, client in enumerate(clients):
            client.transport.write(REQUEST % number)
        await asyncio.gather(*(client.ended for client in clients))
        first_lines = Counter(client.received.partition(b"\r\n")[0] for client in clients)
        assert {b"HTTP/1.1 200 OK": NUM_AT_ONCE} == first_lines

    play(scene)


def test_slow_and_idle_clients_harm_nobody(play: Callable[[Scene], None]) -> None:
    """While 500 send a byte now and then and 200 nothing at all, an honest client gets each of
    its answers, and memory does not grow with them beyond 150 MB."""

    async def scene(balancer: Balancer) -> None:
        slow = await asyncio.gather(*(balancer.connect() for _ in range(NUM_SLOW)))
        idle = await asyncio.gather(*(balancer.connect() for _ in range(NUM_IDLE)))
        slow_request = b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 99\r\n\r\n" + b"a" * 98
        honest = await balancer.connect()
        for at, octet in enumerate(slow_request[:-50]):
            for client in slow:
                client.transport.write(bytes([octet]))
            for number in range(5):
                honest.received, honest.ended = b"", asyncio.get_running_loop().create_future()
                honest.transport.write(REQUEST % (at * 5 + number))
                await honest.ended
                assert honest.received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert not any(client.received for client in [*slow, *idle])
        assert balancer.memory_bytes < 150e6

    play(scene)
