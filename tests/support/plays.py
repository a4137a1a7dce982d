"""Playbooks as their tests run them: with options, and also where they must fail."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from labs import ROOT


def attempt(playbook: str, *options: str, **variables: object) -> subprocess.CompletedProcess[str]:
    """Run a playbook, whatever comes of it."""
    extra = [argument for item in variables.items() for argument in ("-e", "{}={}".format(*item))]
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), playbook, *options, *extra],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def changed(playbook: str, *options: str, **variables: object) -> int:
    """Run a playbook, and return how many tasks changed something. AssertionError if it fails."""
    run = attempt(playbook, *options, **variables)
    assert 0 == run.returncode, run.stdout + run.stderr
    return sum(map(int, re.findall(r"changed=(\d+)", run.stdout)))


def refusal(playbook: str, **variables: object) -> str:
    """Run a playbook that must fail before it changes anything, and return what it printed.

    Line breaks become spaces: Ansible wraps long messages.
    """
    run = attempt(playbook, **variables)
    assert run.returncode != 0, run.stdout
    assert set() == set(re.findall(r"changed=([1-9]\d*)", run.stdout)), run.stdout
    return " ".join(run.stdout.split())
