"""The provisioner, as the control plane calls it: six verbs over its Unix socket, or over TCP where
it is another node's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from load_balancer.errors import (
    BadRequest,
    Conflict,
    LoadBalancerError,
    ProvisionerRefused,
    ProvisionerUnavailable,
    UnknownReplica,
)
from load_balancer.settings import Address, parse_address

RESTART_S = 5.0  # a provisioner that was killed is back within
RETRY_S = 0.1
CONNECT_S = 2.0  # over TCP, where nobody refuses what a cut link carries
TIMEOUT_S = 60.0  # an engine under load takes seconds to start a container, not a minute
_ERRORS: dict[int, type[LoadBalancerError]] = {
    400: BadRequest,
    404: UnknownReplica,
    409: Conflict,
    503: ProvisionerUnavailable,
}


@dataclass(frozen=True)
class Provisioned:
    """A replica as the provisioner knows it; `address` is None unless `state` is running or
    paused."""

    hostname: str
    server_id: int
    address: Address | None
    state: str  # running, paused or exited


class Provisioner(Protocol):
    """One, or several that are called as one. Every call raises ProvisionerUnavailable,
    ProvisionerRefused, or the error that the provisioner's answer names."""

    async def close(self) -> None: ...

    async def list(self) -> list[Provisioned]: ...

    async def create_or_replace(self, hostname: str, server_id: int) -> Address:
        """Starts a fresh replica, in place of any of that name; its address. It may not answer
        HTTP yet."""

    async def remove(self, hostname: str) -> None: ...

    async def kill(self, hostname: str) -> None: ...

    async def pause(self, hostname: str) -> None: ...

    async def resume(self, hostname: str) -> None: ...


class ProvisionerClient:
    """The one that serves on a Unix socket, or, by a token, at an address."""

    def __init__(self, place: Path | Address, token: str = "") -> None:
        connector: aiohttp.BaseConnector
        if isinstance(place, Path):
            self._place, url = str(place), "http://provisioner"
            connector = aiohttp.UnixConnector(str(place), limit=0)
        else:
            self._place = "{}:{}".format(*place)
            url, connector = f"http://{self._place}", aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(
            base_url=url,
            connector=connector,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_S),
        )

    async def close(self) -> None:
        await self._session.close()

    async def list(self) -> list[Provisioned]:
        return [_provisioned(each) for each in (await self._call("GET", ""))["replicas"]]

    async def create_or_replace(self, hostname: str, server_id: int) -> Address:
        made = _provisioned(await self._call("PUT", f"/{hostname}", {"server_id": server_id}))
        if made.address is None:
            raise ProvisionerRefused(f"replica {hostname} was {made.state} as soon as it started")
        return made.address

    async def remove(self, hostname: str) -> None:
        await self._call("DELETE", f"/{hostname}")

    async def kill(self, hostname: str) -> None:
        await self._call("POST", f"/{hostname}/kill")

    async def pause(self, hostname: str) -> None:
        await self._call("POST", f"/{hostname}/pause")

    async def resume(self, hostname: str) -> None:
        await self._call("POST", f"/{hostname}/resume")

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        deadline = asyncio.get_running_loop().time() + RESTART_S
        while True:
            try:
                async with self._session.request(method, f"/replicas{path}", json=body) as response:
                    answer = {} if response.status == 204 else await response.json()
                break
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                refused = isinstance(error, aiohttp.ClientConnectorError)
                if not refused or asyncio.get_running_loop().time() > deadline:
                    raise ProvisionerUnavailable(
                        f"the provisioner does not answer on {self._place}: {error!r}"
                    ) from error
                await asyncio.sleep(RETRY_S)  # nothing was sent: it may be about to be back
        if response.status >= 400:
            message = str(answer.get("message", answer)).removeprefix("<Error> ")
            raise _ERRORS.get(response.status, ProvisionerRefused)(message)
        return answer


def _provisioned(answer: dict[str, Any]) -> Provisioned:
    address = parse_address(answer["address"]) if answer["address"] else None
    return Provisioned(answer["hostname"], answer["server_id"], address, answer["state"])
