"""So much of a core for a process, and no more: the kernel's CPU quota, by cgroups of either
version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.errors import BenchmarkError

PERIOD_US = 20_000  # short, so that who has used up its share waits for milliseconds only
ROOT = Path("/sys/fs/cgroup")


@contextmanager
def limited(pid: int, cores: float, root: Path = ROOT) -> Iterator[None]:
    """The process `pid` has at most `cores` of CPU while the block runs. BenchmarkError if we may
    not say so."""
    parent = root if (root / "cgroup.controllers").exists() else root / "cpu"
    group = parent / f"ringlab-{os.getpid()}-{pid}"
    quota_us = round(cores * PERIOD_US)
    try:
        group.mkdir()
    except OSError as error:
        raise BenchmarkError(f"a CPU quota needs cgroups that we may write: {error}") from error
    try:
        if parent == root:
            (group / "cpu.max").write_text(f"{quota_us} {PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota_us))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    except OSError as error:
        raise BenchmarkError(f"no CPU quota: {error}") from error
    finally:
        for each in (group / "cgroup.procs").read_text().split():
            (parent / "cgroup.procs").write_text(each)
        group.rmdir()
