"""Identities of processes: they never name a stranger."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from provisioner.runtimes.base import State
from provisioner.runtimes.pids import Identity

WaitUntil = Callable[[Callable[[], object]], None]


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing for a long time."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


@pytest.fixture
def identity(child: subprocess.Popen[bytes]) -> Identity:
    return Identity.of(child.pid)


def test_states_follow_the_signals(
    child: subprocess.Popen[bytes], identity: Identity, wait_until: WaitUntil
) -> None:
    """Running, then stopped, then running, then ended: before it is reaped and after."""
    assert identity.state() is State.RUNNING
    identity.send(signal.SIGSTOP)
    wait_until(lambda: identity.state() is State.PAUSED)
    identity.send(signal.SIGCONT)
    wait_until(lambda: identity.state() is State.RUNNING)
    identity.send(signal.SIGKILL)
    assert identity.wait_exit(10)
    assert identity.state() is State.EXITED, "a zombie has ended"
    child.wait()
    assert identity.state() is State.EXITED
    assert identity.wait_exit(10)


def test_wait_exit_gives_up_in_time(identity: Identity) -> None:
    """Of a process that goes on, wait_exit says so after its timeout."""
    assert not identity.wait_exit(0.05)


def test_a_holder_of_a_recycled_pid_is_a_stranger(
    child: subprocess.Popen[bytes], identity: Identity
) -> None:
    """Same pid, other start time: it counts as exited, and no signal reaches the holder."""
    former = replace(identity, start_time=identity.start_time - 1)
    assert former.state() is State.EXITED
    assert former.wait_exit(10)
    former.send(signal.SIGKILL)
    assert not identity.wait_exit(0.1)
    assert child.poll() is None


def test_a_free_pid_has_no_identity(child: subprocess.Popen[bytes]) -> None:
    """Nobody is there to be identified once the process is reaped."""
    child.kill()
    child.wait()
    with pytest.raises(ProcessLookupError):
        Identity.of(child.pid)


def test_a_name_cannot_disguise_the_state(wait_until: WaitUntil) -> None:
    """A command's name may hold what looks like the fields that follow it."""
    name = "x) T 1 (y"
    script = f"open('/proc/self/comm', 'w').write({name!r}); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
        identity = Identity.of(process.pid)
        wait_until(lambda: name in Path(f"/proc/{process.pid}/comm").read_text())
        assert Identity.of(process.pid) == identity
        assert identity.state() is State.RUNNING
        process.kill()


def test_our_own_identity_is_stable() -> None:
    """The start time does not depend on when it is asked."""
    assert Identity.of(os.getpid()) == Identity.of(os.getpid())
