"""Real nginx and real HAProxy on loopback, with a configuration of the test's own."""

from __future__ import annotations

import http.client
import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NUM_KEYS = 2000
TIMEOUT_S = 10


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Path of a program, which is installed if it is not there."""

    def find(name: str) -> str:
        places = f"{Path('/usr/sbin')}:{Path('/usr/bin')}:{Path('/usr/local/sbin')}"
        if shutil.which(name, path=places) is None:
            subprocess.run([ROOT / "scripts/install-tools", name], check=True, timeout=240)
        found = shutil.which(name, path=places)
        assert found is not None
        return found

    return find


@pytest.fixture
def keys() -> list[str]:
    """What keys look like: numbers, paths, words, and printable noise; no commas, which HAProxy
    takes for a list."""
    draw = random.Random(1729)
    noise = [chr(code) for code in range(33, 127) if chr(code) != ","]
    kinds = [
        lambda: str(draw.randrange(10**6)),
        lambda: f"/img/{draw.randrange(100)}/{draw.randrange(10**4)}.png",
        lambda: f"user-{draw.randrange(10**9):x}",
        lambda: "".join(draw.choices(noise, k=draw.randrange(1, 33))),
    ]
    return [kinds[number % 4]() for number in range(NUM_KEYS)]


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    def find(count: int) -> list[int]:
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
        ports = [each.getsockname()[1] for each in sockets]
        for each in sockets:
            each.close()
        return ports

    return find


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Callable[[Sequence[str], int], None]]:
    """Runs a program in the foreground until the test ends; returns when the port is open."""
    children: list[subprocess.Popen[bytes]] = []

    def run(command: Sequence[str], port: int) -> None:
        log = tmp_path / f"{len(children)}.log"
        with log.open("wb") as file:
            child = subprocess.Popen(command, stdout=file, stderr=file)
        children.append(child)
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S).close()
                return
            try:
                child.wait(0.02)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(log.read_text())

    yield run
    for child in children:
        child.terminate()
        child.wait(TIMEOUT_S)


def picks(port: int, keys: Sequence[str]) -> list[str]:
    """What the server that each key is sent to answers, the keys in the header X-Key."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    found = []
    for key in keys:
        connection.request("GET", "/", headers={"X-Key": key})
        response = connection.getresponse()
        body = response.read().decode()
        assert response.status == 200, body
        found.append(body)
    connection.close()
    return found


@pytest.fixture
def ask() -> Callable[[int, Sequence[str]], list[str]]:
    return picks
