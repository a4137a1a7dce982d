"""The admin API on its Unix socket."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

from flask import Flask
from load_balancer.admin import AdminServer


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
