"""A class in front of the live page: each holds a stream of events and counters, as the page does.
`python -m benchmarks.data_plane.watchers PORT`."""

from __future__ import annotations

import asyncio
import sys

import aiohttp

NUM_WATCHERS = 20
BETWEEN_S = 0.05  # people do not open a page all at once


async def watch(port: int) -> None:
    """Until it is cancelled; raises if the load balancer does not answer as it should."""
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", raise_for_status=True) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(NUM_WATCHERS):
            group.create_task(_read_events(session))
            await asyncio.sleep(BETWEEN_S)


async def _read_events(session: aiohttp.ClientSession) -> None:
    timeout = aiohttp.ClientTimeout(total=None)
    async with session.get("/events?since=0&live=1", timeout=timeout) as stream:
        async for _ in stream.content:
            pass
    raise ConnectionError("the stream of events has ended")


if __name__ == "__main__":
    asyncio.run(watch(int(sys.argv[1])))
