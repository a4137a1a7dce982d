"""The testbed's end: nothing is left of hosts, however it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hosts import FOLDER, hosts, remove_hosts
from labs import ROOT

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(120),
    pytest.mark.usefixtures("prepared_machine"),
]

# Makes two hosts, says so, and waits for its end.
MAKER = """
import sys, time
from hosts import hosts
with hosts(2) as made:
    made[0].start_engine()
    print("made", flush=True)
    time.sleep(600)
"""


def traces() -> list[str]:
    """What is left of hosts on this machine."""
    listed = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    links = subprocess.run(["ip", "link"], capture_output=True, text=True, check=True).stdout
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob("*/rlh*")]
    folders = [str(FOLDER)] if FOLDER.exists() else []
    return [*[line for line in (listed + links).splitlines() if "rlh" in line], *groups, *folders]


def test_what_a_killed_run_left_is_removed() -> None:
    """Namespaces, engines, folders and control groups go, though their maker got SIGKILL."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests/support")}
    command = [sys.executable, "-c", MAKER]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as maker:
        assert maker.stdout is not None
        assert "made\n" == maker.stdout.readline()
        maker.send_signal(signal.SIGKILL)
    assert traces() != []
    remove_hosts()
    assert [] == traces()


def test_nothing_is_left_behind() -> None:
    """The end of the block removes all that it made, also when something in it fails."""
    with pytest.raises(KeyError), hosts(2):
        raise KeyError
    assert [] == traces()
