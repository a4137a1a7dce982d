"""The admin API on its Unix socket."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from labs import eventually
from load_balancer.admin import AdminServer, create_app, observation
from load_balancer.admin.observation import MAX_STREAMS
from load_balancer.admin.server import MAX_UNREAD_BYTES

if TYPE_CHECKING:
    from .conftest import Lab


def ask(path: Path, request: bytes) -> bytes:
    """The answer to a request that asks for the connection's end."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(request)
        parts = []
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def follow(path: Path) -> socket.socket | None:
    """A stream of all events that are kept, and of those to come; None if there is no place."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(path))
    client.sendall(b"GET /events?since=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    if client.recv(65_536).startswith(b"HTTP/1.1 200 OK"):
        return client
    client.close()
    return None


def test_who_never_reads_costs_nobody_anything(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While 4,000 events come, another gets the last of each thousand, the unread of who does not
    read stays bounded, and when it goes its place is free."""
    monkeypatch.setattr(observation, "KEEPALIVE_S", 0.1)  # how soon it is noticed that one has gone
    path = tmp_path / "admin.sock"
    server = AdminServer(create_app(lab.context), path)
    deaf = [follow(path) for _ in range(10)]
    reader = follow(path)
    assert reader is not None
    with reader:
        for _ in range(4):
            for _ in range(1000):
                lab.events.record("ring", algorithm="slots", padding="x" * 500)
            wanted = f"id: {lab.events.last_id}\n".encode()
            received = b""
            while wanted not in received:
                received = received[-100:] + (part := reader.recv(65_536))
                assert part

    def unread() -> list[int]:
        channels = list(server._server.active_channels.values())
        return [channel.total_outbufs_len for channel in channels]

    eventually(lambda: sum(each > MAX_UNREAD_BYTES / 2 for each in unread()) == 10, within_s=60)
    assert max(unread()) < 2 * MAX_UNREAD_BYTES
    for each in deaf:
        assert each is not None
        each.close()
    places = [eventually(lambda: follow(path), within_s=60) for _ in range(MAX_STREAMS)]
    for each in places:
        each.close()
    lab.events.close()
    server.close()


def test_it_serves_until_it_is_closed(tmp_path: Path) -> None:
    """From its making on; afterwards no thread is left, and the socket answers nobody."""
    before = set(threading.enumerate())
    app = Flask("test")
    app.add_url_rule("/rep", view_func=lambda: "hello")
    path = tmp_path / "admin.sock"
    server = AdminServer(app, path)
    answer = ask(path, b"GET /rep HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\nhello")
    assert b"Server:" not in answer
    server.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before
