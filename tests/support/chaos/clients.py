"""The load: the same keys again and again at a constant rate, and a record of every answer.

HTTP is spoken by hand, because libraries send a request a second time, unasked, when a kept
connection is gone, and then nobody learns that it was lost.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from contextlib import suppress

from chaos.records import Answer

PATIENCE_S = 10.0  # then a client gives up, and the request counts as failed
MAX_IDLE_S = 20.0  # a kept connection is closed before the load balancer would


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.idle_since = 0.0

    @property
    def is_usable(self) -> bool:
        """Nobody has closed it; nothing came that was not asked for."""
        return not (self._reader.at_eof() or self._writer.is_closing())

    def close(self) -> None:
        self._writer.close()

    async def ask(self, host: str, key: int) -> tuple[int, dict[str, str], str]:
        """GET /home: status, fields by their names in small letters, body. OSError, EOFError,
        ValueError or KeyError."""
        self._writer.write(
            f"GET /home HTTP/1.1\r\nHost: {host}\r\nX-Request-ID: {key}\r\n\r\n".encode()
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status_line, *lines = head.rstrip().splitlines()
        pairs = (line.split(": ", 1) for line in lines)
        fields = {name.lower(): value for name, value in pairs}
        body = await self._reader.readexactly(int(fields["content-length"]))
        return int(status_line.split(" ")[1]), fields, body.decode()


class Clients:
    """`rate_hz` requests a second for `keys` in turn, whatever becomes of those before, each on a
    kept connection if one is free."""

    def __init__(self, host: str, port: int, keys: Sequence[int], rate_hz: float) -> None:
        self._host, self._port = host, port
        self._keys = itertools.cycle(keys)
        self._interval_s = 1 / rate_hz
        self._idle: list[Connection] = []
        self._asking: set[asyncio.Task[None]] = set()
        self.answers: list[Answer] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set and the last answer is there."""
        next_s = time.monotonic()
        while not stop.is_set():
            task = asyncio.create_task(self._ask(next(self._keys)))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
            next_s += self._interval_s
            await asyncio.sleep(max(0.0, next_s - time.monotonic()))
        await asyncio.gather(*self._asking)
        for connection in self._idle:
            connection.close()

    async def _ask(self, key: int) -> None:
        connection, sent_at = None, time.time()
        status, replica, fault, fields = 0, "", "", {}
        try:
            async with asyncio.timeout(PATIENCE_S):
                connection = await self._connection()
                sent_at = time.time()
                status, fields, body = await connection.ask(f"{self._host}:{self._port}", key)
        except TimeoutError:
            fault = f"no answer within {PATIENCE_S} s"
        except (OSError, EOFError, ValueError, KeyError) as error:
            fault = repr(error)
        else:
            replica = fields.get("x-replica", "")
            if status != 200:
                fault = body.strip()
            elif f"Hello from Server: {replica}" not in body or fields["x-request-id"] != str(key):
                fault = f"{fields} with {body}"
        self.answers.append(Answer(sent_at, time.time(), key, status, replica, fault))
        if connection is not None:
            self._put_back(connection, reusable=not fault and "connection" not in fields)

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and time.monotonic() - connection.idle_since < MAX_IDLE_S:
                return connection
            connection.close()
        return Connection(*await asyncio.open_connection(self._host, self._port))

    def _put_back(self, connection: Connection, *, reusable: bool) -> None:
        if reusable:
            connection.idle_since = time.monotonic()
            self._idle.append(connection)
        else:
            with suppress(OSError):
                connection.close()
