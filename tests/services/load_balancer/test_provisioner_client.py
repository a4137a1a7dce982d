"""The provisioner's six verbs, against a scripted provisioner on a Unix socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from load_balancer.errors import (
    BadRequest,
    Conflict,
    LoadBalancerError,
    ProvisionerRefused,
    ProvisionerUnavailable,
    UnknownReplica,
)
from load_balancer.provisioner_client import Provisioned, ProvisionerClient

RUNNING = {
    "hostname": "Server1",
    "server_id": 1,
    "address": "172.18.0.4:5000",
    "state": "running",
}
EXITED = RUNNING | {"hostname": "Server2", "server_id": 2, "address": None, "state": "exited"}

Call = Callable[[ProvisionerClient], Coroutine[Any, Any, Any]]


@asynccontextmanager
async def provisioner(path: Path, answer: bytes) -> AsyncIterator[list[bytes]]:
    """Gives each request that one answer, and notes the requests."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        requests.append(head.partition(b"\r\n")[0] + b" " + await reader.readexactly(length))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(serve, path):
        yield requests


def answer(status: int, body: object = None) -> bytes:
    text = b"" if body is None else json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(text),
        text,
    )


def ask(path: Path, reply: bytes, call: Call) -> tuple[Any, list[bytes]]:
    """What one call returns, and what the provisioner was asked."""

    async def run() -> tuple[Any, list[bytes]]:
        client = ProvisionerClient(path)
        try:
            async with provisioner(path, reply) as requests:
                return await call(client), requests
        finally:
            await client.close()

    return asyncio.run(run())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "provisioner.sock"


def test_list(path: Path) -> None:
    """Addresses as host and port, or none."""
    listed, requests = ask(path, answer(200, {"replicas": [RUNNING, EXITED]}), lambda c: c.list())
    assert listed == [
        Provisioned("Server1", 1, ("172.18.0.4", 5000), "running"),
        Provisioned("Server2", 2, None, "exited"),
    ]
    assert requests == [b"GET /replicas HTTP/1.1 "]


def test_create_or_replace(path: Path) -> None:
    """The id goes along, the address comes back."""
    address, requests = ask(
        path, answer(201, RUNNING), lambda client: client.create_or_replace("Server1", 1)
    )
    assert address == ("172.18.0.4", 5000)
    assert requests == [b'PUT /replicas/Server1 HTTP/1.1 {"server_id": 1}']


@pytest.mark.parametrize(
    ("verb", "request_line"),
    [
        ("remove", b"DELETE /replicas/Server1 HTTP/1.1"),
        ("kill", b"POST /replicas/Server1/kill HTTP/1.1"),
        ("pause", b"POST /replicas/Server1/pause HTTP/1.1"),
        ("resume", b"POST /replicas/Server1/resume HTTP/1.1"),
    ],
)
def test_verbs_without_answer(path: Path, verb: str, request_line: bytes) -> None:
    """204, and nothing to say."""
    nothing = b"HTTP/1.1 204 No Content\r\n\r\n"
    returned, requests = ask(path, nothing, lambda client: getattr(client, verb)("Server1"))
    assert (returned, requests) == (None, [request_line + b" "])


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BadRequest),
        (404, UnknownReplica),
        (409, Conflict),
        (500, ProvisionerRefused),
        (502, ProvisionerRefused),
        (503, ProvisionerUnavailable),
    ],
)
def test_errors(path: Path, status: int, error: type[LoadBalancerError]) -> None:
    """Its message, without the mark that we shall set ourselves."""
    reply = answer(status, {"message": "<Error> the engine is on fire", "status": "failure"})
    with pytest.raises(error) as raised:
        ask(path, reply, lambda client: client.kill("Server1"))
    assert type(raised.value) is error
    assert str(raised.value) == "the engine is on fire"


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{",
    ],
)
def test_answers_that_are_none(path: Path, reply: bytes) -> None:
    """Silence, and what is no HTTP or no JSON: as if nobody were there."""
    with pytest.raises(ProvisionerUnavailable, match="does not answer"):
        ask(path, reply, lambda client: client.list())


def test_a_replica_that_ended_at_once(path: Path) -> None:
    """It was made and has no address: refused, with its state."""
    with pytest.raises(ProvisionerRefused, match="Server2 was exited as soon as it started"):
        ask(path, answer(201, EXITED), lambda client: client.create_or_replace("Server2", 2))


def test_nobody_listens(path: Path) -> None:
    """The socket is named."""

    async def run() -> None:
        client = ProvisionerClient(path)
        try:
            await client.list()
        finally:
            await client.close()

    with pytest.raises(ProvisionerUnavailable, match=str(path)):
        asyncio.run(run())
