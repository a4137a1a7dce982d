"""Processes that are started, measured and stopped."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from labs import ROOT, eventually

from benchmarks.data_plane.processes import free_ports, running
from benchmarks.errors import NotStarted

# Listens; its child burns more than half a second of CPU time, for ticks are counted whole; then it
# sleeps.
PARENT = """
import socket, subprocess, sys, time
child = "import time\\nwhile time.process_time() < 0.6: pass\\ntime.sleep(60)"
burning = subprocess.Popen([sys.executable, "-c", child])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
time.sleep(60)
"""


def test_children_count(tmp_path: Path) -> None:
    """CPU time is that of all processes of a peer, as nginx works in a child."""
    (port,) = free_ports(1)
    command = [sys.executable, "-c", PARENT, str(port)]
    with running(command, port=port, log=tmp_path / "log") as process:
        eventually(lambda: process.cpu_s() >= 0.5, within_s=20)
        process.wait_until_idle()
        before_s = process.cpu_s()
        time.sleep(0.2)
        assert process.cpu_s() - before_s < 0.1


def test_one_that_ends_at_once_tells_why(tmp_path: Path) -> None:
    """The error has its status and what it wrote."""
    command = [sys.executable, "-c", "import sys; print('no such option'); sys.exit(3)"]
    told = r"(?s)status 3.*no such option"
    with pytest.raises(NotStarted, match=told), running(command, port=1, log=tmp_path / "log"):
        pass


def test_one_that_ignores_the_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so are its children: nothing is left."""
    monkeypatch.setattr("benchmarks.data_plane.processes.STOP_TIMEOUT_S", 0.2)
    (port,) = free_ports(1)
    stubborn = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)" + PARENT
    command = [sys.executable, "-c", stubborn, str(port)]
    with running(command, port=port, log=tmp_path / "log") as process:
        group = process._popen.pid
    eventually(lambda: not _group_is_alive(group), within_s=10)


def test_the_callers_environment_stays_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting or a proxy in it would change what is measured."""
    monkeypatch.setenv("LOAD_BALANCER_SLOTS", "7")
    (port,) = free_ports(1)
    program = "import os\nprint(sorted(os.environ), flush=True)" + PARENT
    with running([sys.executable, "-c", program, str(port)], port=port, log=tmp_path / "log"):
        assert "LOAD_BALANCER_SLOTS" not in (tmp_path / "log").read_text()


def test_this_checkout_is_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is installed, and from where: or a change would be measured that is another's."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (port,) = free_ports(1)
    program = "import load_balancer\nprint(load_balancer.__file__, flush=True)" + PARENT
    with running([sys.executable, "-c", program, str(port)], port=port, log=tmp_path / "log"):
        assert (tmp_path / "log").read_text().startswith(str(ROOT / "services/load_balancer"))


def _group_is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
