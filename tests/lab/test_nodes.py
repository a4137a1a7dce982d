"""One lab over two nodes: two provisioners that are called over TCP, each with its processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from labs import Lab, eventually, free_port
from load import SteadyStream

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

TOKEN = "a-token-of-the-tests"
NAMES = ["Server1", "Server2", "Server3", "Server4"]


class Node:
    """A provisioner with a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self._folder = folder
        environment = os.environ | {
            "PROVISIONER_RUNTIME": "process",
            "PROVISIONER_SOCKET": str(folder / "s"),
            "PROVISIONER_DIRECTORY": str(folder / "replicas"),
            "PROVISIONER_BIND": self.address,
            "PROVISIONER_TOKEN": TOKEN,
        }
        self.process = subprocess.Popen([sys.executable, "-m", "provisioner"], env=environment)

    def replicas(self) -> dict[str, int]:
        """Hostname → pid of those that have a record here."""
        found = {}
        for path in self._folder.rglob("*.json"):
            with suppress(FileNotFoundError):  # removed meanwhile
                record = json.loads(path.read_text())
                found[record["hostname"]] = record["process"]["pid"]
        return found

    def fall(self) -> None:
        """The machine is lost, as far as the others can tell; its disk keeps what it had."""
        self.process.send_signal(signal.SIGSTOP)
        for pid in self.replicas().values():
            os.kill(pid, signal.SIGSTOP)

    def rise(self) -> None:
        for pid in self.replicas().values():
            os.kill(pid, signal.SIGCONT)
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait(timeout=20)
        for pid in self.replicas().values():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[dict[str, Node]]:
    made: dict[str, Node] = {}
    try:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            made[name] = Node(tmp_path / name)
        yield made
    finally:
        for node in made.values():
            node.close()


@pytest.fixture
def lab(tmp_path: Path, nodes: dict[str, Node]) -> Iterator[Lab]:
    """Four replicas, two on each node."""
    lab = Lab("ringlab-nodes", "process", free_port())
    environment = os.environ | {
        "LOAD_BALANCER_BIND": f"127.0.0.1:{lab.port}",
        "LOAD_BALANCER_STATE_FILE": str(tmp_path / "state.json"),
        "LOAD_BALANCER_PROVISIONER": ",".join(
            f"{name}={node.address}" for name, node in nodes.items()
        ),
        "LOAD_BALANCER_PROVISIONER_TOKEN": TOKEN,
    }
    process = subprocess.Popen([sys.executable, "-m", "load_balancer"], env=environment)
    try:
        eventually(lab.answers, within_s=30)
        assert 200 == lab.call("PUT", "/rep", json={"hostnames": NAMES}).status_code
        yield lab
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_a_node_falls_and_rises(lab: Lab, nodes: dict[str, Node]) -> None:
    """Its replicas are replaced on the other node within 15 s, and no request fails; when it is
    back, nothing runs twice, and nothing is left over."""
    one, two = nodes.values()
    assert (2, 2) == (len(one.replicas()), len(two.replicas()))
    with SteadyStream(lab.url) as stream:
        two.fall()
        eventually(lambda: one.replicas().keys() == set(NAMES), within_s=15)
        eventually(lambda: lab.replicas() == NAMES, within_s=15)
        two.rise()
        eventually(lambda: two.replicas() == {}, within_s=15)
    assert [] == stream.failures
    assert stream.sent > 0
    assert set(NAMES) == one.replicas().keys()


def test_faults_reach_a_replica_on_any_node(lab: Lab, nodes: dict[str, Node]) -> None:
    """/crash ends it on whichever node it is, and it is replaced; /pause and /resume likewise."""
    before = nodes["one"].replicas() | nodes["two"].replicas()
    for hostname in NAMES:
        assert 200 == lab.call("POST", "/crash", json={"hostname": hostname}).status_code

    def all_are_new() -> bool:
        now = nodes["one"].replicas() | nodes["two"].replicas()
        return now.keys() == before.keys() and all(now[name] != before[name] for name in NAMES)

    eventually(all_are_new, within_s=15)
    eventually(lambda: lab.replicas() == NAMES, within_s=15)
    for fault in ("pause", "resume"):
        for hostname in ("Server1", "Server2"):
            status = lab.call("POST", f"/{fault}", json={"hostname": hostname}).status_code
            assert status in (200, 409)  # 409: found frozen, and replaced, before it was thawed
