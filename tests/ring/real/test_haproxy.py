"""HAProxyRing names the server that a real HAProxy picks: every key, in all kinds of backends."""

from __future__ import annotations

import queue
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from labs import eventually

from ring import HAProxyRing
from ring.haproxy import server_numbers

FRAME = """
global
    maxconn 2000
    stats socket {folder}/admin.sock mode 600 level admin
defaults
    mode http
    timeout connect 10s
    timeout client 30s
    timeout server 30s
listen asked
    bind 127.0.0.1:{port}
    balance hdr(X-Key)
    hash-type consistent {hash_type}
{factor}{servers}
{origins}
"""
NAMES = ["s0", "s1", "s2", "s3", "s4"]


@dataclass(frozen=True)
class Backend:
    servers: tuple[tuple[str, int, int | None], ...] = tuple((name, 1, None) for name in NAMES)
    hash_type: str = ""
    off: tuple[str, ...] = ()  # disabled in the configuration
    commands: tuple[str, ...] = ()  # to the runtime API, of which HAProxyRing sees the outcome

    def ring(self, base: str) -> HAProxyRing:
        function, _, avalanche = self.hash_type.partition(" ")
        ring = HAProxyRing(function or None, bool(avalanche) if function else None, base)
        numbers = server_numbers([number for _, _, number in self.servers])
        weights = {name: weight for name, weight, _ in self.servers}
        for command in self.commands:
            verb, _, server, *rest = command.replace("/", " ").split()
            if verb == "set":
                server, weight = rest[0], int(rest[2])
                weights[server] = weight
            else:
                weights[rest[0] if rest else server] = 0
        for (name, _, _), number in zip(self.servers, numbers, strict=True):
            if weights[name] and name not in self.off:
                ring.add(name, weights[name], node_id=number)
        return ring


BACKENDS = {
    "five": Backend(),
    "two": Backend(Backend.servers[:2]),
    "one removed": Backend(Backend.servers[:2] + Backend.servers[3:]),
    "reordered": Backend(Backend.servers[::-1]),
    "ids": Backend((("a", 1, None), ("b", 1, 1), ("c", 1, 9), ("d", 1, None))),
    "weights": Backend(tuple((name, 1 + at % 3, None) for at, name in enumerate(NAMES))),
    "one disabled": Backend(off=("s2",)),
    "weight changed": Backend(commands=("set server asked/s1 weight 3",)),
    "disabled while it runs": Backend(commands=("disable server asked/s3",)),
    "sdbm": Backend(hash_type="sdbm"),
    "djb2": Backend(hash_type="djb2"),
    "djb2 avalanche": Backend(hash_type="djb2 avalanche"),
    "wt6": Backend(hash_type="wt6"),
    "crc32 avalanche": Backend(hash_type="crc32 avalanche"),
}


@pytest.fixture
def haproxy(
    program: Callable[[str], str],
    running: Callable[[Sequence[str], int], None],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> Callable[..., int]:
    """An HAProxy with that backend, and its port; each server answers its name, or is at the port
    that `addresses` gives it."""

    def start(backend: Backend, addresses: dict[str, int] | None = None, factor: str = "") -> int:
        port, *ports = free_ports(1 + len(backend.servers))
        lines, origins = [], []
        for (name, weight, number), own in zip(backend.servers, ports, strict=True):
            address = addresses[name] if addresses else own
            options = f" id {number}" if number else ""
            options += " disabled" if name in backend.off else ""
            lines.append(f"    server {name} 127.0.0.1:{address} weight {weight}{options}")
            if not addresses:
                origins.append(f"listen {name}\n    bind 127.0.0.1:{own}\n")
                origins.append(
                    f"    http-request return status 200 content-type text/plain string {name}\n"
                )
        config = tmp_path / "haproxy.cfg"
        config.write_text(
            FRAME.format(
                folder=tmp_path,
                port=port,
                hash_type=backend.hash_type,
                factor=factor,
                servers="\n".join(lines),
                origins="".join(origins),
            )
        )
        running([program("haproxy"), "-q", "-db", "-f", str(config)], port)
        for command in backend.commands:
            with closing(socket.socket(socket.AF_UNIX)) as admin:
                # It gets its name when all ports are open.
                eventually((tmp_path / "admin.sock").exists, within_s=10)
                admin.connect(str(tmp_path / "admin.sock"))
                admin.sendall(f"{command}\n".encode())
                admin.shutdown(socket.SHUT_WR)
                assert not admin.recv(4096).strip()
        return port

    return start


@pytest.fixture
def bases(program: Callable[[str], str]) -> list[str]:
    """How this version may number its points: all but some of 3 do it in the first way."""
    version = subprocess.run([program("haproxy"), "-v"], stdout=subprocess.PIPE, text=True)
    is_old = int(version.stdout.split("version ")[1].partition(".")[0]) < 3
    return ["number"] if is_old else ["number", "hashed"]


@pytest.mark.parametrize("name", BACKENDS)
def test_every_key_goes_where_haproxy_sends_it(
    name: str,
    haproxy: Callable[[Backend], int],
    bases: list[str],
    ask: Callable[[int, Sequence[str]], list[str]],
    keys: list[str],
) -> None:
    """2,000 keys each, one by one and in bulk."""
    backend = BACKENDS[name]
    picked = ask(haproxy(backend), keys)
    told = []
    for ring in (backend.ring(base) for base in bases):
        told.append([ring.lookup(key) for key in keys])
        assert told[-1] == [ring.nodes[index] for index in ring.lookup_many(keys)]
    assert picked in told


@pytest.fixture
def holding() -> Iterator[Callable[[Sequence[str]], tuple[dict[str, int], queue.Queue[str]]]]:
    """Servers that take requests and never answer: their ports, and who was asked, in order."""
    sockets: list[socket.socket] = []

    def start(names: Sequence[str]) -> tuple[dict[str, int], queue.Queue[str]]:
        asked: queue.Queue[str] = queue.Queue()

        def serve(listening: socket.socket, name: str) -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    sockets.append(connection)
                    connection.recv(4096)
                    asked.put(name)

        ports = {}
        for name in names:
            listening = socket.create_server(("127.0.0.1", 0))
            sockets.append(listening)
            ports[name] = listening.getsockname()[1]
            threading.Thread(target=serve, args=[listening, name], daemon=True).start()
        return ports, asked

    yield start
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@pytest.mark.parametrize("factor", [110, 150, 200])
def test_loads_are_bounded_as_haproxy_bounds_them(
    factor: int,
    haproxy: Callable[..., int],
    bases: list[str],
    holding: Callable[[Sequence[str]], tuple[dict[str, int], queue.Queue[str]]],
    keys: list[str],
) -> None:
    """hash-balance-factor, over 200 requests that stay open; few keys, so that some are hot."""
    backend = BACKENDS["weights"]
    ports, asked = holding(NAMES)
    port = haproxy(backend, ports, factor=f"    hash-balance-factor {factor}\n")
    rings, served, clients = [backend.ring(base) for base in bases], Counter[str](), []
    for number in range(200):
        key = keys[number % 9]
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        clients.append(client)
        client.sendall(f"GET / HTTP/1.1\r\nHost: lab\r\nX-Key: {key}\r\n\r\n".encode())
        picked = asked.get(timeout=10)
        rings = [ring for ring in rings if ring.pick(key, served, factor) == picked]
        assert rings, f"request {number}"
        served[picked] += 1
    for client in clients:
        client.close()
