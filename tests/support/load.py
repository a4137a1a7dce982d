"""Traffic, and a record of what came of each request."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import requests


def spec_ids(count: int) -> list[int]:
    """The ids with which the contract's tables were counted."""
    rng = random.Random(42)
    return [rng.randint(100_000, 999_999) for _ in range(count)]


@dataclass
class Outcome:
    replica_of: dict[int, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def send(url: str, ids: list[int], *, concurrency: int) -> Outcome:
    """GET /home once for each id, `concurrency` at a time."""
    return asyncio.run(_send(url, ids, concurrency))


async def _send(url: str, ids: list[int], concurrency: int) -> Outcome:
    outcome, waiting = Outcome(), iter(ids)

    async def worker(session: aiohttp.ClientSession) -> None:
        for request_id in waiting:
            try:
                async with session.get(
                    f"{url}/home", headers={"X-Request-ID": str(request_id)}
                ) as answer:
                    body = await answer.text()
                    replica = answer.headers.get("X-Replica", "")
                    if answer.status != 200 or f"Hello from Server: {replica}" not in body:
                        outcome.failures.append(f"{request_id}: {answer.status} {body}")
                    outcome.answers[replica] += 1
                    outcome.replica_of[request_id] = replica
            except aiohttp.ClientError as error:
                outcome.failures.append(f"{request_id}: {error!r}")

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:
        await asyncio.gather(*(worker(session) for _ in range(concurrency)))
    return outcome


class SteadyStream:
    """20 requests a second while the `with` block runs; `failures` of all of them afterwards."""

    INTERVAL_S = 0.05

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(k,)) for k in range(4)]
        self.failures: list[str] = []
        self.sent = 0

    def __enter__(self) -> SteadyStream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, offset: int) -> None:
        """One of four clients, so that a slow answer does not hold up the stream."""
        began = time.monotonic() + offset * self.INTERVAL_S
        turn = 0
        while not self._stop.wait(max(0.0, began + turn * 4 * self.INTERVAL_S - time.monotonic())):
            turn += 1
            self.sent += 1
            try:
                answer = requests.get(f"{self._url}/home", timeout=10)
                if answer.status_code != 200:
                    self.failures.append(f"{answer.status_code} {answer.text}")
            except requests.RequestException as error:
                self.failures.append(repr(error))
