"""What runs of a lab, asked of the engine and the kernel, not of the lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from labs import ROOT, Lab

GONE = "ZX"  # a process that has ended, and whose parent has not asked how: proc_pid_stat(5)


@dataclass(frozen=True)
class Process:
    pid: int
    command: str
    output: Path  # a replica's is named after it
    state: str  # a letter


def replicas(lab: Lab) -> list[tuple[str, str]]:
    """Hostname and state of each replica, those that no command has made included; sorted."""
    if lab.runtime == "docker":
        containers = _containers(lab, "ringlab.role=replica")
        return sorted((each.labels["ringlab.hostname"], each.status) for each in containers)
    return sorted(
        (process.output.name.removesuffix(" (deleted)").removesuffix(".log"), _state(process))
        for process in _processes(lab)
        if process.output.parent.name == "replicas"
    )


def leftovers(lab: Lab) -> list[str]:
    """All containers or processes of the lab, in words."""
    if lab.runtime == "docker":
        return [f"container {container.name}" for container in _containers(lab)]
    return [f"process {process.pid}: {process.command}" for process in _processes(lab)]


def _containers(lab: Lab, *labels: str) -> list[Any]:
    wanted = {"label": [f"ringlab.lab={lab.name}", *labels]}
    return docker.from_env().containers.list(all=True, filters=wanted, ignore_removed=True)


def _processes(lab: Lab) -> Iterator[Process]:
    """Those that were told of the lab's directory, or write there."""
    directory = f"{ROOT}/.ringlab/{lab.name}/"
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended meanwhile
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            environment = (folder / "environ").read_bytes().decode(errors="replace")
            output = os.readlink(folder / "fd/1")
            letter = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            told = f"RINGLAB_DIRECTORY={directory[:-1]}\0" in environment
            if letter not in GONE and (told or directory in command or directory in output):
                yield Process(int(folder.name), command, Path(output), letter)


def _state(process: Process) -> str:
    return "paused" if process.state == "T" else "running"
