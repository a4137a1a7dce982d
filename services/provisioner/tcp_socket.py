"""Serving the control planes of other nodes, which no Unix socket reaches: over TCP, by a token.

The kernel cannot say who a peer on another machine is. So each request must carry the token that
the lab's parts share, and the address is to be on a network that is encrypted and that only these
parts are on.
"""

import hmac
import json
import socket
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

BACKLOG = 128
REFUSAL = json.dumps(
    {"message": "<Error> a token is needed: Authorization: Bearer …", "status": "failure"}
).encode()


def parse_bind(text: str) -> tuple[str, int]:
    """Host and port of "10.0.1.2:5000" or "[::]:5000". ValueError names the text."""
    host, colon, port = text.rpartition(":")
    is_port = port.isascii() and port.isdigit() and int(port[:9]) <= 65535
    if not (colon and host and is_port):
        raise ValueError(f"bind must be HOST:PORT with a port from 0 to 65535, got {text[:80]!r}")
    return host.strip("[]"), int(port)


def bind_tcp_socket(bind: str) -> socket.socket:
    """A listening socket. OSError if it cannot be bound."""
    host, port = parse_bind(bind)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def with_token(application: WSGIApplication, token: str) -> WSGIApplication:
    """The application for those who bear the token; the others get 401, and it never sees them."""
    wanted = f"Bearer {token}".encode()

    def checked(environment: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environment.get("HTTP_AUTHORIZATION", "").encode("latin-1")
        # In constant time: how long the answer takes tells nothing of how much was right.
        if hmac.compare_digest(wanted, given):
            return application(environment, start_response)
        fields = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(REFUSAL))),
            ("WWW-Authenticate", "Bearer"),
        ]
        start_response("401 Unauthorized", fields)
        return [REFUSAL]

    return checked
