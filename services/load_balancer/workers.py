"""More data planes on this machine: processes that follow this one, and share its port.

A worker gets its settings on its standard input, and ends when that ends: by `close`, or because
this process is no more, whatever it died of.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from load_balancer.proxy.server import GRACE_S
from load_balancer.settings import Settings

logger = logging.getLogger(__name__)

# One that ends is started again after 0.1, 0.2 … 5 s; after a minute that it ran, at once.
BACKOFF_FIRST_S = 0.1
BACKOFF_LAST_S = 5.0
WELL_AFTER_S = 60.0
END_S = GRACE_S + 1.0  # until one that should end is killed


class Workers:
    """`settings.workers` less one, for the first data plane is this process. They follow at the
    Unix socket `followed`."""

    def __init__(self, settings: Settings, followed: Path, record: Callable[..., None]) -> None:
        self._settings = settings
        self.followed = followed
        self._record = record
        self._processes: dict[int, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        numbers = range(2, self._settings.workers + 1)
        self._keepers = [loop.create_task(self._keep(number)) for number in numbers]

    async def close(self) -> None:
        """Returns when all have answered what they had in flight, and ended."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*map(_end, self._processes.values()))

    async def _keep(self, number: int) -> None:
        """Worker `number` runs, and another in its place if it ends."""
        loop = asyncio.get_running_loop()
        backoff_s = BACKOFF_FIRST_S
        while True:
            started_at = loop.time()
            try:
                self._processes[number] = process = await self._start(number)
            except OSError as error:
                logger.error("worker %d cannot be started: %s", number, error)
            else:
                status = await process.wait()
                self._record("ended", worker=number, status=status)
            if loop.time() >= started_at + WELL_AFTER_S:
                backoff_s = BACKOFF_FIRST_S
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_LAST_S)

    async def _start(self, number: int) -> Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "load_balancer.worker", str(self.followed), f"worker-{number}"),
            stdin=PIPE,
        )
        assert process.stdin is not None
        process.stdin.write(self._settings.model_dump_json().encode() + b"\n")
        return process


async def _end(process: Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        logger.error("process %d does not end", process.pid)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
