"""A process that outlives whoever started it, known by an identity that is never recycled.

A pid alone names a different process once its holder has ended. With the start time it names one
process for good, and a pidfd, opened before the start time is compared, holds on to exactly that
process: a signal sent through it cannot reach a stranger. Source: proc_pid_stat(5), pidfd_open(2).
"""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from provisioner.runtimes.base import State


@dataclass(frozen=True, slots=True)
class Identity:
    """One process of this machine since its boot."""

    pid: int
    start_time: int
    """Clock ticks since boot: field 22 of /proc/<pid>/stat."""

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """Identity of the process that holds pid now. ProcessLookupError if none does."""
        return cls(pid, _stat(pid)[1])

    def state(self) -> State:
        """What the process does now."""
        try:
            letter, start_time = _stat(self.pid)
        except ProcessLookupError:
            return State.EXITED
        # Z and X: it has ended, and its parent has not yet asked how.
        if start_time != self.start_time or letter in "ZX":
            return State.EXITED
        return State.PAUSED if letter == "T" else State.RUNNING

    def send(self, signal_number: signal.Signals) -> None:
        """Send a signal, to this very process or to none."""
        with self._pidfd() as pidfd:
            if pidfd is not None:
                signal.pidfd_send_signal(pidfd, signal_number)

    def wait_exit(self, timeout_s: float) -> bool:
        """Whether the process has ended, at the latest after timeout_s seconds."""
        with self._pidfd() as pidfd:
            if pidfd is None:
                return True
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(timeout_s * 1000)
        return self.state() is State.EXITED

    @contextmanager
    def _pidfd(self) -> Iterator[int | None]:
        try:
            pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield None if self.state() is State.EXITED else pidfd
        finally:
            os.close(pidfd)


def _stat(pid: int) -> tuple[str, int]:
    """State letter and start time of pid. ProcessLookupError if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError as error:
        raise ProcessLookupError(pid) from error
    # The second field, the command's name in parentheses, may hold spaces and parentheses.
    fields = text.rpartition(b")")[2].split()
    return fields[0].decode(), int(fields[19])
