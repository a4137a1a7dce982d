"""Fixtures: asking replicas over HTTP, and an engine that is asked for real."""

import http.client
import json
import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

CALL_TIMEOUT_S = 20


@pytest.fixture
def ask() -> Callable[[str | None], str]:
    """Body of GET /home at a replica's address; OSError if there is no answer in 0.5 s."""

    def get(address: str | None) -> str:
        with urllib.request.urlopen(f"http://{address}/home", timeout=0.5) as response:
            return response.read().decode()

    return get


class UnixConnection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("provisioner", timeout=CALL_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


@pytest.fixture
def call() -> Callable[..., tuple[int, Any]]:
    """Status and JSON of one call to the provisioner at a socket."""

    def request(path: Path, method: str, target: str, body: object = None) -> tuple[int, Any]:
        with closing(UnixConnection(path)) as connection:
            payload = None if body is None else json.dumps(body)
            connection.request(method, target, payload, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None

    return request


@pytest.fixture(autouse=True)
def close_clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the engine clients that threads keep for themselves until the process ends."""
    clients = []

    class Client(docker.APIClient):
        def __init__(self, *arguments: object, **options: object) -> None:
            clients.append(self)
            super().__init__(*arguments, **options)

    monkeypatch.setattr(docker, "APIClient", Client)
    yield
    for client in clients:
        client.close()
