"""The load balancer as a process, between real sockets on loopback."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import queue
import random
import resource
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

TIMEOUT_S = 10
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
LAST_HELLO = HELLO.replace(b"Content", b"Connection: close\r\nContent")


class Process:
    """A load balancer that runs; `lines` is what it has written to standard error."""

    def __init__(self, port: int, arguments: list[str], log: Path) -> None:
        self.port = port
        self._log = log
        with log.open("wb") as standard_error:
            self.child = subprocess.Popen(
                [sys.executable, "-m", "load_balancer", "--bind", f"127.0.0.1:{port}", *arguments],
                stderr=standard_error,
            )

    @property
    def lines(self) -> list[str]:
        return self._log.read_text().splitlines()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S)

    def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        payload = json.dumps(body) if isinstance(body, dict) else body
        if isinstance(body, dict):
            headers["Content-Type"] = "application/json"
        with closing(connection):
            connection.request(method, path, payload, headers)
            response = connection.getresponse()
            return response, response.read()

    def replicas(self) -> list[str]:
        return json.loads(self.ask("GET", "/rep")[1])["message"]["replicas"]

    def stop(self) -> int:
        """Its exit code, after a request to end."""
        self.child.terminate()
        return self.child.wait(timeout=TIMEOUT_S)


class Replica:
    """Answers heartbeats by itself; every other connection is handed to the test, with what has
    come on it up to the end of a head."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listening]
        self._asked: queue.Queue[tuple[socket.socket, bytes]] = queue.Queue()
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def asked(self) -> tuple[socket.socket, bytes]:
        return self._asked.get(timeout=TIMEOUT_S)

    @property
    def is_asked(self) -> bool:
        return not self._asked.empty()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                connection.settimeout(TIMEOUT_S)
                self._open.append(connection)
                threading.Thread(target=self._read, args=[connection], daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError):
            request = receive(connection, lambda data: b"\r\n\r\n" in data)
            if request.startswith(b"GET /heartbeat "):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                connection.close()
            elif request:
                self._asked.put((connection, request))


def receive(connection: socket.socket, is_enough: Callable[[bytes], object]) -> bytes:
    """What comes until it is enough, or until the end."""
    data = b""
    while not is_enough(data) and (part := connection.recv(65_536)):
        data += part
    return data


def to_the_end(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65_536), b""))


Start = Callable[..., Process]


@pytest.fixture(scope="module")
def start(
    tmp_path_factory: pytest.TempPathFactory, free_port: FreePort, wait_until: WaitUntil
) -> Iterator[Start]:
    """Start a load balancer with these arguments; unless told otherwise, wait until it listens."""
    made: list[Process] = []

    def run(*arguments: object, wait: bool = True) -> Process:
        log = tmp_path_factory.mktemp("load_balancer") / "standard_error"
        process = Process(free_port(), list(map(str, arguments)), log)
        made.append(process)
        if wait:
            wait_until(lambda: process.child.poll() is not None or not process.connect().close())
            assert process.child.poll() is None, process.lines
        return process

    yield run
    for process in made:
        process.child.kill()
        process.child.wait()


@pytest.fixture(scope="module")
def shared_replica() -> Iterator[Replica]:
    with closing(Replica()) as made:
        yield made


@pytest.fixture(scope="module")
def balancer(start: Start, shared_replica: Replica) -> Process:
    """One in front of the scripted replica, for all tests that leave it running."""
    return start(f"--replica=Server1=127.0.0.1:{shared_replica.port}")


@pytest.fixture
def replica(shared_replica: Replica) -> Replica:
    assert not shared_replica.is_asked
    return shared_replica


# Both wires


def test_a_request_on_both_wires(balancer: Process, replica: Replica) -> None:
    """What the replica gets, and what the client gets."""
    with balancer.connect() as client:
        client.sendall(b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: 7\r\n\r\n")
        upstream, request = replica.asked()
        upstream.sendall(LAST_HELLO)
        answer = receive(client, lambda data: data.endswith(b"hello"))
    assert request == (
        b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Forwarded-For: 127.0.0.1\r\n"
        b"X-Forwarded-Host: lab\r\nX-Forwarded-Proto: http\r\nVia: 1.1 ringlab\r\n"
        b"X-Request-ID: 7\r\n\r\n"
    )
    assert answer == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nVia: 1.1 ringlab\r\nX-Replica: Server1\r\n"
        b"X-Request-ID: 7\r\n\r\nhello"
    )


def test_a_half_closed_client_is_answered(balancer: Process, replica: Replica) -> None:
    """As `nc` and simple scripts do it; then the connection ends."""
    with balancer.connect() as client:
        client.sendall(b"GET /home HTTP/1.0\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        upstream, _ = replica.asked()
        upstream.sendall(LAST_HELLO)
        assert to_the_end(client).endswith(b"\r\n\r\nhello")


def test_a_refused_request_ends_the_connection(balancer: Process) -> None:
    """With its answer, though the client goes on sending for a while."""
    with balancer.connect() as client:
        client.sendall(b"nonsense\r\n\r\n" + b"a" * 1_000_000)
        answer = to_the_end(client)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b'"status": "failure"}\n')


def test_the_access_log(start: Start, replica: Replica, tmp_path: Path) -> None:
    """A line of JSON for each answer, whoever gave it, all of them written at the end."""
    path = tmp_path / "access.log"
    process = start(f"--replica=Server1=127.0.0.1:{replica.port}", "--access-log", str(path))
    with process.connect() as client:
        for request_id in (1, 2, 3):  # the third comes like the second, and is passed on unparsed
            client.sendall(b"GET /home?a=%d HTTP/1.1\r\nHost: lab\r\n" % min(request_id, 2))
            client.sendall(b"X-Request-ID: %d\r\n\r\n" % request_id)
            if request_id == 1:
                upstream, _ = replica.asked()
            else:
                receive(upstream, lambda data: data.endswith(b"\r\n\r\n"))
            upstream.sendall(HELLO)
            receive(client, lambda data: data.endswith(b"hello"))
        client.sendall(b"OPTIONS * HTTP/1.1\r\nHost: lab\r\nMax-Forwards: 0\r\n\r\n")
        receive(client, lambda data: data.endswith(b"\r\n\r\n"))
    with process.connect() as client:
        client.sendall(b"POST /x HTTP/1.1\r\nHost: lab\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n")
        to_the_end(client)
    with process.connect() as client:
        client.sendall(b"nonsense\r\n\r\n")
        to_the_end(client)
    assert process.ask("GET", "/rep")[0].status == 200
    assert process.stop() == 0
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert [
        ("GET", "/home?a=1", 200, "Server1", "1"),
        ("GET", "/home?a=2", 200, "Server1", "2"),
        ("GET", "/home?a=2", 200, "Server1", "3"),
    ] == [
        (each["method"], each["target"], each["status"], each["replica"], each["request_id"])
        for each in entries[:3]
    ]
    assert [("*", 200, None), ("/x", 400, None), ("", 400, None), ("/rep", 200, None)] == [
        (each["target"], each["status"], each["replica"]) for each in entries[3:]
    ]
    assert all(each["client"] == "127.0.0.1" and 0 <= each["latency_s"] < 10 for each in entries)


def test_an_access_log_that_cannot_be_written(
    start: Start, replica: Replica, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """It says so, and serves on."""
    process = start(f"--replica=Server1=127.0.0.1:{replica.port}", "--access-log", str(tmp_path))
    assert process.ask("GET", "/rep")[0].status == 200
    wait_until(lambda: any("access log are lost" in line for line in process.lines))
    assert process.ask("GET", "/rep")[0].status == 200


def test_a_slow_reader_gets_everything(balancer: Process, replica: Replica) -> None:
    """Byte for byte, and what it has not read waits at the replica, not in our memory."""
    body = random.Random(1729).randbytes(32 * 2**20)
    with balancer.connect() as client:
        client.sendall(b"GET /home HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        upstream, _ = replica.asked()
        before = memory_bytes(balancer)
        sending = threading.Thread(
            target=upstream.sendall,
            args=[b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)],
        )
        sending.start()
        receive(client, bool)
        sending.join(0.3)
        assert sending.is_alive()
        assert memory_bytes(balancer) - before < 2 * 2**20
        answer = to_the_end(client)
        sending.join()
    assert answer.endswith(body[-1_000_000:])
    assert len(answer) > len(body) - 65_536


def memory_bytes(process: Process) -> int:
    status = Path(f"/proc/{process.child.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


# The admin API on the same port


def test_the_admin_api_is_on_the_same_port(balancer: Process, replica: Replica) -> None:
    """Its answers, its errors and its limit, through the data plane."""
    response, body = balancer.ask("GET", "/rep")
    assert response.status == 200
    assert json.loads(body) == {
        "message": {"N": 1, "replicas": ["Server1"]},
        "status": "successful",
    }
    response, body = balancer.ask("POST", "/add", {"n": 1})
    assert response.status == 409
    assert "servers that it does not manage" in json.loads(body)["message"]
    response, body = balancer.ask("POST", "/add", {"n": 1, "hostnames": ["a" * 1_000_000]})
    assert (response.status, json.loads(body)) == (
        413,
        {"message": "<Error> the body must be at most 65536 bytes", "status": "failure"},
    )
    response, _ = balancer.ask("GET", "/rep", Host="evil.example")
    assert response.status == 403
    response, body = balancer.ask("GET", "/metrics")
    assert b"\nringlab_client_connections " in body
    assert not replica.is_asked


def test_events_are_told_as_they_happen(start: Start) -> None:
    """Through the data plane, chunk by chunk, until it ends; HEAD takes no stream from others."""
    balancer = start()
    for _ in range(50):
        assert balancer.ask("HEAD", "/events")[0].status == 200
    with balancer.connect() as client:
        client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        receive(client, lambda data: b": ringlab\n\n" in data)
        assert balancer.ask("PUT", "/ring", {"preset": "assignment"})[0].status == 200
        assert b"event: ring\n" in receive(client, lambda data: b"event: ring" in data)
        assert balancer.stop() == 0
        assert to_the_end(client).endswith(b"0\r\n\r\n")


# Ending


def is_refused(process: Process) -> bool:
    try:
        process.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_it_answers_what_is_under_way_and_ends(
    start: Start, replica: Replica, wait_until: WaitUntil
) -> None:
    """SIGTERM: no new connection, the last answer with `close`, exit code 0, no complaint."""
    balancer = start(f"--replica=Server1=127.0.0.1:{replica.port}")
    with balancer.connect() as client:
        client.sendall(b"GET /home HTTP/1.1\r\nHost: lab\r\n\r\n")
        upstream, _ = replica.asked()
        balancer.child.terminate()
        wait_until(lambda: is_refused(balancer))
        upstream.sendall(LAST_HELLO)
        answer = to_the_end(client)
    assert b"Connection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\nhello")
    assert balancer.child.wait(timeout=TIMEOUT_S) == 0
    assert json.loads(balancer.lines[-1])["message"] == "stopping"


def test_another_process_takes_over(
    start: Start, replica: Replica, tmp_path: Path, wait_until: WaitUntil
) -> None:
    """With --reuse-port it listens beside the first, which then ends: no connection is refused."""
    arguments = [f"--replica=Server1=127.0.0.1:{replica.port}", "--reuse-port"]
    first = start(*arguments)
    second = Process(first.port, arguments, tmp_path / "second")
    stop, stop_serving, statuses = threading.Event(), threading.Event(), Counter[int]()

    def serve() -> None:
        while not stop_serving.is_set():
            with suppress(queue.Empty):
                replica._asked.get(timeout=0.1)[0].sendall(LAST_HELLO)

    def ask() -> None:
        while not stop.is_set():
            statuses[first.ask("GET", "/home")[0].status] += 1

    *asking, serving = threads = [threading.Thread(target=each) for each in (ask, ask, serve)]
    try:
        for thread in threads:
            thread.start()
        wait_until(lambda: any("serving" in line for line in second.lines))
        assert first.stop() == 0
        answered = statuses.total()
        wait_until(lambda: statuses.total() > answered + 20)
    finally:
        stop.set()
        for thread in asking:
            thread.join()
        stop_serving.set()
        serving.join()
        second.child.kill()
        second.child.wait()
    assert list(statuses) == [200]


def test_it_ends_while_it_waits_for_the_provisioner(start: Start, tmp_path: Path) -> None:
    """Also before it has begun to serve; by Ctrl-C as well."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "provisioner.sock"))
        silent.listen()
        silent.settimeout(TIMEOUT_S)
        process = start("--provisioner-socket", tmp_path / "provisioner.sock", wait=False)
        waiting, _ = silent.accept()
        process.child.send_signal(signal.SIGINT)
        assert process.child.wait(timeout=TIMEOUT_S) == 0
        waiting.close()


def test_a_port_that_is_taken(start: Start, replica: Replica) -> None:
    """One line that says so, and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(
            "--bind",
            f"127.0.0.1:{port}",
            "--replica",
            f"Server1=127.0.0.1:{replica.port}",
            wait=False,
        )
        assert process.child.wait(timeout=TIMEOUT_S) == 1
    assert process.lines[-1].startswith("load_balancer: ")
    assert "address already in use" in process.lines[-1]
    assert not [line for line in process.lines if "Traceback" in line]


# Failing replicas

RealReplicas = dict[str, tuple[int, "subprocess.Popen[bytes]"]]


@pytest.fixture
def real_replicas(free_port: FreePort) -> Iterator[RealReplicas]:
    """Three processes, by hostname, with their ports."""
    made = {}
    for name in ("Server1", "Server2", "Server3"):
        port = free_port()
        environment = {"SERVER_ID": name, "REPLICA_BIND": f"127.0.0.1:{port}"}
        child = subprocess.Popen([sys.executable, "-m", "replica"], env=os.environ | environment)
        made[name] = (port, child)
    yield made
    for _, child in made.values():
        child.kill()
        child.wait()


def test_failing_replicas_cost_no_answer(
    start: Start, real_replicas: RealReplicas, wait_until: WaitUntil
) -> None:
    """Under a loop of requests one replica hangs, then another is killed: all are answered."""
    process = start(*(f"--replica={n}=127.0.0.1:{port}" for n, (port, _) in real_replicas.items()))
    wait_until(lambda: len(process.replicas()) == 3)
    answered: Counter[str] = Counter()
    done = threading.Event()

    def ask() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)) as client:
            while not done.is_set():
                client.request("GET", "/home")
                response = client.getresponse()
                response.read()
                answered[f"{response.status} {response.headers['X-Replica']}"] += 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number, victim, survivors in [
        (signal.SIGSTOP, "Server2", ["Server1", "Server3"]),
        (signal.SIGKILL, "Server3", ["Server1"]),
    ]:
        wait_until(lambda victim=victim: answered[f"200 {victim}"] > 20)
        real_replicas[victim][1].send_signal(number)
        wait_until(lambda survivors=survivors: process.replicas() == survivors)
    before = answered.total()
    wait_until(lambda: answered.total() > before + 50)
    done.set()
    for thread in threads:
        thread.join()
    assert {answer.split()[0] for answer in answered} == {"200"}


def test_out_of_descriptors(start: Start, replica: Replica, wait_until: WaitUntil) -> None:
    """Without a descriptor for one more, it tells those it has; and serves, once there is room."""
    balancer = start(f"--replica=Server1=127.0.0.1:{replica.port}", "--heartbeat-interval-s", 60)

    def num_descriptors() -> int:
        return len(list(Path(f"/proc/{balancer.child.pid}/fd").iterdir()))

    limit = num_descriptors() + 10
    _, hard = resource.prlimit(balancer.child.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(balancer.child.pid, resource.RLIMIT_NOFILE, (limit, hard))
    clients = [balancer.connect() for _ in range(30)]
    wait_until(lambda: num_descriptors() == limit)
    clients[0].sendall(b"GET /home HTTP/1.1\r\nHost: lab\r\n\r\n")
    answer = receive(clients[0], lambda data: data.endswith(b"}\n"))
    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert b"out of connections" in answer
    for client in clients:
        client.close()

    def is_served() -> bool:
        with balancer.connect() as client:
            client.sendall(b"GET /home HTTP/1.1\r\nHost: lab\r\n\r\n")
            upstream, _ = replica.asked()
            upstream.sendall(LAST_HELLO)
            return receive(client, lambda data: b"hello" in data).endswith(b"hello")

    wait_until(lambda: num_descriptors() < limit)
    assert is_served()
    assert balancer.replicas() == ["Server1"]


# The numbers of the course


class CountingReplica(asyncio.Protocol):
    """Counts what is asked of a hostname, heartbeats apart."""

    def __init__(self, hostname: str, counts: Counter[str]) -> None:
        self._hostname = hostname
        self._counts = counts
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *requests, self._received = (self._received + data).split(b"\r\n\r\n")
        for request in requests:
            self._counts[self._hostname] += not request.startswith(b"GET /heartbeat ")
            self._transport.write(HELLO)


async def ask_all(port: int, ids: Iterator[int]) -> int:
    """Asks for the ids in turn, on one connection; how many were answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = 0
    for request_id in ids:
        writer.write(b"GET /home HTTP/1.1\r\nHost: lab\r\nX-Request-ID: %d\r\n\r\n" % request_id)
        head = await reader.readuntil(b"\r\n\r\n")
        answered += head.startswith(b"HTTP/1.1 200 ") and await reader.readexactly(5) == b"hello"
    writer.close()
    await writer.wait_closed()
    return answered


def test_ten_thousand_requests(start: Start, free_port: FreePort) -> None:
    """A hundred at a time, with the seed's ring: each where the seed's arithmetic sends it."""
    draw = random.Random(42)
    ids = [draw.randint(100_000, 999_999) for _ in range(10_000)]
    ports = {f"Server{number}": free_port() for number in (1, 2, 3)}
    counts: Counter[str] = Counter()

    async def run() -> int:
        loop = asyncio.get_running_loop()
        servers = [
            await loop.create_server(
                lambda name=name: CountingReplica(name, counts), "127.0.0.1", port
            )
            for name, port in ports.items()
        ]
        process = await asyncio.to_thread(
            start,
            "--preset=seed-deployed",
            *(f"--replica={name}=127.0.0.1:{port}" for name, port in ports.items()),
        )
        remaining = iter(ids)
        answered = await asyncio.gather(*(ask_all(process.port, remaining) for _ in range(100)))
        assert await asyncio.to_thread(process.stop) == 0
        for server in servers:
            server.close()
        return sum(answered)

    assert asyncio.run(run()) == 10_000
    assert counts == {"Server1": 3834, "Server2": 3073, "Server3": 3093}
