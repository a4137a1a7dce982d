"""That a peer does what is measured, before it is measured."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException

from benchmarks.data_plane.cases import LARGE, SMALL
from benchmarks.data_plane.peers import Peer
from benchmarks.errors import WrongAnswer

IDS = range(100_000, 100_060)


def check(peer: Peer) -> None:
    """WrongAnswer unless bodies come whole both ways, and an id decides which replica is asked."""
    received = json.dumps({"received": len(LARGE)}).encode()
    for method, path, sent, expected in [
        ("GET", "/home", None, SMALL),
        ("GET", "/large", None, LARGE),
        ("POST", "/upload", LARGE, received),
    ]:
        body, _ = _ask(peer, method, path, body=sent)
        if body != expected:
            raise WrongAnswer(
                f"{peer.name}: expected {expected[:80]!r} of {path}, got {body[:80]!r}"
            )
    first, again = ([_ask(peer, "GET", "/home", key=key)[1] for key in IDS] for _ in range(2))
    if first != again:
        raise WrongAnswer(f"{peer.name}: an id went to one replica first, to another one then")
    if len(set(first)) != 3:
        raise WrongAnswer(f"{peer.name}: expected 3 replicas to be asked, got {set(first)}")


def _ask(
    peer: Peer, method: str, path: str, *, key: int = IDS[0], body: bytes | None = None
) -> tuple[bytes, str | None]:
    """Body and X-Replica of an answer that is 200."""
    connection = HTTPConnection("127.0.0.1", peer.port, timeout=10)
    try:
        connection.request(method, path, body, {"X-Request-ID": str(key)})
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException) as error:
        raise WrongAnswer(f"{peer.name}: no answer to {method} {path}: {error!r}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise WrongAnswer(f"{peer.name}: expected 200, got {answer.status} {content[:200]!r}")
    return content, answer.headers["X-Replica"]
