"""The provisioner's socket: who is let in, and what becomes of what lies there already."""

import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from provisioner.errors import SocketInUse
from provisioner.unix_socket import PeerCheckedServer, bind_unix_socket

GROUP = 10_000
STRANGER = 65_534
# Becomes the given user, if any, and says what the server answers: a status line, or nothing.
CLIENT = """
import os, socket, sys
if sys.argv[2:]:
    user, group, *others = map(int, sys.argv[2:])
    os.setgroups(others); os.setgid(group); os.setuid(user)
with socket.socket(socket.AF_UNIX) as peer:
    peer.settimeout(10)
    try:
        peer.connect(sys.argv[1])
        peer.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        print(peer.recv(100).decode().partition("\\r\\n")[0])
    except OSError as error:
        print(type(error).__name__)
"""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that every user can enter; its files go to GROUP if root makes it."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        if os.geteuid() == 0:
            os.chown(path, 0, GROUP)
        path.chmod(0o2755)
        yield path


@pytest.fixture
def served(directory: Path) -> Iterator[Path]:
    """A socket served by a trivial application."""

    def application(_: object, start_response: object) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    path = directory / "s"
    server = PeerCheckedServer(application, bind_unix_socket(path), threads=1)
    thread = threading.Thread(
        target=server.asyncore.loop, args=(0.01,), kwargs={"map": server._map}
    )
    thread.start()
    yield path
    server.task_dispatcher.shutdown()
    server.asyncore.close_all(server._map)
    thread.join()


def ask(path: Path, *identity: int) -> str:
    """What a client of that user, group and further groups is answered; by default our own."""
    command = [sys.executable, "-I", "-c", CLIENT, str(path), *map(str, identity)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_mode_and_group(directory: Path) -> None:
    """The socket is for its owner and the directory's group, from the first moment."""
    with bind_unix_socket(directory / "s"):
        status = (directory / "s").stat()
        assert 0o660 == stat.S_IMODE(status.st_mode)
        assert directory.stat().st_gid == status.st_gid


def test_a_stale_socket_is_replaced(directory: Path) -> None:
    """What a dead process left behind does not stop the next."""
    bind_unix_socket(directory / "s").close()
    with bind_unix_socket(directory / "s"), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(directory / "s"))


def test_a_served_socket_is_left_alone(directory: Path) -> None:
    """Where somebody answers, a second server is refused and the first goes on."""
    path = directory / "s"
    with bind_unix_socket(path):
        with pytest.raises(SocketInUse, match=str(path)):
            bind_unix_socket(path)
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))


def test_a_file_is_left_alone(directory: Path) -> None:
    """What is no socket is not ours to remove."""
    path = directory / "s"
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        bind_unix_socket(path)
    assert "precious" == path.read_text()


def test_the_owner_is_served(served: Path) -> None:
    """The same user is let in."""
    assert "HTTP/1.0 200 OK\n" == ask(served)


@needs_root
@pytest.mark.parametrize(
    "identity", [(STRANGER, GROUP), (STRANGER, STRANGER, 7, GROUP)], ids=["first", "other"]
)
def test_a_member_of_the_group_is_served(served: Path, identity: tuple[int, ...]) -> None:
    """Membership counts, be the group the peer's first or one of its others."""
    assert "HTTP/1.0 200 OK\n" == ask(served, *identity)


@needs_root
def test_a_stranger_cannot_connect(served: Path) -> None:
    """The kernel refuses who is neither owner nor in the group."""
    assert "PermissionError\n" == ask(served, STRANGER, STRANGER, 7)


@needs_root
@pytest.mark.parametrize("groups", [[], [7], list(range(20_000, 20_300))], ids=len)
def test_a_stranger_is_not_answered(served: Path, groups: list[int]) -> None:
    """Even with the socket's mode thrown open a stranger gets no answer, and others still do."""
    served.chmod(0o666)
    answer = ask(served, STRANGER, STRANGER, *groups)
    assert answer in ("\n", "ConnectionResetError\n", "BrokenPipeError\n")
    assert "HTTP/1.0 200 OK\n" == ask(served)
