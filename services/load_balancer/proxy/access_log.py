"""The access log: a line of JSON for each answer, if somebody wants it.

On a request's way only a tuple is kept. Twice a second a thread makes lines of them and appends
them to the file, which is opened each time, so that it may be moved away at any moment.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from load_balancer.proxy.exchange import Exchange

logger = logging.getLogger(__name__)

FLUSH_S = 0.5
MAX_WAITING = 100_000  # answers, some 30 MB; a disk that is slower than that loses some

# Seconds since the epoch, client's address, method, target, status, replica, request id, seconds.
Entry = tuple[float, bytes, bytes, bytes, int, str | None, bytes, float]


class AccessLog:
    """Appends to the file at `path`, or to standard output if that is "-"."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._entries: list[Entry] = []
        self._dropped = 0
        self._flushing: asyncio.Task[None] | None = None

    def add(self, exchange: Exchange, status: int) -> None:
        """`exchange` has just been answered."""
        head, replica = exchange.head, exchange.replica
        self._keep(
            (
                time(),
                exchange.client.address,
                head.method,
                head.target,
                status,
                None if replica is None else replica.hostname,
                exchange.request_id,
                perf_counter() - exchange.started_at,
            )
        )

    def add_refusal(self, client: bytes, status: int) -> None:
        """The client at that address was answered, and what it sent was no request."""
        self._keep((time(), client, b"", b"", status, None, b"", 0.0))

    def _keep(self, entry: Entry) -> None:
        if len(self._entries) < MAX_WAITING:
            self._entries.append(entry)
        else:
            self._dropped += 1

    def start(self) -> None:
        """Writes from now on, on the running loop."""
        self._flushing = asyncio.get_running_loop().create_task(self._flush_for_ever())

    async def close(self) -> None:
        """Writes what is left."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait([self._flushing])
        await self._flush()

    async def _flush_for_ever(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self._flush()

    async def _flush(self) -> None:
        entries, self._entries = self._entries, []
        dropped, self._dropped = self._dropped, 0
        if entries:
            # Shielded, for a batch whose writing has begun must not be written half.
            await asyncio.shield(asyncio.to_thread(self._append, entries, dropped))

    def _append(self, entries: Sequence[Entry], dropped: int) -> None:
        lines = [_line(entry) for entry in entries]
        if dropped:
            lines.append(json.dumps({"dropped": dropped}))
        text = ("\n".join(lines) + "\n").encode()
        try:
            if self._path == "-":
                sys.stdout.buffer.write(text)
                sys.stdout.buffer.flush()
            else:
                # Unbuffered: in one piece, for other workers may append to it, too.
                with Path(self._path).open("ab", buffering=0) as file:
                    while text:
                        text = text[file.write(text) :]
        except OSError as error:
            logger.warning("%d lines of the access log are lost: %s", len(lines), error)


def _line(entry: Entry) -> str:
    answered_at, client, method, target, status, replica, request_id, latency_s = entry
    fields = {
        "time": datetime.fromtimestamp(answered_at, UTC).isoformat(timespec="milliseconds"),
        "client": client.decode("latin-1"),
        "method": method.decode("latin-1"),
        "target": target.decode("latin-1"),
        "status": status,
        "replica": replica,
        "request_id": request_id.decode("latin-1"),
        "latency_s": round(latency_s, 6),
    }
    return json.dumps(fields)
