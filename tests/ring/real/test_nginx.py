"""NginxRing names the server that a real nginx picks: every key, in all kinds of upstreams."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ring import NginxRing

Servers = list[tuple[str, int, bool]]  # text behind `server`, weight, whether it is up

FRAME = """
daemon off; master_process off; worker_processes 1; pid %(folder)s/pid; error_log %(folder)s/error;
events { worker_connections 256; }
http {
    access_log off; keepalive_requests 100000;
    client_body_temp_path %(folder)s; proxy_temp_path %(folder)s; fastcgi_temp_path %(folder)s;
    uwsgi_temp_path %(folder)s; scgi_temp_path %(folder)s;
    upstream asked { hash $http_x_key consistent; keepalive 32;
%(servers)s    }
%(origins)s
    server { listen 127.0.0.1:%(port)d; location / {
        proxy_pass http://asked; proxy_http_version 1.1; proxy_set_header Connection "";
    } }
}
"""


def may_bind(host: str, port: int) -> bool:
    with suppress(OSError), closing(socket.create_server((host, port))):
        return True
    return False


@pytest.fixture
def nginx(
    program: Callable[[str], str],
    running: Callable[[Sequence[str], int], None],
    free_ports: Callable[[int], list[int]],
    tmp_path: Path,
) -> Callable[[Servers], int]:
    """An nginx with that upstream, and its port; each server answers its own text."""

    def start(servers: Servers) -> int:
        (port,) = free_ports(1)
        lines = [
            f"        server {text} weight={weight}{'' if is_up else ' down'};\n"
            for text, weight, is_up in servers
        ]
        origins = []
        for text in dict.fromkeys(text for text, _, _ in servers):
            listen = "unix:" + text[5:] if text.lower().startswith("unix:") else text
            origins.append(f'    server {{ listen {listen}; return 200 "{text}"; }}\n')
        config = tmp_path / "nginx.conf"
        config.write_text(
            FRAME
            % {
                "folder": tmp_path,
                "servers": "".join(lines),
                "origins": "".join(origins),
                "port": port,
            }
        )
        running([program("nginx"), "-c", str(config), "-p", str(tmp_path)], port)
        return port

    return start


def upstreams(ports: list[int], folder: Path) -> dict[str, Servers]:
    five = [(f"127.0.0.1:{port}", 1, True) for port in ports[:5]]
    # Without a port nginx means 80 and hashes none; where that may not be had, a socket has none.
    portless = "127.0.0.77" if may_bind("127.0.0.77", 80) else f"unix:{folder}/bare"
    return {
        "five": five,
        "six": [*five, (f"127.0.0.1:{ports[5]}", 1, True)],
        "reordered": five[::-1],
        "one removed": five[:2] + five[3:],
        "weights": [(text, 1 + number % 3, True) for number, (text, _, _) in enumerate(five)],
        "one down": [(text, 1, number != 1) for number, (text, _, _) in enumerate(five)],
        "two up of twelve": [
            (f"127.0.0.1:{port}", 1, number in (3, 7)) for number, port in enumerate(ports)
        ],
        "two": five[:2],
        "sockets and letters": [
            (f"unix:{folder}/Aa", 1, True),
            (f"UNIX:{folder}/aa", 2, True),
            (f"127.0.0.1:{ports[0]}", 1, True),
            (portless, 1, True),
        ],
    }


@pytest.mark.parametrize("name", upstreams([1] * 12, Path()))
def test_every_key_goes_where_nginx_sends_it(
    name: str,
    nginx: Callable[[Servers], int],
    ask: Callable[[int, Sequence[str]], list[str]],
    free_ports: Callable[[int], list[int]],
    keys: list[str],
    tmp_path: Path,
) -> None:
    """2,000 keys each; those that nginx sends to servers in turn are few, and told apart."""
    servers = upstreams(free_ports(12), tmp_path)[name]
    ring = NginxRing()
    for text, weight, _ in servers:
        ring.add(text, weight)
    down = frozenset(text for text, _, is_up in servers if not is_up)
    predicted = [ring.pick(key, down) for key in keys]
    picked = ask(nginx(servers), keys)
    by_hash = [pair for pair in zip(predicted, picked, strict=True) if pair[0] is not None]
    assert [] == [pair for pair in by_hash if pair[0] != pair[1]]
    assert len(by_hash) == len(keys) or len(down) == 10
    assert len(by_hash) > 0.95 * len(keys)
    if not down:
        assert picked == [ring.nodes[index] for index in ring.lookup_many(keys)]
