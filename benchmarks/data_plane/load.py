"""Load as heavy as a peer can bear: wrk, one thread, each connection's next request at once."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data_plane.cases import Case
from benchmarks.errors import WrongAnswer

SCRIPT = Path(__file__).with_name("load.lua")
TIMEOUT_S = 30  # for one answer; a student's balancer may take seconds at 256 connections


@dataclass(frozen=True)
class Load:
    """What a client saw of one run; only runs without a failure have one."""

    requests: int
    duration_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float


def send(case: Case, port: int, seconds: int) -> Load:
    """Loads a peer for so many seconds. WrongAnswer if any request failed."""
    run = subprocess.run(
        [
            "wrk",
            "--threads=1",
            f"--connections={case.connections}",
            f"--duration={seconds}s",
            f"--timeout={TIMEOUT_S}s",
            f"--script={SCRIPT}",
            f"http://127.0.0.1:{port}{case.path}",
            "--",
            str(case.upload_bytes),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        raise WrongAnswer(f"wrk ended with status {run.returncode}: {run.stdout}{run.stderr}")
    return parse(run.stdout)


def parse(output: str) -> Load:
    """What wrk and our script printed. WrongAnswer if a request failed, or none was answered."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if len(lines) != 1:
        raise WrongAnswer(f"wrk printed no summary: {output!r}")
    summary = json.loads(lines[0])
    failed = {what: count for what, count in summary["errors"].items() if count}
    if failed or not summary["requests"]:
        told = ", ".join(f"{what}: {count}" for what, count in failed.items())
        raise WrongAnswer(f"of {summary['requests']} requests some failed ({told or 'all'})")
    return Load(
        requests=summary["requests"],
        duration_s=summary["duration_us"] / 1e6,
        p50_ms=summary["p50_us"] / 1e3,
        p99_ms=summary["p99_us"] / 1e3,
        p999_ms=summary["p999_us"] / 1e3,
    )
