"""Several nodes called as one, with provisioners that are scripted, on a clock that jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import pytest
from load_balancer.errors import ProvisionerRefused, ProvisionerUnavailable, UnknownReplica
from load_balancer.provisioner_client import Provisioned
from load_balancer.provisioners import ANSWER_S, ASK_EVERY_S, BEGIN_S, FALL, Provisioners
from load_balancer.settings import Address
from virtual_time import Loop

CALL_S = 0.1
# From the cut to the decision that a node is silent, at most.
SILENT_S = FALL * (ASK_EVERY_S + ANSWER_S)
SWEPT_S = ASK_EVERY_S + 3 * CALL_S


class Node:
    """A provisioner that keeps what it makes, and can be cut off: then nothing comes back."""

    def __init__(self, number: int) -> None:
        self.replicas: dict[str, Provisioned] = {}
        self.joined = asyncio.Event()
        self.joined.set()
        self.refuses = False
        self.calls: list[str] = []
        self._addresses = ((f"10.0.{number}.1", port) for port in count(1))

    async def close(self) -> None: ...

    async def _arrives(self, call: str) -> None:
        await self.joined.wait()
        self.calls.append(call)
        await asyncio.sleep(CALL_S)
        await self.joined.wait()

    async def list(self) -> list[Provisioned]:
        await self._arrives("list")
        return [*self.replicas.values()]

    async def create_or_replace(self, hostname: str, server_id: int) -> Address:
        await self._arrives(f"create {hostname}")
        if self.refuses:
            raise ProvisionerRefused("no such image")
        address = next(self._addresses)
        self.replicas[hostname] = Provisioned(hostname, server_id, address, "running")
        return address

    async def remove(self, hostname: str) -> None:
        await self._arrives(f"remove {hostname}")
        self.replicas.pop(hostname, None)

    async def kill(self, hostname: str) -> None:
        await self._arrives(f"kill {hostname}")

    async def pause(self, hostname: str) -> None:
        await self._arrives(f"pause {hostname}")

    async def resume(self, hostname: str) -> None:
        await self._arrives(f"resume {hostname}")


class Lab:
    """Three nodes a, b and c, and their provisioners as one."""

    def __init__(self, drained: tuple[str, ...]) -> None:
        self.nodes = {name: Node(number) for number, name in enumerate("abc")}
        self.one = Provisioners(self.nodes, drained)

    def holders(self) -> dict[str, str]:
        """Each hostname with the nodes that have it: "Server1": "a"."""
        found: dict[str, str] = {}
        for name, node in self.nodes.items():
            for hostname in node.replicas:
                found[hostname] = found.get(hostname, "") + name
        return found

    async def make(self, *numbers: int) -> None:
        await asyncio.gather(*(self.one.create_or_replace(f"Server{n}", n) for n in numbers))


Script = Callable[[Lab], Coroutine[Any, Any, None]]


@pytest.fixture
def play() -> Callable[..., Lab]:
    """Runs a script on a lab that has been asked once for its replicas, and returns the lab."""

    def run(script: Script, *, drained: tuple[str, ...] = ()) -> Lab:
        async def scene() -> Lab:
            lab = Lab(drained)
            try:
                await script(lab)
            finally:
                await lab.one.close()
            return lab

        with asyncio.Runner(loop_factory=Loop) as runner:
            return runner.run(scene())

    return run


def running(hostname: str, number: int = 1, state: str = "running") -> Provisioned:
    address = None if state == "exited" else ("10.0.9.9", 5000)
    return Provisioned(hostname, number, address, state)


def test_replicas_spread_over_the_nodes(play) -> None:
    """Made at once, each node is home to as many; of equals the first by name is taken."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        await lab.make(1, 2, 3, 4)

    lab = play(script)
    assert {"Server1": "a", "Server2": "b", "Server3": "c", "Server4": "a"} == lab.holders()


def test_the_next_one_goes_to_the_node_with_the_fewest(play) -> None:
    """What runs already counts, also when it was made before this start."""

    async def script(lab: Lab) -> None:
        lab.nodes["a"].replicas = {f"Old{n}": running(f"Old{n}", n) for n in range(2)}
        lab.nodes["b"].replicas = {"Old9": running("Old9", 9)}
        assert 3 == len(await lab.one.list())
        await lab.make(1, 2)

    assert {"Server1": "c", "Server2": "b"}.items() <= play(script).holders().items()


@pytest.mark.parametrize("verb", ["kill", "pause", "resume"])
def test_a_fault_reaches_the_replica_on_its_node(play, verb: str) -> None:
    """The node at home is asked, and no other."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        await lab.make(1, 2)
        await getattr(lab.one, verb)("Server2")

    lab = play(script)
    asked = {name: f"{verb} Server2" in node.calls for name, node in lab.nodes.items()}
    assert {"a": False, "b": True, "c": False} == asked


def test_a_fault_of_a_stranger_is_refused(play) -> None:
    """Who has no home is no replica."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        with pytest.raises(UnknownReplica, match="'Nobody'"):
            await lab.one.kill("Nobody")

    play(script)


def test_a_node_that_was_cut_off_is_passed_over(play) -> None:
    """A call that is on its way there ends when the node counts as silent, and goes elsewhere."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        await lab.make(1, 2, 3)
        lab.nodes["a"].joined.clear()
        begin = asyncio.get_running_loop().time()
        await lab.make(1, 4)
        assert asyncio.get_running_loop().time() - begin <= SILENT_S + 2 * CALL_S

    holders = {"Server1": "ab", "Server2": "b", "Server3": "c", "Server4": "c"}
    assert holders == play(script).holders()


def test_a_node_that_is_back_loses_what_lives_elsewhere(play) -> None:
    """No duplicate of what was replaced, no orphan of what was removed meanwhile; what is still at
    home there stays."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        await lab.make(1, 2, 3, 4, 5, 6, 7)
        assert {"Server1", "Server4", "Server7"} == lab.nodes["a"].replicas.keys()
        lab.nodes["a"].joined.clear()
        await asyncio.sleep(SILENT_S)
        await lab.make(1)
        await lab.one.remove("Server4")
        assert {"Server1", "Server4", "Server7"} == lab.nodes["a"].replicas.keys()
        lab.nodes["a"].joined.set()
        await asyncio.sleep(SWEPT_S + ANSWER_S)
        assert {"Server7"} == lab.nodes["a"].replicas.keys()

    lab = play(script)
    assert [1] * 6 == [len(nodes) for nodes in lab.holders().values()]


def test_what_is_made_late_is_removed(play) -> None:
    """A creation that got through to a node that was then given up leaves nothing for good."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        making = asyncio.ensure_future(lab.make(1))
        await asyncio.sleep(CALL_S / 2)
        lab.nodes["a"].joined.clear()
        await making
        lab.nodes["a"].replicas["Server1"] = running("Server1")  # its engine went on by itself
        lab.nodes["a"].joined.set()
        await asyncio.sleep(SWEPT_S + ANSWER_S)

    assert {"Server1": "b"} == play(script).holders()


def test_a_node_that_refuses_is_passed_over_for_once(play) -> None:
    """The next takes its place; it is asked again the next time."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        lab.nodes["a"].refuses = True
        await lab.make(1)
        lab.nodes["a"].refuses = False
        await lab.make(2)

    assert {"Server1": "b", "Server2": "a"} == play(script).holders()


def test_when_all_refuse_the_first_reason_is_told(play) -> None:
    """An error of the nodes' own, not one about them."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        for node in lab.nodes.values():
            node.refuses = True
        with pytest.raises(ProvisionerRefused, match="no such image"):
            await lab.make(1)

    play(script)


def test_a_name_that_runs_twice_is_listed_once(play) -> None:
    """At a start the one that runs is taken over, and the other one goes."""

    async def script(lab: Lab) -> None:
        lab.nodes["a"].replicas = {"Server1": running("Server1", state="exited")}
        lab.nodes["b"].replicas = {"Server1": running("Server1")}
        lab.nodes["c"].replicas = {"Server1": running("Server1")}
        assert [running("Server1")] == await lab.one.list()
        await asyncio.sleep(SWEPT_S)

    assert {"Server1": "b"} == play(script).holders()


def test_a_start_goes_on_without_a_silent_node(play) -> None:
    """After some patience; what that node has is removed when it is back, if it lives elsewhere."""

    async def script(lab: Lab) -> None:
        lab.nodes["b"].replicas = {"Server1": running("Server1")}
        lab.nodes["b"].joined.clear()
        begin = asyncio.get_running_loop().time()
        assert [] == await lab.one.list()
        assert asyncio.get_running_loop().time() - begin <= BEGIN_S + CALL_S
        await lab.make(1)
        assert {"Server1": "ab"} == lab.holders()
        lab.nodes["b"].joined.set()
        await asyncio.sleep(SWEPT_S + ANSWER_S)

    assert {"Server1": "a"} == play(script).holders()


def test_without_any_node_nothing_can_be_done(play) -> None:
    """The error names the nodes; removing is believed, for they lose it when they are back."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        await lab.make(1)
        for node in lab.nodes.values():
            node.joined.clear()
        with pytest.raises(ProvisionerUnavailable):
            await lab.make(2)
        await lab.one.remove("Server1")
        with pytest.raises(ProvisionerUnavailable, match="none of the nodes answers: a, b, c"):
            await lab.make(2)
        with pytest.raises(ProvisionerUnavailable, match="none of the nodes answers: a, b, c"):
            await lab.one.list()

    play(script)


def test_a_failing_watch_of_one_node_does_not_hold_up_the_others(play) -> None:
    """While a sweep hangs on a node that is cut off again, the rest goes on."""

    async def script(lab: Lab) -> None:
        await lab.one.list()
        lab.nodes["a"].replicas["Old"] = running("Old")
        await asyncio.sleep(ASK_EVERY_S + CALL_S * 1.5)  # its removal is on its way
        lab.nodes["a"].joined.clear()
        await asyncio.sleep(SILENT_S)
        await lab.make(1)
        lab.nodes["a"].joined.set()
        await asyncio.sleep(SWEPT_S + ANSWER_S)

    assert {"Server1": "b"} == play(script).holders()


def test_a_start_waits_for_a_node_that_comes_up(play) -> None:
    """What runs on a node that answers a moment later is taken over, and not made again."""

    async def script(lab: Lab) -> None:
        lab.nodes["b"].replicas = {"Server1": running("Server1")}
        lab.nodes["b"].joined.clear()
        asyncio.get_running_loop().call_later(BEGIN_S / 2, lab.nodes["b"].joined.set)
        assert [running("Server1")] == await lab.one.list()

    assert {"Server1": "b"} == play(script).holders()


def test_a_drained_node_loses_what_it_has_and_gets_nothing(play) -> None:
    """Its replicas are not taken over; new ones go to the others, though they have more."""

    async def script(lab: Lab) -> None:
        lab.nodes["a"].replicas = {"Server1": running("Server1")}
        lab.nodes["b"].replicas = {"Server2": running("Server2", 2)}
        assert [running("Server2", 2)] == await lab.one.list()
        await lab.make(1, 3, 4)
        await asyncio.sleep(SWEPT_S)

    holders = {"Server1": "c", "Server2": "b", "Server3": "b", "Server4": "c"}
    assert holders == play(script, drained=("a",)).holders()
