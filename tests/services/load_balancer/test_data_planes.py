"""Several data planes with one routing table, each a process, between real sockets on loopback."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import quick_provisioner

WaitUntil = Callable[[Callable[[], object]], None]
FreePort = Callable[[], int]

TIMEOUT_S = 20
SETTLING_S = 1.0
NAMES = ["Server1", "Server2", "Server3"]
BATCH = 250  # pipelined, and less than --max-pipelined-bytes
REPLICA = re.compile(rb"X-Replica: ([^\r]+)\r\n")
STATUS = re.compile(rb"HTTP/1\.1 (\d+) ")


class Service:
    """A load balancer that runs, by these arguments; `lines` is what it has logged."""

    def __init__(self, port: int, arguments: Sequence[object], log: Path) -> None:
        self.port = port
        self._log = log
        self._command = [sys.executable, "-m", "load_balancer", "--bind", f"127.0.0.1:{port}"]
        self._command += map(str, arguments)
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.child = subprocess.Popen(self._command, stderr=log)

    def kill(self) -> None:
        self.child.kill()
        self.child.wait(timeout=TIMEOUT_S)

    def stop(self) -> int:
        self.child.terminate()
        return self.child.wait(timeout=TIMEOUT_S)

    @property
    def lines(self) -> list[str]:
        return self._log.read_text().splitlines()

    def says(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        with closing(connection):
            headers["Content-Type"] = "application/json"
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            return response, response.read()

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """An admin call that succeeds; its answer."""
        response, answer = self.ask(method, path, body)
        assert response.status == 200, answer
        return json.loads(answer)

    def answers(self) -> bool:
        with suppress(OSError):
            return self.ask("GET", "/rep")[0].status == 200
        return False

    def replicas(self) -> list[str]:
        return self.call("GET", "/rep")["message"]["replicas"]

    def metric(self, name: str) -> list[float]:
        """All values of that name, whatever their labels."""
        text = self.ask("GET", "/metrics")[1].decode()
        return [
            float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if re.match(rf"{name}[ {{]", line)
        ]

    def routes(self, keys: Sequence[int]) -> list[str]:
        """Who answers each key, asked over one connection."""
        found: list[bytes] = []
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as client:
            for at in range(0, len(keys), BATCH):
                batch = keys[at : at + BATCH]
                client.sendall(
                    b"".join(
                        b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: %d\r\n\r\n" % key
                        for key in batch
                    )
                )
                answers = b""
                while answers.count(b"hello") < len(batch):
                    part = client.recv(1 << 20)
                    assert part, answers
                    answers += part
                assert {b"200"} == set(STATUS.findall(answers))
                found += REPLICA.findall(answers)
        assert len(keys) == len(found)
        return [name.decode() for name in found]


class Planes:
    """Services that are ended with the test, and the provisioner of one of them."""

    def __init__(self, folder: Path, free_port: FreePort, wait_until: WaitUntil) -> None:
        self.folder = folder
        self.provisioner_socket = folder / "provisioner.sock"
        self.free_port = free_port
        self._wait_until = wait_until
        self._made: list[Service] = []
        self._provisioner = subprocess.Popen(
            [sys.executable, quick_provisioner.__file__, str(self.provisioner_socket)]
        )
        wait_until(self.provisioner_socket.exists)

    def start(self, *arguments: object, wait: bool = True) -> Service:
        port = self.free_port()
        service = Service(port, arguments, self.folder / f"log-{port}")
        self._made.append(service)
        if wait:
            self._wait_until(lambda: service.says("serving on"))
        return service

    def control(self, *arguments: object) -> Service:
        """One that manages NAMES, and is followed at `place`."""
        self.place = f"127.0.0.1:{self.free_port()}"
        service = self.start(
            *("--followers", self.place, "--provisioner-socket", self.provisioner_socket),
            *("--state-file", self.folder / "state.json", *arguments),
        )
        service.call("PUT", "/rep", {"hostnames": NAMES})
        return service

    def follower(self, *arguments: object) -> Service:
        return self.start("--follow", self.place, *arguments)

    def release(self, hostname: str) -> None:
        """Its answers that are held."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.provisioner_socket))
            client.sendall(
                b"POST /replicas/%b/release HTTP/1.1\r\nHost: p\r\n\r\n" % hostname.encode()
            )
            assert client.recv(1000).startswith(b"HTTP/1.1 204 ")

    def close(self) -> None:
        for service in self._made:
            service.kill()
        self._provisioner.kill()
        self._provisioner.wait()


@pytest.fixture
def planes(tmp_path: Path, free_port: FreePort, wait_until: WaitUntil) -> Iterator[Planes]:
    with closing(Planes(tmp_path, free_port, wait_until)) as made:
        yield made


@pytest.fixture(scope="module")
def one(
    tmp_path_factory: pytest.TempPathFactory, free_port: FreePort, wait_until: WaitUntil
) -> Iterator[tuple[Planes, Service, Service]]:
    """A control plane and its follower, for tests that leave them as they are."""
    folder = tmp_path_factory.mktemp("planes")
    with closing(Planes(folder, free_port, wait_until)) as made:
        yield made, made.control(), made.follower()


def both_at_once(first: Service, second: Service, keys: Sequence[int]) -> list[list[str]]:
    """Who answers each key, of both."""
    found: dict[int, list[str]] = {}
    threads = [
        threading.Thread(target=lambda at=at, each=each: found.update({at: each.routes(keys)}))
        for at, each in enumerate((first, second))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[0], found[1]]


def settle(control: Service) -> None:
    """Returns when all followers serve by the present table; fails after SETTLING_S."""
    deadline = time.monotonic() + SETTLING_S
    while True:
        (version,) = control.metric("ringlab_table_version_total")
        followers = control.metric("ringlab_follower_table_version")
        if set(followers) == {version}:
            return
        assert time.monotonic() < deadline, (version, followers)


# The same table


def test_the_same_key_goes_to_the_same_replica(planes: Planes, wait_until: WaitUntil) -> None:
    """On both data planes, for 100,000 keys in all, while replicas come, go and die and the ring
    changes: as soon as a command has answered, and within a second of what nobody commanded."""
    control = planes.control()
    first, second = planes.follower(), planes.follower()
    keys = iter(range(100_000))

    def check(expected: Sequence[str]) -> None:
        asked = [next(keys) for _ in range(10_000)]
        of_first, of_second = both_at_once(first, second, asked)
        assert of_first == of_second
        assert set(expected) == set(of_first)

    check(NAMES)
    control.call("POST", "/add", {"n": 2, "hostnames": ["Server4", "Server5"]})
    check([*NAMES, "Server4", "Server5"])
    control.call("DELETE", "/rm", {"n": 1, "hostnames": ["Server2"]})
    check(["Server1", "Server3", "Server4", "Server5"])
    first.call("PUT", "/rep", {"hostnames": NAMES})  # by a follower, which passes it on
    check(NAMES)
    for ring in ({"algorithm": "rendezvous"}, {"algorithm": "jump"}, {"preset": "assignment"}):
        control.call("PUT", "/ring", ring)
        check(NAMES)
    for hostname in ("Server1", "Server3"):
        replaced = control.metric("ringlab_replacements_total")[0]
        control.call("POST", "/crash", {"hostname": hostname})
        wait_until(
            lambda replaced=replaced: control.metric("ringlab_replacements_total")[0] > replaced
        )
        settle(control)
        check(NAMES)
    second.call("PUT", "/ring", {"preset": "default", "load_factor": None})
    check(NAMES)
    assert next(keys, None) is None


def test_a_control_plane_that_is_killed(planes: Planes, wait_until: WaitUntil) -> None:
    """Both data planes serve on, and say how old their table is; they take changes when it is
    back."""
    control = planes.control()
    first, second = planes.follower(), planes.follower()
    before = first.routes(range(2000))
    version = int(control.metric("ringlab_table_version_total")[0])
    control.kill()
    for each in (first, second):
        assert before == each.routes(range(2000))
        response, body = each.ask("GET", "/rep")
        assert response.status == 503
        answer = json.loads(body)
        assert answer["status"] == "failure"
        told = re.fullmatch(
            r"<Error> the control plane does not answer; serving table (\d+), (\d+\.\d) s old",
            answer["message"],
        )
        assert told is not None, answer
        assert (version, True) == (int(told[1]), 0 <= float(told[2]) < TIMEOUT_S)
        assert each.says(f"no control plane at {planes.place}")

    def age_s(service: Service) -> float:
        message = json.loads(service.ask("GET", "/rep")[1])["message"]
        return float(message.split()[-3])

    wait_until(lambda: age_s(first) >= 1.0)
    assert before == second.routes(range(2000))
    control.start()
    wait_until(lambda: all(each.answers() for each in (control, first, second)))
    assert first.says(" s without")
    control.call("DELETE", "/rm", {"n": 1, "hostnames": ["Server2"]})
    after = first.routes(range(2000))
    assert after == second.routes(range(2000)) == control.routes(range(2000))
    assert {"Server1", "Server3"} == set(after)


def test_either_side_ends_as_it_should(planes: Planes, wait_until: WaitUntil) -> None:
    """SIGTERM: the control plane leaves its followers serving, a follower its control plane; none
    of them complains."""
    control = planes.control("--workers", 2)
    first, second = planes.follower(), planes.follower()
    assert 0 == first.stop()
    wait_until(lambda: len(control.metric("ringlab_follower_table_version")) == 2)
    assert 0 == control.stop()
    assert set(NAMES) == set(second.routes(range(500)))
    assert 0 == second.stop()
    for each in (control, first, second):
        assert not each.says("Traceback")
        assert not each.says('"level": "error"')


# Who leaves, who dies


def test_a_leaving_replica_answers_followers_first(planes: Planes, wait_until: WaitUntil) -> None:
    """/rm returns when what a follower has in flight is answered, and not earlier."""
    control = planes.control()
    follower = planes.follower()
    answered: list[tuple[int, bytes]] = []
    removed = threading.Event()

    def hold() -> None:
        response, body = follower.ask("GET", "/hold", **{"X-Request-ID": key})
        answered.append((response.status, body))

    def remove() -> None:
        control.call("DELETE", "/rm", {"n": 1, "hostnames": ["Server2"]})
        removed.set()

    key = str(next(n for n in range(100) if follower.routes([n]) == ["Server2"]))
    holding, removing = threading.Thread(target=hold), threading.Thread(target=remove)
    holding.start()
    wait_until(lambda: sum(control.metric("ringlab_in_flight")) == 1)
    removing.start()
    wait_until(lambda: control.replicas() == ["Server1", "Server3"])
    settle(control)
    assert "Server2" not in follower.routes(range(500))
    assert not removed.wait(0.3)
    assert not answered
    planes.release("Server2")
    holding.join(TIMEOUT_S)
    removing.join(TIMEOUT_S)
    assert removed.is_set()
    assert [(200, b"hello")] == answered


def test_coming_going_and_dying_cost_no_answer(planes: Planes, wait_until: WaitUntil) -> None:
    """Under load on all data planes, one by way of two workers, replicas are added, removed and
    killed: every request is answered."""
    control = planes.control("--workers", 2)
    services = [control, planes.follower(), planes.follower()]
    wait_until(lambda: len(control.metric("ringlab_follower_table_version")) == 3)
    done, num_asked = threading.Event(), Counter[int]()
    failures: list[BaseException] = []

    def load(number: int, service: Service) -> None:
        try:
            while not done.is_set():
                service.routes(range(100))  # each is 200, or it fails
                num_asked[number] += 100
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=load, args=each) for each in enumerate(2 * services)]
    for thread in threads:
        thread.start()
    try:
        for number in range(4, 7):
            control.call("POST", "/add", {"n": 1, "hostnames": [f"Server{number}"]})
            services[1].call("DELETE", "/rm", {"n": 1, "hostnames": [f"Server{number - 3}"]})
            before = control.metric("ringlab_replacements_total")[0]
            control.call("POST", "/crash", {"hostname": f"Server{number}"})
            wait_until(
                lambda before=before: control.metric("ringlab_replacements_total")[0] > before
            )
        asked = num_asked.copy()
        wait_until(lambda: failures or all(num_asked[at] > asked[at] for at in range(6)))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert [] == failures
    settle(control)
    assert {"Server4", "Server5", "Server6"} == set(services[2].routes(range(500)))


def test_what_a_follower_is_refused_makes_a_replica_suspect(
    planes: Planes, wait_until: WaitUntil
) -> None:
    """It is out of the table before a heartbeat could tell, and its keys are answered by others."""
    control = planes.control("--heartbeat-interval-s", 60)
    follower = planes.follower()
    key = next(n for n in range(100) if follower.routes([n]) == ["Server2"])
    control.call("POST", "/crash", {"hostname": "Server2"})
    follower.routes([key])  # answered, by whomever
    wait_until(lambda: control.metric("ringlab_replacements_total") == [1])
    settle(control)
    assert ["Server2"] == follower.routes([key])


# Admin calls by way of a follower


def test_an_admin_token_is_wanted_of_followers_clients(planes: Planes) -> None:
    """It is the control plane's, which looks at it."""
    planes.place = f"127.0.0.1:{planes.free_port()}"
    planes.start("--followers", planes.place, "--admin-token", "s3cret")
    follower = planes.follower("--bind", f"0.0.0.0:{(port := planes.free_port())}")
    follower.port = port
    assert 401 == follower.ask("GET", "/rep")[0].status
    assert 200 == follower.ask("GET", "/rep", Authorization="Bearer s3cret")[0].status


def test_a_follower_is_no_way_round_a_token(planes: Planes) -> None:
    """Beyond loopback it passes no admin call on to one that asks for none."""
    control = planes.control()
    follower = planes.follower("--bind", f"0.0.0.0:{(port := planes.free_port())}")
    follower.port = port
    response, body = follower.ask("GET", "/rep")
    assert (403, "failure") == (response.status, json.loads(body)["status"])
    assert "without an --admin-token" in json.loads(body)["message"]
    assert control.routes(range(500)) == follower.routes(range(500))


# Counts


def test_counters_are_summed(planes: Planes, wait_until: WaitUntil) -> None:
    """Those of all data planes, the one that has ended included; and live pages get them."""
    control = planes.control()
    followers = [planes.follower(), planes.follower()]
    for number, each in enumerate([control, *followers], start=1):
        each.routes(range(100 * number))
    wait_until(lambda: sum(control.metric("ringlab_requests_total")) == 600)
    assert 600 == sum(control.metric("ringlab_latency_seconds_count"))
    assert 2 == len(control.metric("ringlab_follower_table_version"))
    assert 0 == followers[1].stop()
    wait_until(lambda: len(control.metric("ringlab_follower_table_version")) == 1)
    assert 600 == sum(control.metric("ringlab_requests_total"))
    with socket.create_connection(("127.0.0.1", followers[0].port), TIMEOUT_S) as client:
        client.sendall(b"GET /events?live=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = b""
        while not (live := re.search(rb"event: live\ndata: (.*)\n", told)):
            told += client.recv(65_536)
    assert 600 == sum(each["answered"] for each in json.loads(live[1])["replicas"].values())


def test_live_pages_see_requests_of_followers(planes: Planes) -> None:
    """While somebody looks on, some of what a follower has answered lands on the page, too."""
    control = planes.control()
    follower = planes.follower()
    with socket.create_connection(("127.0.0.1", control.port), TIMEOUT_S) as client:
        client.sendall(b"GET /events?live=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        told = b""
        while b'"requests": [{"replica": "Server' not in told:
            follower.routes(range(50))
            client.settimeout(0.05)
            with suppress(TimeoutError):
                told += client.recv(65_536)


# Peers that are none


def said_to_followers(place: str, *lines: bytes) -> bytes:
    """All that the control plane answers, until it hangs up."""
    host, _, port = place.rpartition(":")
    with socket.create_connection((host, int(port)), TIMEOUT_S) as peer:
        with suppress(ConnectionError):
            for line in lines:
                peer.sendall(line)
        told = b""
        with suppress(ConnectionError):
            while part := peer.recv(65_536):
                told += part
    return told


HELLO = b'{"kind": "hello", "name": "stranger", "process": "1", "token": "%b"}\n'


@pytest.mark.parametrize(
    "lines",
    [
        [b"GET / HTTP/1.1\r\n\r\n"],
        [HELLO % b"", b'{"kind": "serving", "version": "soon"}\n'],
        [HELLO % b"", HELLO % b""],
        [b"x" * 3_000_000],
    ],
    ids=["HTTP", "bad value", "hello twice", "no end"],
)
def test_a_peer_that_is_no_follower(
    one: tuple[Planes, Service, Service], lines: list[bytes]
) -> None:
    """Its connection ends with a reason; nobody else's does."""
    planes, control, follower = one
    before = len(control.lines)
    assert b'"kind":"refusal"' in said_to_followers(planes.place, *lines)
    assert any("is refused: " in line for line in control.lines[before:])
    assert follower.replicas() == NAMES
    assert 1 == len(control.metric("ringlab_follower_table_version"))


def test_a_follower_needs_the_token(planes: Planes, wait_until: WaitUntil) -> None:
    """Without it, it gets no table, and says why; with it, it does."""
    control = planes.control("--followers-token", "s3cret")
    assert b'"kind":"snapshot"' not in said_to_followers(planes.place, HELLO % b"guess")
    stranger = planes.start("--follow", planes.place, wait=False)
    wait_until(lambda: stranger.says("it refuses us: token must be that of --followers-token"))
    assert not stranger.answers()
    friend = planes.follower("--followers-token", "s3cret")
    assert control.routes(range(500)) == friend.routes(range(500))
    assert 0 == stranger.stop()
    assert "s3cret" not in "".join(control.lines + friend.lines + stranger.lines)


def test_what_a_follower_is_sent_that_is_no_snapshot(
    planes: Planes, free_port: FreePort, wait_until: WaitUntil
) -> None:
    """It hangs up, and looks for a better control plane at the same address."""
    place = f"127.0.0.1:{free_port()}"
    follower = planes.start("--follow", place, wait=False)
    with socket.create_server(("127.0.0.1", int(place.rpartition(":")[2]))) as listening:
        listening.settimeout(TIMEOUT_S)
        peer, _ = listening.accept()
        peer.sendall(b'{"kind": "snapshot", "version": 1, "ring": {}, "replicas": []}\n')
        peer.settimeout(TIMEOUT_S)
        while peer.recv(65_536):
            pass
        peer.close()
        wait_until(lambda: follower.says("the snapshot's ring is none"))
        listening.accept()[0].close()
    assert follower.child.poll() is None


def test_a_follower_that_hangs_delays_nobody_for_long(
    planes: Planes, wait_until: WaitUntil
) -> None:
    """A command waits a second for it; after three it counts as gone."""
    control = planes.control()
    frozen = planes.follower()
    frozen.child.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    control.call("PUT", "/ring", {"preset": "assignment"})
    assert 0.9 * SETTLING_S < time.monotonic() - began < 3 * SETTLING_S
    wait_until(lambda: control.metric("ringlab_follower_table_version") == [])
    frozen.child.send_signal(signal.SIGCONT)
    wait_until(lambda: len(control.metric("ringlab_follower_table_version")) == 1)
    settle(control)
    assert control.routes(range(1000)) == frozen.routes(range(1000))
