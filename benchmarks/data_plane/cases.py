"""What is asked of every peer. Pure data."""

from __future__ import annotations

from dataclasses import dataclass

SMALL = b'{"message":"Hello from Server: Server1","status":"successful"}'
LARGE = b"x" * 64 * 1024


@dataclass(frozen=True)
class Case:
    """One kind of request over so many keep-alive connections: as fast as a peer can, or, with
    `rate_hz`, so many a second whatever the peer does."""

    name: str
    title: str
    path: str
    connections: int
    upload_bytes: int = 0  # 0: a GET
    rate_hz: int | None = None


def _at(connections: int) -> list[Case]:
    n = connections
    return [
        Case(f"small-{n}", f"small answers, {n} connections", "/home", n),
        Case(f"large-{n}", f"64 KiB answers, {n} connections", "/large", n),
        Case(f"upload-{n}", f"64 KiB uploads, {n} connections", "/upload", n, len(LARGE)),
    ]


PACED = Case("paced-32", "small answers, 2,000 a second, 32 connections", "/home", 32, rate_hz=2000)
CASES = {case.name: case for case in [*_at(32), PACED, *_at(256)]}
