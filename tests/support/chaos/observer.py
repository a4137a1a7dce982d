"""Looks on through the admin API: the members, the table's version, and what is said to happen."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Collection
from typing import Any

import aiohttp
from labs import Lab

from chaos.records import Event, Look

EVERY_S = 0.25
PATIENCE_S = aiohttp.ClientTimeout(total=5)
VERSION = re.compile(r"^ringlab_table_version_total (\S+)$", re.MULTILINE)


class Observer:
    def __init__(self, lab: Lab, session: aiohttp.ClientSession) -> None:
        self._lab = lab
        self._session = session
        self._placed: int | None = None  # version whose placement is known
        self._last_id = 0  # event's
        self._seen: set[tuple[int, float]] = set()
        self.looks: list[Look] = []
        self.events: list[Event] = []

    async def begin(self) -> None:
        """What has happened until now is of no concern."""
        await self._listen()
        self.events.clear()

    @property
    def listed(self) -> set[str]:
        """In `/rep` at the last look; nobody if that failed."""
        return set(self.looks[-1].listed or ()) if self.looks else set()

    async def run(self, stop: asyncio.Event) -> None:
        """Returns after the first look that began after `stop` was set."""
        stopped = False
        while not stopped:
            stopped = stop.is_set()
            asked_at = time.time()
            try:
                look = await self._look()
                await self._listen()
            except (aiohttp.ClientError, TimeoutError):
                look = Look(asked_at, time.time())
                self._placed, self._last_id = None, 0  # it may be another process that answers next
            self.looks.append(look)
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> Look:
        """The version is read first and last: what is read in between belongs to it if it is the
        same then."""
        asked_at = time.time()
        version = await self._version()
        listed = tuple((await self._json("/rep"))["message"]["replicas"])
        placement = None
        if version != self._placed:
            ring = (await self._json("/ring"))["message"]
            if version == await self._version():
                placement, self._placed = _placement(ring, listed), version
        return Look(asked_at, time.time(), version, listed, placement)

    async def _listen(self) -> None:
        for event in await self._json(f"/events?since={self._last_id}"):
            self._last_id = event["id"]
            if (told := (event["id"], event["time"])) not in self._seen:
                self._seen.add(told)
                hostname = event.get("hostname", "")
                self.events.append(Event(event["time"], event["kind"], hostname))

    async def _version(self) -> int:
        async with self._session.get(f"{self._lab.url}/metrics", timeout=PATIENCE_S) as answer:
            answer.raise_for_status()
            return int(float(VERSION.search(await answer.text())[1]))

    async def _json(self, path: str) -> Any:
        headers = {"Accept": "application/json"}
        url = self._lab.url + path
        async with self._session.get(url, headers=headers, timeout=PATIENCE_S) as answer:
            answer.raise_for_status()
            return await answer.json()


def _placement(ring: dict[str, Any], listed: Collection[str]) -> str:
    """Who serves which key follows from this alone: the ring, and who of it is in service."""
    replicas = ring["replicas"]
    joined = {name: replicas[name]["state"] for name in listed if name in replicas}
    serving = sorted(name for name in joined if joined[name] == "alive") or sorted(joined)
    slots = {name: replica["slots"] for name, replica in replicas.items()}
    placing = [ring[name] for name in ("algorithm", "slots", "key_hash")]
    text = json.dumps([placing, sorted(slots.items()), serving])
    return f"{hashlib.sha256(text.encode()).hexdigest()[:12]} ({' '.join(serving)})"
