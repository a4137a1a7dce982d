"""Performs a history on a lab, each operation at its time, and records what came of it.

Faults strike when they are due, and only who is listed: one that is still starting is not yet
watched, and a fault of it costs its command `start_timeout_s`. Commands queue, and are repeated
until they are carried out, as an operator would whose command was cut by a crash of what he
commands; so at the end it is certain what was ordered.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import aiohttp
from labs import Lab, restart_engine

from chaos.history import RESTART_ENGINE, Operation
from chaos.observer import Observer
from chaos.records import Deed

COMMAND_S = 60.0  # then it is not repeated any more
REPEAT_S = 0.2
SERVING_S = 60.0  # then nobody waits any longer for a killed service
POLL_S = 0.05
POLL_PID_S = 0.5  # asking a supervisor starts a Python
FAULTS = ("crash", "pause", "resume")
# What a repeated command is told when the first try did it after all.
ALREADY = {"add": (409,), "rm": (400, 404)}


class Monkey:
    def __init__(self, lab: Lab, session: aiohttp.ClientSession, observer: Observer) -> None:
        self._lab = lab
        self._session = session
        self._observer = observer
        self._command = asyncio.Lock()
        self._service = asyncio.Lock()  # what is killed next is up before
        self.deeds: list[Deed] = []

    async def perform(self, history: Sequence[Operation]) -> None:
        """Returns when the last one is done."""
        began_s = time.monotonic()
        doing = []
        for operation in history:
            await asyncio.sleep(max(0.0, began_s + operation.at_s - time.monotonic()))
            doing.append(asyncio.create_task(self._do(operation)))
        await asyncio.gather(*doing)

    async def _do(self, operation: Operation) -> None:
        if operation.verb in FAULTS:
            if not set(operation.hostnames) <= self._observer.listed:
                return
            deed = await self._fault(operation)
        elif operation.verb.startswith("kill "):
            async with self._service:
                deed = await self._kill(operation)
        elif operation.verb == RESTART_ENGINE:
            async with self._service:
                deed = await self._restart_engine(operation)
        else:
            async with self._command:
                deed = await self._obeyed(operation)
        self.deeds.append(deed)

    async def _fault(self, operation: Operation) -> Deed:
        began_at = time.time()
        (hostname,) = operation.hostnames
        status, message = await self._call("POST", f"/{operation.verb}", {"hostname": hostname})
        return Deed(operation.verb, operation.hostnames, began_at, time.time(), status, message)

    async def _obeyed(self, operation: Operation) -> Deed:
        named = {"n": len(operation.hostnames), "hostnames": operation.hostnames}
        method, path, body = {
            "add": ("POST", "/add", named),
            "rm": ("DELETE", "/rm", named),
            "ring": ("PUT", "/ring", {"preset": operation.preset}),
        }[operation.verb]
        began_at = time.time()
        status, message = await self._call(method, path, body)
        while (status == 0 or status >= 500) and time.time() < began_at + COMMAND_S:
            await asyncio.sleep(REPEAT_S)
            status, message = await self._call(method, path, body)
            if status in ALREADY.get(operation.verb, ()):
                status = 200
        return Deed(operation.verb, operation.hostnames, began_at, time.time(), status, message)

    async def _kill(self, operation: Operation) -> Deed:
        service = operation.verb.removeprefix("kill ")
        pid = await asyncio.to_thread(self._lab.running_pid, service)
        began_at = time.time()
        os.kill(pid, signal.SIGKILL)
        ended_at = time.time()
        if service == "load-balancer":
            serves = await _until(self._serves, ended_at + SERVING_S, POLL_S)
        else:
            is_new = partial(self._has_new_pid, service, pid)
            serves = await _until(is_new, ended_at + SERVING_S, POLL_PID_S)
        served_at = time.time() if serves else None
        return Deed(operation.verb, (), began_at, ended_at, 200, served_at=served_at)

    async def _restart_engine(self, operation: Operation) -> Deed:
        began_at = time.time()
        await asyncio.to_thread(restart_engine, self._lab.name)
        ended_at = time.time()
        serves = await _until(self._serves, ended_at + SERVING_S, POLL_S)
        served_at = time.time() if serves else None
        return Deed(operation.verb, (), began_at, ended_at, 200, served_at=served_at)

    async def _serves(self) -> bool:
        """Whether a replica's answer comes, on a connection of its own."""
        try:
            async with self._session.get(f"{self._lab.url}/home") as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _has_new_pid(self, service: str, old: int) -> bool:
        return await asyncio.to_thread(self._lab.service_pid, service) not in (0, old)

    async def _call(self, method: str, path: str, body: object) -> tuple[int, str]:
        """Status and body; 0 and the fault where no answer came."""
        try:
            async with self._session.request(method, self._lab.url + path, json=body) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, repr(error)


async def _until(condition: Callable[[], Awaitable[bool]], deadline: float, every_s: float) -> bool:
    while not await condition():
        if time.time() > deadline:
            return False
        await asyncio.sleep(every_s)
    return True
