"""Clients record what happened, and never try anything twice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from chaos import clients
from chaos.clients import Clients
from chaos.records import Answer

Answering = Callable[[asyncio.StreamWriter, str], Awaitable[None]]


def body(replica: str) -> str:
    return f'{{"message":"Hello from Server: {replica}","status":"successful"}}'


def whole(request_id: str, text: str, status: str = "200 OK") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nX-Replica: Server1\r\n"
        f"X-Request-ID: {request_id}\r\n\r\n{text}"
    ).encode()


async def well(writer: asyncio.StreamWriter, request_id: str) -> None:
    writer.write(whole(request_id, body("Server1")))


async def of_another(writer: asyncio.StreamWriter, request_id: str) -> None:
    writer.write(whole(request_id, body("Server2")))


async def to_another(writer: asyncio.StreamWriter, request_id: str) -> None:
    writer.write(whole("99", body("Server1")))


async def an_error(writer: asyncio.StreamWriter, request_id: str) -> None:
    writer.write(whole(request_id, "no replica is alive", "503 Service Unavailable"))


async def cut(writer: asyncio.StreamWriter, request_id: str) -> None:
    writer.write(whole(request_id, body("Server1"))[:-5])
    writer.close()


async def silence(writer: asyncio.StreamWriter, request_id: str) -> None: ...


def answers_to(answering: Answering, count: int = 5) -> tuple[list[Answer], int]:
    """What clients record of a server, and how many requests that got."""
    asked: list[str] = []
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked.append(re.search(r"X-Request-ID: (\d+)", head.decode())[1])
                await answering(writer, asked[-1])
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def story() -> list[Answer]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        load, stop = Clients("127.0.0.1", port, [7, 8], rate_hz=100.0), asyncio.Event()
        running = asyncio.create_task(load.run(stop))
        while len(load.answers) < count:
            await asyncio.sleep(0.01)
        stop.set()
        await running
        await asyncio.gather(*serving)
        server.close()
        return load.answers

    return asyncio.run(story()), len(asked)


def test_a_good_answer() -> None:
    """Keys in turn, each with its replica and its times."""
    answers, _ = answers_to(well)
    assert [7, 8, 7, 8] == [answer.key for answer in answers[:4]]
    assert {"Server1"} == {answer.replica for answer in answers}
    assert all(answer.is_good for answer in answers)
    assert all(answer.sent_at < answer.answered_at for answer in answers)


@pytest.mark.parametrize(
    ("answering", "status", "fault"),
    [
        (of_another, 200, "Hello from Server: Server2"),
        (to_another, 200, "'x-request-id': '99'"),
        (an_error, 503, "no replica is alive"),
        (cut, 0, "IncompleteReadError"),
        (silence, 0, "no answer within 0.05 s"),
    ],
)
def test_a_bad_answer(
    answering: Answering, status: int, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What contradicts itself, says no, breaks off or does not come; none is asked for twice."""
    monkeypatch.setattr(clients, "PATIENCE_S", 0.05)
    answers, asked = answers_to(answering)
    assert not any(answer.is_good for answer in answers)
    assert {status} == {answer.status for answer in answers}
    assert all(fault in answer.fault for answer in answers)
    assert asked == len(answers)


def test_nobody_there() -> None:
    """A refused connection is recorded as one."""

    async def story() -> list[Answer]:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        load, stop = Clients("127.0.0.1", port, [7], rate_hz=100.0), asyncio.Event()
        stop.set()
        await load._ask(7)
        await load.run(stop)
        return load.answers

    (answer,) = asyncio.run(story())
    assert (0, "ConnectionRefusedError") == (answer.status, answer.fault.partition("(")[0])
