"""The admin API over a real control plane, whose provisioner and replicas are scripted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient
from load_balancer.admin import Context, create_app
from load_balancer.controller import Controller
from load_balancer.errors import Conflict, UnknownReplica
from load_balancer.events import EventLog
from load_balancer.health import Evidence, Thresholds
from load_balancer.live import LiveFeed
from load_balancer.membership import Member, Membership
from load_balancer.metrics import Metrics
from load_balancer.provisioner_client import Provisioned
from load_balancer.proxy.sampler import Sample
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import Address, Settings

NAMES = ["Server1", "Server2", "Server3"]


class Provisioner:
    """Makes replicas at once; freezes and kills those that it has made."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}

    async def list(self) -> list[Provisioned]:
        return []

    async def create_or_replace(self, hostname: str, server_id: int) -> Address:
        self.states[hostname] = "running"
        return ("127.0.0.1", server_id)

    async def remove(self, hostname: str) -> None:
        self.states.pop(hostname, None)

    async def kill(self, hostname: str) -> None:
        self._change(hostname, "running", "exited")

    async def pause(self, hostname: str) -> None:
        self._change(hostname, "running", "paused")

    async def resume(self, hostname: str) -> None:
        self._change(hostname, "paused", "running")

    def _change(self, hostname: str, before: str, after: str) -> None:
        if hostname not in self.states:
            raise UnknownReplica(f"hostname {hostname!r} is no replica")
        if self.states[hostname] != before:
            raise Conflict(f"replica {hostname} is {self.states[hostname]}")
        self.states[hostname] = after


class DataPlane:
    async def drain(self, replica: Replica, timeout_s: float) -> None: ...

    def cut(self, replica: Replica) -> None: ...

    async def settled(self) -> None: ...


class Answers:
    """Heartbeats: every replica answers as soon as it has started."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership

    def replica_started(self, member: Member, replica: Replica) -> None:
        asyncio.get_running_loop().call_soon(self._membership.learn, replica, Evidence.ANSWERED)

    def replica_suspected(self, replica: Replica) -> None: ...

    def replica_died(self, member: Member, replica: Replica) -> None: ...

    def table_published(self, table: RoutingTable) -> None: ...


class Lab:
    """A control plane on a loop in another thread, as the admin API has it; NAMES serve."""

    def __init__(self, loop: asyncio.AbstractEventLoop, **settings: Any) -> None:
        self.loop = loop
        self.settings = Settings(**({"preset": "assignment"} | settings))
        self.provisioner = Provisioner()
        self.events = EventLog()
        self.membership = Membership(self.settings.ring(), Thresholds(1, 1), self.events)
        self.controller = Controller(
            self.membership,
            DataPlane(),
            None if self.settings.replica else self.provisioner,
            self.settings,
            self.events,
        )
        self.samples: list[Sample] = []  # of requests; more may come
        sampler = SimpleNamespace(
            since=lambda number: [each for each in self.samples if each.number > number]
        )
        server: Any = SimpleNamespace(
            sampler=sampler,
            stats={},
            in_flight={},
            ejections={},
            num_clients=0,
            followers=list,
            route=lambda key: self.membership.table.route(key),
        )
        self.membership.observers += [Answers(self.membership), self.controller]
        self.context = Context(
            self.settings,
            self.membership,
            self.controller,
            server,
            self.events,
            Metrics(server, self.membership, self.events),
            LiveFeed(server, self.membership),
            loop,
        )
        self.client: FlaskClient = create_app(self.context).test_client()

    async def begin(self) -> None:
        await self.controller.begin()
        if not self.settings.replica:
            await self.controller.put(NAMES)

    def learn(self, hostname: str, *evidence: Evidence) -> None:
        """Has something become known of a replica."""

        async def learn() -> None:
            replica = self.membership.member(hostname).replica
            assert replica is not None
            for each in evidence:
                self.membership.learn(replica, each)

        self.context.run(learn())


@pytest.fixture
def make_lab() -> Iterator[Callable[..., Lab]]:
    """A lab with the given settings."""
    labs: list[Lab] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def make(**settings: Any) -> Lab:
        lab = Lab(loop, **settings)
        labs.append(lab)
        lab.context.run(lab.begin())
        return lab

    yield make
    for lab in labs:
        lab.context.run(lab.controller.close())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab()


@pytest.fixture
def client(lab: Lab) -> FlaskClient:
    return lab.client


@pytest.fixture
def failure() -> Callable[[Any], str]:
    """The message of an error, once its answer is found to have the contract's one shape."""

    def message(response: Any) -> str:
        assert response.content_type == "application/json"
        assert set(response.json) == {"message", "status"}
        assert response.json["status"] == "failure"
        assert response.json["message"].startswith("<Error> ")
        return response.json["message"].removeprefix("<Error> ")

    return message
