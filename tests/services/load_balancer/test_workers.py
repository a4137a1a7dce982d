"""One data plane per core: worker processes that share a port and a routing table."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

WaitUntil = Callable[[Callable[[], object]], None]
FreePort = Callable[[], int]

TIMEOUT_S = 20
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Replica:
    """Answers at once, but for /hold, which is answered by `release`."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listening.getsockname()[1]
        self.held: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def release(self) -> None:
        for connection in self.held:
            connection.sendall(HELLO)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        for thread in self._threads:
            thread.join(TIMEOUT_S)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._threads.append(threading.Thread(target=self._read, args=[connection]))
                self._threads[-1].start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while data := connection.recv(65_536):
                if data.startswith(b"GET /hold "):
                    self.held.append(connection)
                else:
                    connection.sendall(HELLO)


class Balancer:
    """With three workers."""

    def __init__(self, port: int, replica: Replica, log: Path) -> None:
        self.port = port
        self._log = log
        command = [sys.executable, "-m", "load_balancer", f"--bind=127.0.0.1:{port}"]
        with log.open("wb") as stderr:
            self.child = subprocess.Popen(
                [*command, "--workers=3", f"--replica=Server1=127.0.0.1:{replica.port}"],
                stderr=stderr,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def workers(self) -> list[int]:
        """Process ids of its children."""
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children").read_text()
        return sorted(map(int, children.split()))

    def ask(self, path: str = "/home") -> tuple[int, bytes]:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        with closing(client):
            client.request("GET", path, headers={"Accept": "application/json"})
            response = client.getresponse()
            return response.status, response.read()

    def followers(self) -> list[bytes]:
        _, text = self.ask("/metrics")
        return [
            line
            for line in text.splitlines()
            if line.startswith(b"ringlab_follower_table_version{")
        ]

    def is_whole(self) -> bool:
        return len(self.followers()) == 2

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in json.loads(self.ask("/events")[1]) if each["kind"] == kind]


def runs(pid: int) -> bool:
    """Whether there is such a process, one that has ended and is not yet waited for apart."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.fixture
def replica() -> Iterator[Replica]:
    with closing(Replica()) as made:
        yield made


@pytest.fixture
def balancer(
    replica: Replica, tmp_path: Path, free_port: FreePort, wait_until: WaitUntil
) -> Iterator[Balancer]:
    made = Balancer(free_port(), replica, tmp_path / "log")
    wait_until(lambda: made.child.poll() is not None or made.is_whole())
    yield made
    made.child.kill()
    made.child.wait()


def test_all_workers_are_asked(balancer: Balancer, wait_until: WaitUntil) -> None:
    """Connections go to each of them, admin calls to the one admin API by way of each, and the
    counts of all are summed."""
    for _ in range(100):
        assert (200, b"hello") == balancer.ask()
        assert 200 == balancer.ask("/rep")[0]

    def counted() -> float:
        _, text = balancer.ask("/metrics")
        counts = [
            line.split() for line in text.splitlines() if line.startswith(b"ringlab_requests_total")
        ]
        return sum(float(count) for _, count in counts)

    wait_until(lambda: counted() == 100)
    pids = [balancer.child.pid, *balancer.workers]
    clients = [http.client.HTTPConnection("127.0.0.1", balancer.port) for _ in range(60)]
    for client in clients:
        client.request("GET", "/hello")
        assert b"hello" == client.getresponse().read()
    open_before = [num_descriptors(pid) for pid in pids]
    for client in clients:
        client.close()

    def closed() -> list[int]:
        return [start - num_descriptors(pid) for pid, start in zip(pids, open_before, strict=True)]

    wait_until(lambda: sum(closed()) >= 60)
    assert all(each > 2 for each in closed())


def num_descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_worker_that_is_killed_under_load(balancer: Balancer, wait_until: WaitUntil) -> None:
    """Another takes its place; only what it had itself is lost, and connections made anew are
    answered."""
    outcomes: Counter[str] = Counter()
    done = threading.Event()

    def load() -> None:
        while not done.is_set():
            try:
                outcomes[str(balancer.ask()[0])] += 1
            except (OSError, http.client.HTTPException):
                outcomes["lost"] += 1

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        victim, other = balancer.workers
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: victim not in balancer.workers and len(balancer.workers) == 2)
        assert other in balancer.workers
        wait_until(balancer.is_whole)
        answered = outcomes["200"]
        wait_until(lambda: outcomes["200"] > answered + 50)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert {"200", "lost"} >= outcomes.keys()
    # What waits to be accepted by a process that is killed is reset by the kernel.
    assert outcomes["lost"] <= 2 * len(threads)
    assert [{"worker": 2, "status": -9}, {"worker": 3, "status": -9}].count(
        {name: balancer.events("ended")[0][name] for name in ("worker", "status")}
    )


def test_a_worker_that_is_told_to_end(balancer: Balancer, wait_until: WaitUntil) -> None:
    """It answers what it has, and another takes its place."""
    before = balancer.workers
    os.kill(before[0], signal.SIGTERM)
    wait_until(lambda: len(balancer.workers) == 2 and before[0] not in balancer.workers)
    wait_until(balancer.is_whole)
    (event,) = balancer.events("ended")
    assert 0 == event["status"]


def test_they_end_together(balancer: Balancer, replica: Replica, wait_until: WaitUntil) -> None:
    """SIGTERM to the first: no new connection, all that is in flight is answered, by whichever
    worker; and nobody is left."""
    answers: list[tuple[int, bytes]] = []
    asking = [
        threading.Thread(target=lambda: answers.append(balancer.ask("/hold"))) for _ in range(12)
    ]
    for thread in asking:
        thread.start()
    wait_until(lambda: len(replica.held) == 12)
    workers = balancer.workers
    balancer.child.terminate()

    def is_refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", balancer.port), TIMEOUT_S).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(is_refused)
    assert balancer.child.poll() is None
    replica.release()
    for thread in asking:
        thread.join()
    assert 12 * [(200, b"hello")] == answers
    assert 0 == balancer.child.wait(timeout=TIMEOUT_S)
    assert not any(map(runs, workers))
    assert "Traceback" not in balancer.log


def test_they_do_not_outlive_the_first(balancer: Balancer, wait_until: WaitUntil) -> None:
    """SIGKILL to it: they end by themselves, though they could serve on."""
    workers = balancer.workers
    assert all(map(runs, workers))
    balancer.child.kill()
    balancer.child.wait()
    wait_until(lambda: not any(map(runs, workers)))


def test_one_is_the_default(
    replica: Replica, tmp_path: Path, free_port: FreePort, wait_until: WaitUntil
) -> None:
    """Then there is no other process, and nobody to follow."""
    port = free_port()
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "load_balancer", f"--bind=127.0.0.1:{port}"),
            f"--replica=Server1=127.0.0.1:{replica.port}",
        ]
    )
    wait_until(lambda: not socket.create_connection(("127.0.0.1", port)).close())
    assert "" == Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text()
    child.terminate()
    assert 0 == child.wait(timeout=TIMEOUT_S)
