"""A provisioner whose replicas cost next to nothing: listening sockets of one process, which answer
at once. `python quick_provisioner.py SOCKET`.

`GET /hold` is answered when somebody asks the provisioner to `release`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvloop
from aiohttp import web

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class QuickReplica:
    """One life: `state` is running, paused or exited."""

    def __init__(self, hostname: str, server_id: int) -> None:
        self.hostname = hostname
        self.server_id = server_id
        self.state = "running"
        self.connections: set[Connection] = set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def end(self) -> None:
        self.state = "exited"
        self._server.close()
        for connection in list(self.connections):
            connection.transport.abort()

    def release(self) -> None:
        for connection in self.connections:
            connection.release()

    def as_dict(self) -> dict[str, Any]:
        address = f"127.0.0.1:{self.port}" if self.state == "running" else None
        return {
            "hostname": self.hostname,
            "server_id": self.server_id,
            "address": address,
            "state": self.state,
        }


class Connection(asyncio.Protocol):
    def __init__(self, replica: QuickReplica) -> None:
        self._replica = replica
        self._received = b""
        self._num_held = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._replica.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._replica.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            if request.startswith(b"GET /hold "):
                self._num_held += 1
            else:
                self.transport.write(ANSWER)

    def release(self) -> None:
        self.transport.write(self._num_held * ANSWER)
        self._num_held = 0


class Provisioner:
    def __init__(self) -> None:
        self._replicas: dict[str, QuickReplica] = {}

    async def handle(self, request: web.Request) -> web.Response:
        _, _, hostname, verb = (*request.path.split("/"), "", "")[:4]
        replica = self._replicas.get(hostname)
        match request.method, verb:
            case "GET", "":
                listed = [each.as_dict() for each in self._replicas.values()]
                return web.json_response({"replicas": listed})
            case "PUT", "":
                server_id = (await request.json())["server_id"]
                made = self._replicas[hostname] = QuickReplica(hostname, server_id)
                await made.start()
                if replica is not None:
                    replica.end()
                return web.json_response(made.as_dict())
            case "DELETE", "" if replica is not None:
                self._replicas.pop(hostname).end()
            case "POST", "kill" if replica is not None:
                replica.end()
            case "POST", "release" if replica is not None:
                replica.release()
        return web.Response(status=204)


async def main(socket: str) -> None:
    runner = web.ServerRunner(web.Server(Provisioner().handle))
    await runner.setup()
    await web.UnixSite(runner, socket).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
