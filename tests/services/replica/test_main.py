"""The replica as a process: where it listens, how it ends, what it bears."""

import http.client
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

StartReplica = Callable[..., "subprocess.Popen[str]"]
WaitUntil = Callable[[Callable[[], bool]], None]
# More than waitress keeps open by default (100), and than the lab's load test asks for.
NUM_CONNECTIONS = 150


def get(port: int, path: str, timeout_s: float = 10) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listening socket on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        yield bound


@pytest.fixture
def served(start_replica: StartReplica, listener: socket.socket) -> "subprocess.Popen[str]":
    """A replica on the listener, answering."""
    descriptor = listener.fileno()
    environment = {"SERVER_ID": "Server1", "REPLICA_LISTEN_FD": str(descriptor)}
    child = start_replica(environment, pass_fds=[descriptor])
    assert (200, b"") == get(listener.getsockname()[1], "/heartbeat")
    return child


@pytest.mark.usefixtures("served")
def test_serves_an_inherited_socket(listener: socket.socket) -> None:
    """REPLICA_LISTEN_FD is served, and who connected before the start has been kept waiting."""
    status, body = get(listener.getsockname()[1], "/home")
    assert (200, True) == (status, b"Hello from Server: Server1" in body)


@pytest.mark.usefixtures("served")
def test_an_answer_leaves_in_one_piece(listener: socket.socket) -> None:
    """So that one that is struck has answered, or has not."""
    with socket.create_connection(listener.getsockname(), timeout=10) as client:
        for _ in range(200):
            client.sendall(b"GET /home HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"Hello from Server: Server1" in client.recv(4096)


def test_serves_its_own_address(
    start_replica: StartReplica, listener: socket.socket, wait_until: WaitUntil
) -> None:
    """REPLICA_BIND is host:port."""
    port = listener.getsockname()[1]
    listener.close()
    start_replica({"SERVER_ID": "Server1", "REPLICA_BIND": f"127.0.0.1:{port}"})
    wait_until(lambda: get(port, "/heartbeat") == (200, b""))


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_ends_cleanly(served: "subprocess.Popen[str]", signal_number: signal.Signals) -> None:
    """A request to end is followed with exit code 0 and not a word."""
    served.send_signal(signal_number)
    _, errors = served.communicate(timeout=10)
    assert (0, "") == (served.returncode, errors)


def test_survives_a_pause(served: "subprocess.Popen[str]", listener: socket.socket) -> None:
    """A frozen replica accepts and stays silent; thawed, it answers what it was asked."""
    port = listener.getsockname()[1]
    served.send_signal(signal.SIGSTOP)
    with socket.create_connection(("127.0.0.1", port), timeout=0.3) as connection:
        connection.sendall(b"GET /heartbeat HTTP/1.1\r\nHost: replica\r\n\r\n")
        with pytest.raises(TimeoutError):
            connection.recv(1)
        served.send_signal(signal.SIGCONT)
        connection.settimeout(10)
        assert b"HTTP/1.1 200" == connection.recv(12)
    assert (200, b"") == get(port, "/heartbeat")


def test_keeps_many_connections_alive(
    served: "subprocess.Popen[str]", listener: socket.socket
) -> None:
    """All of a large pool's connections are served at once, twice each, and none is closed."""
    port = listener.getsockname()[1]
    connections = [
        http.client.HTTPConnection("127.0.0.1", port, timeout=10) for _ in range(NUM_CONNECTIONS)
    ]
    try:
        for connection in connections:
            connection.connect()
        sockets = [connection.sock for connection in connections]
        for _ in range(2):
            for connection in connections:
                connection.request("GET", "/home")
            for connection in connections:
                response = connection.getresponse()
                response.read()
                assert 200 == response.status
        assert sockets == [connection.sock for connection in connections]
    finally:
        for connection in connections:
            connection.close()
    served.terminate()
    _, errors = served.communicate(timeout=10)
    assert "" == errors, "no line about requests that wait for a thread"


def test_needs_a_name(start_replica: StartReplica) -> None:
    """Without SERVER_ID the replica refuses to start and says what is missing."""
    child = start_replica({})
    _, errors = child.communicate(timeout=10)
    assert (1, True) == (child.returncode, errors.startswith("SERVER_ID is not set"))
