"""Processes that a benchmark starts: their ports, their CPU time, their end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.errors import NotStarted

ROOT = Path(__file__).parents[2]
# Nothing else of the caller's environment: its settings and proxies would change what is measured.
KEPT = ("PATH", "LANG", "LC_ALL")
# This checkout is measured, wherever the virtual environment's packages are.
PYTHONPATH = f"{ROOT}{os.pathsep}{ROOT / 'services'}"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")  # the unit of /proc/PID/stat
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 10.0


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on, all different."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Process:
    """A process that was started here, with all that it has started itself."""

    def __init__(self, popen: subprocess.Popen[bytes], log: Path) -> None:
        self._popen = popen
        self._log = log

    def cpu_s(self) -> float:
        """CPU seconds so far, user and system, of the process and its living children; in steps of
        a clock tick, mostly 10 ms."""
        ticks = sum(user + system for user, system in self._ticks().values())
        return ticks * TICK_S

    def pids(self) -> list[int]:
        """Of the process and its living children."""
        return sorted(self._ticks())

    def _ticks(self) -> dict[int, tuple[int, int]]:
        """Of user and system time, by process id. Its process group is theirs alone."""
        ticks = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(FileNotFoundError, ProcessLookupError):
                # proc(5). A name may hold anything, so fields are counted from its end: the 3rd.
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[5 - 3]) == self._popen.pid:
                    ticks[int(path.parent.name)] = (int(fields[14 - 3]), int(fields[15 - 3]))
        return ticks

    def wait_until_listening(self, port: int) -> None:
        """NotStarted if the process ends, or nobody listens within START_TIMEOUT_S."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while self._popen.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                return
            time.sleep(0.05)
        self.check_running()
        raise NotStarted(f"{self._popen.args!r} does not listen:\n{self._tail()}")

    def check_running(self) -> None:
        """NotStarted if it has ended."""
        if (ended := self._popen.poll()) is not None:
            raise NotStarted(f"{self._popen.args!r} ended with status {ended}:\n{self._tail()}")

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def wait_until_idle(self) -> None:
        """Returns when it has used no more than a tick of CPU in 100 ms, or after 10 s: what the
        last run has left to do must not count for the next."""
        deadline = time.monotonic() + 10
        before = self.cpu_s()
        while time.monotonic() < deadline:
            time.sleep(0.1)
            now = self.cpu_s()
            if now - before < 1.5 * TICK_S:
                return
            before = now

    def stop(self) -> None:
        """Ends the process, which ends those that it has started, or the whole group."""
        self._popen.terminate()
        try:
            self._popen.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()


@contextmanager
def running(command: Sequence[str], *, log: Path, port: int | None = None) -> Iterator[Process]:
    """The process while the block runs, from when it listens on `port`, if it is to; it hears no
    Ctrl-C, so that it is stopped in one way only. NotStarted if it has ended by itself."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment["PYTHONPATH"] = PYTHONPATH
    with log.open("wb") as output:
        popen = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process = Process(popen, log)
    try:
        if port is not None:
            process.wait_until_listening(port)
        yield process
        process.check_running()
    finally:
        process.stop()
