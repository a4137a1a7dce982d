"""A load balancer with a fault: a real one behind a front that spoils something on the way."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import ClientSession, web

Spoil = Callable[[web.Request, Any], Any]


class Dropped(Exception):
    """The front answers this request with 503, instead of passing it on."""


def drop_one_in_a_hundred(request: web.Request, body: Any) -> Any:
    """Of the requests to replicas, those whose id ends in 00."""
    if request.path == "/home" and request.headers.get("X-Request-ID", "").endswith("00"):
        raise Dropped
    return body


def place_one_virtual_node(request: web.Request, body: Any) -> Any:
    """Whatever ring is asked for has K = 1."""
    return body | {"virtual_nodes": 1} if request.path == "/ring" and body else body


@contextmanager
def front(url: str, spoil: Spoil) -> Iterator[str]:
    """URL of a front that passes everything on to `url`; `spoil` gets each request and its JSON
    body (None without), and returns the body to pass on, or raises Dropped."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    address: list[str] = []

    async def serve() -> None:
        async with ClientSession() as session:

            async def handle(request: web.Request) -> web.Response:
                sent = await request.read()
                try:
                    body = spoil(request, json.loads(sent) if sent else None)
                except Dropped:
                    return web.Response(status=503)
                headers = {
                    name: request.headers[name]
                    for name in ("X-Request-ID", "Accept")
                    if name in request.headers
                }
                async with session.request(
                    request.method, url + request.path_qs, headers=headers, json=body
                ) as answer:
                    kept = {
                        name: answer.headers[name]
                        for name in ("X-Request-ID", "X-Replica", "Content-Type")
                        if name in answer.headers
                    }
                    return web.Response(
                        status=answer.status, headers=kept, body=await answer.read()
                    )

            runner = web.ServerRunner(web.Server(handle))
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            address.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
            ready.set()
            await stop.wait()
            await runner.cleanup()

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
