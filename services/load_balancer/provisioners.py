"""Several provisioners, one on each node, called as if they were one.

A replica's *home* is the node that its present life was made on; only this module knows of nodes.
A new life goes to the node that answers and is home to the fewest. A node that answers no more is
passed over: what its replicas do meanwhile, heartbeats tell, and the dead get new lives elsewhere.
When it answers again, old lives may still run there. So each node is asked once a second what it
has, and whatever is not at home there goes: no name runs twice, and nothing is left over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from load_balancer.errors import LoadBalancerError, ProvisionerUnavailable, UnknownReplica
from load_balancer.provisioner_client import Provisioned, Provisioner
from load_balancer.settings import Address

logger = logging.getLogger(__name__)
T = TypeVar("T")

ASK_EVERY_S = 1.0
# An engine that starts a dozen containers takes a second to list them.
ANSWER_S = 2.0
FALL = 2  # times in a row without an answer: silent
RETRY_S = 0.2
BEGIN_S = 6.0  # that a start waits for nodes that do not answer


class Node:
    """One of them, and whether it answers."""

    def __init__(self, name: str, provisioner: Provisioner) -> None:
        self.name = name
        self.provisioner = provisioner
        self.silent = asyncio.Event()  # set while it is passed over
        self.sweeping: asyncio.Task[None] | None = None
        self._misses = 0

    async def ask(self, timeout_s: float) -> Sequence[Provisioned]:
        """What it has; ProvisionerUnavailable, or another error, if it does not tell in time."""
        try:
            async with asyncio.timeout(timeout_s):
                replicas = await self.provisioner.list()
        except TimeoutError:
            raise ProvisionerUnavailable(f"no answer within {timeout_s} s") from None
        self.answered()
        return replicas

    async def ask_patiently(self, timeout_s: float) -> Sequence[Provisioned]:
        """The same, at a start: its engine, its network or ours may have come up just now."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                return await self.ask(min(ANSWER_S, left_s))
            except ProvisionerUnavailable:
                if left_s <= ANSWER_S:
                    raise
                await asyncio.sleep(RETRY_S)

    def answered(self) -> None:
        if self.silent.is_set():
            logger.info("node %s answers again", self.name)
        self._misses = 0
        self.silent.clear()

    def missed(self, error: LoadBalancerError) -> None:
        self._misses += 1
        if self._misses >= FALL:
            self.fall_silent(error)

    def fall_silent(self, error: LoadBalancerError) -> None:
        if not self.silent.is_set():
            logger.warning("node %s is passed over: %s", self.name, error)
            self.silent.set()

    async def call(self, calling: Coroutine[Any, Any, T]) -> T:
        """What the call returns; ProvisionerUnavailable as soon as the node is silent, however long
        the call itself would wait."""
        call = asyncio.ensure_future(calling)
        silence = asyncio.ensure_future(self.silent.wait())
        try:
            await asyncio.wait({call, silence}, return_when=asyncio.FIRST_COMPLETED)
            if call.done():
                return call.result()
            raise ProvisionerUnavailable(f"the provisioner of node {self.name} does not answer")
        finally:
            for task in (call, silence):
                task.cancel()
            await asyncio.gather(call, silence, return_exceptions=True)


class Provisioners:
    """A Provisioner over `nodes`, by name; on those in `drained` nothing is at home. A call is
    about those that answer; it raises ProvisionerUnavailable if none does. `list` comes first: from
    then on nodes are watched."""

    def __init__(self, nodes: Mapping[str, Provisioner], drained: Iterable[str] = ()) -> None:
        self._nodes = [Node(name, nodes[name]) for name in sorted(nodes)]
        self._drained = frozenset(drained)
        self._homes: dict[str, Node] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._watching: list[asyncio.Task[None]] = []

    async def close(self) -> None:
        sweeping = [node.sweeping for node in self._nodes if node.sweeping is not None]
        for task in (*self._watching, *sweeping):
            task.cancel()
        await asyncio.gather(*self._watching, *sweeping, return_exceptions=True)
        for node in self._nodes:
            await node.provisioner.close()

    async def list(self) -> list[Provisioned]:
        """Of a name that several nodes have, one: at home if it has one, else the first that runs.
        The others go."""
        asked = [
            # What a drained one has goes anyway: nobody waits for it.
            node.ask(ANSWER_S) if node.name in self._drained else node.ask_patiently(BEGIN_S)
            for node in self._nodes
        ]
        found: dict[str, tuple[Node, Provisioned]] = {}
        for node, told in zip(self._nodes, await _outcomes(asked), strict=True):
            if isinstance(told, LoadBalancerError):
                node.fall_silent(told)
                continue
            if node.name in self._drained:
                continue
            for each in told:
                if each.hostname not in found or self._is_better(node, each, *found[each.hostname]):
                    found[each.hostname] = (node, each)
        if not self._answering():
            raise self._none_answers()
        for hostname, (node, _) in found.items():
            self._homes.setdefault(hostname, node)
        self._begin_watching()
        return [each for _, each in found.values()]

    async def create_or_replace(self, hostname: str, server_id: int) -> Address:
        """On the node that answers and is home to the fewest others, by name among equals; if that
        one falls silent, or refuses, on the next."""
        passed_over: dict[Node, LoadBalancerError] = {}
        async with self._lock(hostname):
            while (node := self._next_node(hostname, passed_over)) is not None:
                self._homes[hostname] = node
                making = node.provisioner.create_or_replace(hostname, server_id)
                try:
                    address = await node.call(making)
                except LoadBalancerError as error:
                    logger.warning("node %s does not make %s: %s", node.name, hostname, error)
                    passed_over[node] = error
                else:
                    logger.info("%s is on node %s", hostname, node.name)
                    return address
        raise next(iter(passed_over.values()), self._none_answers())

    async def remove(self, hostname: str) -> None:
        """From every node that answers; the others lose it when they do."""
        async with self._lock(hostname):
            self._homes.pop(hostname, None)
            removals = [node.call(node.provisioner.remove(hostname)) for node in self._answering()]
            for outcome in await _outcomes(removals):
                if isinstance(outcome, LoadBalancerError):
                    logger.warning("removing %s, later: %s", hostname, outcome)

    async def kill(self, hostname: str) -> None:
        home = self._home(hostname)
        await home.call(home.provisioner.kill(hostname))

    async def pause(self, hostname: str) -> None:
        home = self._home(hostname)
        await home.call(home.provisioner.pause(hostname))

    async def resume(self, hostname: str) -> None:
        home = self._home(hostname)
        await home.call(home.provisioner.resume(hostname))

    # Within: where

    def _answering(self) -> Sequence[Node]:
        return [node for node in self._nodes if not node.silent.is_set()]

    def _next_node(self, hostname: str, passed_over: Iterable[Node]) -> Node | None:
        loads = Counter(home for name, home in self._homes.items() if name != hostname)
        out = {*passed_over, *(node for node in self._nodes if node.name in self._drained)}
        candidates = [node for node in self._answering() if node not in out]
        return min(candidates, key=lambda node: (loads[node], node.name), default=None)

    def _home(self, hostname: str) -> Node:
        if (home := self._homes.get(hostname)) is None:
            raise UnknownReplica(f"no node has a replica named {hostname!r}")
        return home

    def _is_better(self, node: Node, each: Provisioned, other: Node, rival: Provisioned) -> bool:
        home = self._homes.get(each.hostname)
        if home in (node, other):
            return node is home
        return each.state == "running" and rival.state != "running"

    def _lock(self, hostname: str) -> asyncio.Lock:
        """Who holds it alone decides where `hostname` is."""
        return self._locks.setdefault(hostname, asyncio.Lock())

    def _none_answers(self) -> ProvisionerUnavailable:
        names = ", ".join(node.name for node in self._nodes)
        return ProvisionerUnavailable(f"none of the nodes answers: {names}")

    # Within: watching

    def _begin_watching(self) -> None:
        if not self._watching:
            self._watching = [asyncio.ensure_future(self._watch(node)) for node in self._nodes]

    async def _watch(self, node: Node) -> None:
        while True:
            await asyncio.sleep(ASK_EVERY_S)
            try:
                replicas = await node.ask(ANSWER_S)
            except LoadBalancerError as error:
                node.missed(error)
                continue
            strangers = [each.hostname for each in replicas if not self._is_home(node, each)]
            if strangers and (node.sweeping is None or node.sweeping.done()):
                # Beside the asking, which ends the waiting for a node that falls silent.
                node.sweeping = asyncio.ensure_future(self._sweep(node, strangers))

    def _is_home(self, node: Node, each: Provisioned) -> bool:
        return self._homes.get(each.hostname) is node

    async def _sweep(self, node: Node, hostnames: Iterable[str]) -> None:
        """Removes those that have not come home meanwhile; what fails is tried again when the node
        is asked next."""
        for hostname in hostnames:
            async with self._lock(hostname):
                if self._homes.get(hostname) is node:
                    continue
                logger.info("removing %s from node %s, not its home", hostname, node.name)
                with suppress(LoadBalancerError):
                    await node.call(node.provisioner.remove(hostname))


async def _outcomes(calls: Iterable[Coroutine[Any, Any, T]]) -> Sequence[T | LoadBalancerError]:
    """What each returns, or the error of ours that it raises."""

    async def outcome(call: Coroutine[Any, Any, T]) -> T | LoadBalancerError:
        try:
            return await call
        except LoadBalancerError as error:
            return error

    return await asyncio.gather(*map(outcome, calls))
