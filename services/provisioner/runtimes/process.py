"""Replicas as processes on loopback ports, for machines without a container engine.

A replica lives in a session of its own and outlives the provisioner. Its record, a small JSON
file, outlives it too: a provisioner that starts again lists what runs and what has exited.

The order of its birth leaves no moment at which a SIGKILL of the provisioner would leave a
process without a record: the listening socket is bound here, so that the address is known and
nobody can take it; the child waits at a gate, a pipe, until its record is on the disk; if the
provisioner dies before that, the gate closes and the child ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from provisioner.errors import ReplicaUnknown, RuntimeRefused, RuntimeUnreachable, WrongState
from provisioner.runtimes.base import Hostname, Replica, State
from provisioner.runtimes.pids import Identity

# Waits for a line on the gate, then becomes the replica; ends if the gate closes without one.
GATED = 'read -r _ && exec "$0" "$@" </dev/null'
# -I: neither the working directory nor the user's site may stand in for the package.
REPLICA_COMMAND = (sys.executable, "-I", "-m", "replica")
BACKLOG = 1024
# A signal takes effect within a scheduler's turn; only a process stuck in the kernel needs longer.
SIGNAL_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """What the disk knows of one replica."""

    hostname: str
    server_id: int
    process: Identity
    address: str

    def replica(self) -> Replica:
        state = self.process.state()
        address = None if state is State.EXITED else self.address
        return Replica(self.hostname, self.server_id, address, state)

    @classmethod
    def from_json(cls, text: str) -> "Record":
        fields = json.loads(text)
        return cls(**{**fields, "process": Identity(**fields["process"])})


@contextmanager
def _system_errors() -> Iterator[None]:
    """The one place where the operating system's errors become ours."""
    try:
        yield
    except OSError as error:
        raise RuntimeRefused(f"the operating system refused: {error}") from error


class ProcessRuntime:
    """The replicas whose records lie in one directory.

    directory: made if missing; holds <hostname>.json, the record, and <hostname>.log, the
    replica's output.
    """

    name: ClassVar[str] = "process"

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory

    def check(self) -> None:
        if not os.access(self._directory, os.R_OK | os.W_OK | os.X_OK):
            raise RuntimeUnreachable(f"{self._directory} is not a writable directory")

    @_system_errors()
    def list(self) -> Sequence[Replica]:
        records = (self._read(path) for path in self._directory.glob("*.json"))
        return [record.replica() for record in records if record is not None]

    @_system_errors()
    def create_or_replace(self, hostname: Hostname, server_id: int) -> Replica:
        old = self._read(self._record_path(hostname))
        if old is not None:
            _end(old, grace_s=0)
        return Replica(hostname, server_id, self._spawn(hostname, server_id), State.RUNNING)

    @_system_errors()
    def remove(self, hostname: Hostname, *, grace_s: int) -> None:
        record = self._read(self._record_path(hostname))
        if record is None:
            return
        _end(record, grace_s=grace_s)
        self._log_path(hostname).unlink(missing_ok=True)
        self._record_path(hostname).unlink()

    @_system_errors()
    def kill(self, hostname: Hostname) -> None:
        record = self._find(hostname)
        if record.process.state() is State.EXITED:
            raise WrongState(hostname, state=State.EXITED, wanted=State.RUNNING)
        _end(record, grace_s=0)

    def pause(self, hostname: Hostname) -> None:
        self._switch(hostname, signal.SIGSTOP, State.RUNNING, State.PAUSED)

    def resume(self, hostname: Hostname) -> None:
        self._switch(hostname, signal.SIGCONT, State.PAUSED, State.RUNNING)

    @_system_errors()
    def _switch(
        self, hostname: Hostname, signal_number: signal.Signals, before: State, after: State
    ) -> None:
        process = self._find(hostname).process
        state = process.state()
        if state is not before:
            raise WrongState(hostname, state=state, wanted=before)
        process.send(signal_number)
        _wait_until(lambda: process.state() is not before, f"replica {hostname!r} to be {after}")

    # -- records ----------------------------------------------------------------------------

    def _record_path(self, hostname: str) -> Path:
        return self._directory / f"{hostname}.json"

    def _log_path(self, hostname: str) -> Path:
        return self._directory / f"{hostname}.log"

    def _find(self, hostname: Hostname) -> Record:
        record = self._read(self._record_path(hostname))
        if record is None:
            raise ReplicaUnknown(hostname)
        return record

    def _read(self, path: Path) -> Record | None:
        """The record at path; None if there is none, or no longer."""
        try:
            return Record.from_json(path.read_text())
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RuntimeRefused(f"{path} is not a replica's record: {error!r}") from error

    def _write(self, record: Record) -> None:
        """Atomically; without fsync, since a power cut ends the recorded processes as well."""
        path = self._record_path(record.hostname)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(path)

    # -- birth ------------------------------------------------------------------------------

    def _spawn(self, hostname: Hostname, server_id: int) -> str:
        """Start and record a replica, and return its address."""
        with (
            socket.socket() as listener,
            self._log_path(hostname).open("ab") as log,
            _pipe() as (gate, opener),
        ):
            listener.bind(("127.0.0.1", 0))
            # Listening already here: who connects early waits instead of being refused.
            listener.listen(BACKLOG)
            child = subprocess.Popen(
                ["/bin/sh", "-c", GATED, *REPLICA_COMMAND],
                stdin=gate,
                stdout=log,
                stderr=log,
                env={"SERVER_ID": hostname, "REPLICA_LISTEN_FD": str(listener.fileno())},
                pass_fds=[listener.fileno()],
                start_new_session=True,
            )
            # Reaps it when it ends, so that no zombie waits for somebody to look.
            threading.Thread(target=child.wait, daemon=True).start()
            host, port = listener.getsockname()
            address = f"{host}:{port}"
            self._write(Record(hostname, server_id, Identity.of(child.pid), address))
            os.write(opener, b"\n")
            return address


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def _end(record: Record, *, grace_s: int) -> None:
    """Make sure the record's process has ended; a running one gets SIGTERM and grace_s first."""
    process = record.process
    if grace_s and process.state() is State.RUNNING:
        process.send(signal.SIGTERM)
        if process.wait_exit(grace_s):
            return
    process.send(signal.SIGKILL)
    if not process.wait_exit(SIGNAL_DEADLINE_S):
        raise RuntimeRefused(f"process {process.pid} does not end by SIGKILL")


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll each millisecond: the kernel tells of a stop only the parent, which may be another."""
    deadline_s = time.monotonic() + SIGNAL_DEADLINE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise RuntimeRefused(f"waited {SIGNAL_DEADLINE_S} s in vain for {what}")
        time.sleep(0.001)
