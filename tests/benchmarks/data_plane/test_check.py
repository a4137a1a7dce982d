"""A peer that does something else is found out before it is measured."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from benchmarks.data_plane.cases import LARGE, SMALL
from benchmarks.data_plane.check import check
from benchmarks.data_plane.peers import Peer
from benchmarks.data_plane.processes import Process
from benchmarks.errors import WrongAnswer


class Good(BaseHTTPRequestHandler):
    """Does all that is asked of a peer."""

    def do_GET(self) -> None:
        self.answer(LARGE if self.path == "/large" else SMALL)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b'{"received": %d}' % len(body))

    def replica(self) -> int:
        return int(self.headers["X-Request-ID"]) % 3

    def answer(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("X-Replica", str(self.replica()))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing on the tests' page."""


class Cuts(Good):
    def do_GET(self) -> None:
        self.answer(LARGE[:-1] if self.path == "/large" else SMALL)


class LosesUploads(Good):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(b'{"received": 0}')


class Fails(Good):
    def do_GET(self) -> None:
        self.answer(b"no", 503)


class AlwaysOne(Good):
    def replica(self) -> int:
        return 1


class TakesTurns(Good):
    turn = 0

    def replica(self) -> int:
        TakesTurns.turn += 1
        return TakesTurns.turn // 7 % 3


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[Peer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield Peer("test", server.server_port, cast("Process", None))
        finally:
            server.shutdown()
            thread.join()


def test_a_good_peer_passes() -> None:
    """Bodies whole both ways, and each id's replica its own."""
    with serving(Good) as peer:
        check(peer)


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (Cuts, "of /large"),
        (LosesUploads, "of /upload"),
        (Fails, "expected 200, got 503"),
        (AlwaysOne, "expected 3 replicas"),
        (TakesTurns, "to one replica first"),
    ],
)
def test_a_bad_one_does_not(handler: type[BaseHTTPRequestHandler], told: str) -> None:
    """Each fault is told, with the peer's name."""
    with serving(handler) as peer, pytest.raises(WrongAnswer, match=f"test: .*{told}"):
        check(peer)
