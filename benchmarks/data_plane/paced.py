"""Load at one rate, whatever the peer does: requests are due at fixed times, and an answer's time
counts from when its request was due. So a peer that stalls pays for all who had to wait meanwhile;
a client that sends the next request after the last answer would not notice them.

`select`, because it can wait for microseconds: epoll and event loops count in milliseconds.
"""

from __future__ import annotations

import gc
import math
import random
import select
import socket
import time
from collections import deque
from collections.abc import Sequence

from benchmarks.data_plane.cases import Case
from benchmarks.data_plane.load import Load
from benchmarks.errors import WrongAnswer

LATE_S = 10.0  # after the last request was due; then a peer cannot keep the rate
OK = b"HTTP/1.1 200 "


def send(case: Case, port: int, seconds: int) -> Load:
    """Asks for so many seconds. WrongAnswer if an answer was not 200, or the rate was not kept."""
    assert case.rate_hz is not None
    rng = random.Random(1729)
    requests = [
        f"GET {case.path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"X-Request-ID: {rng.randint(100_000, 999_999)}\r\n\r\n".encode()
        for _ in range(case.rate_hz * seconds)
    ]
    connections = [Connection(port) for _ in range(case.connections)]
    gc.collect()
    gc.disable()
    try:
        began = time.perf_counter()
        latencies_s = _exchange(connections, requests, case.rate_hz)
        duration_s = time.perf_counter() - began
    finally:
        gc.enable()
        for connection in connections:
            connection.close()
    latencies_s.sort()
    return Load(
        requests=len(latencies_s),
        duration_s=duration_s,
        p50_ms=percentile(latencies_s, 50) * 1e3,
        p99_ms=percentile(latencies_s, 99) * 1e3,
        p999_ms=percentile(latencies_s, 99.9) * 1e3,
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed (nearest rank)."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def _exchange(
    connections: list[Connection], requests: Sequence[bytes], rate_hz: int
) -> list[float]:
    """Sends each request when it is due, or as soon after as a connection is free; seconds from due
    to answered, in the order of answers."""
    latencies_s: list[float] = []
    idle, busy = deque(connections), set[Connection]()
    began, sent = time.perf_counter(), 0
    deadline = began + len(requests) / rate_hz + LATE_S
    while len(latencies_s) < len(requests):
        now = time.perf_counter()
        if now > deadline:
            raise WrongAnswer(f"{rate_hz} requests/s were not kept: {len(latencies_s)} answered")
        while idle and sent < len(requests) and (due := began + sent / rate_hz) <= now:
            connection = idle.popleft()
            connection.ask(requests[sent], due)
            busy.add(connection)
            sent += 1
        wakes_at = began + sent / rate_hz if idle and sent < len(requests) else deadline
        for connection in select.select(busy, [], [], max(0.0, wakes_at - now))[0]:
            if connection.receive():
                latencies_s.append(time.perf_counter() - connection.due)
                busy.remove(connection)
                idle.append(connection)
    return latencies_s


class Connection:
    """A keep-alive connection with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.due = 0.0

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def ask(self, request: bytes, due: float) -> None:
        self._received, self.due = b"", due
        self._socket.sendall(request)

    def receive(self) -> bool:
        """Whether the answer is whole now. WrongAnswer if it is not 200 with a Content-Length."""
        data = self._socket.recv(65536)
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end and data:
            return False
        _, name, after = head.lower().partition(b"\r\ncontent-length:")
        if not data or not head.startswith(OK) or not name:
            raise WrongAnswer(f"expected 200 with a Content-Length, got {self._received[:200]!r}")
        return len(body) >= int(after.partition(b"\r\n")[0])
