"""The client that keeps a rate, in front of servers that do not do well."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from benchmarks.data_plane import paced
from benchmarks.data_plane.cases import Case
from benchmarks.data_plane.paced import percentile
from benchmarks.errors import WrongAnswer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CASE = Case("test", "test", "/home", connections=1, rate_hz=100)


@contextmanager
def server(answer: Callable[[int], list[bytes]]) -> Iterator[int]:
    """Port of one that accepts a single connection, and sends `answer(k)`, piece by piece, to the
    request number k."""

    def serve() -> None:
        with listener.accept()[0] as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(1_000_000):
                if not connection.recv(65536):
                    return
                for piece in answer(number):
                    connection.sendall(piece)
                    time.sleep(0.001)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


def test_percentiles_by_hand() -> None:
    """Nearest rank: of a hundred values the 99th percentile is the 99th, of one it is that one."""
    hundred = [float(value) for value in range(1, 101)]
    assert [50, 99, 100] == [percentile(hundred, percent) for percent in (50, 99, 99.9)]
    assert 7.0 == percentile([7.0], 50)


def test_every_request_is_sent_and_answered() -> None:
    """As many as the rate and the seconds say, over the time that they say."""
    with server(lambda _: [ANSWER]) as port:
        result = paced.send(CASE, port, 1)
    assert 100 == result.requests
    assert result.duration_s >= 0.99
    assert 0 < result.p50_ms < 250  # half of the run: that a time counts from its own request


def test_an_answer_may_come_in_pieces() -> None:
    """Head and body may be split anywhere."""
    with server(lambda _: [ANSWER[:5], ANSWER[5:-1], ANSWER[-1:]]) as port:
        assert 100 == paced.send(CASE, port, 1).requests


def test_a_stall_is_paid_for_by_all_who_waited() -> None:
    """After 0.5 s of silence, 50 requests are due, and the median of 100 is late; counted from when
    a request was sent, one would be."""

    def stalling(number: int) -> list[bytes]:
        if number == 0:
            time.sleep(0.8)
        return [ANSWER]

    with server(stalling) as port:
        result = paced.send(CASE, port, 1)
    assert result.p50_ms > 100
    assert result.p99_ms > 700


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_another_answer_than_200_ends_the_run(answer: bytes) -> None:
    """So does one whose end cannot be told; the error shows it."""
    with (
        server(lambda _: [answer]) as port,
        pytest.raises(WrongAnswer, match=str(answer[:12])[2:-1]),
    ):
        paced.send(CASE, port, 1)


def test_a_rate_that_is_not_kept_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that is too slow has no figures at this rate."""
    monkeypatch.setattr(paced, "LATE_S", 0.1)
    answers = lambda _: time.sleep(0.05) or [ANSWER]  # noqa: E731 one line, at one place
    with server(answers) as port, pytest.raises(WrongAnswer, match="100 requests/s were not kept"):
        paced.send(CASE, port, 1)
