"""The programs of others that are measured, and measured with."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable

from benchmarks.data_plane.processes import ROOT
from benchmarks.errors import MissingCommand

VERSION_OPTION = {"nginx": "-v", "haproxy": "-v", "wrk": "-v"}
COMMANDS = tuple(VERSION_OPTION)


def ensure(commands: Iterable[str] = COMMANDS) -> None:
    """Installs those that are missing, where that may be done; else MissingCommand names them."""
    missing = [command for command in commands if not shutil.which(command)]
    if not missing:
        return
    print(f"Installing {', '.join(missing)} (about 20 s)", flush=True)
    run = subprocess.run(
        [str(ROOT / "scripts/install-tools"), *missing], capture_output=True, text=True, check=False
    )
    still = [command for command in missing if not shutil.which(command)]
    if still:
        raise MissingCommand(
            f"{' and '.join(still)} missing, and not installed: try"
            f" `apt-get install {' '.join(still)}` as root\n{run.stdout}{run.stderr}".rstrip()
        )


def versions() -> dict[str, str]:
    """Command → its version's number."""
    return {command: _version(command, option) for command, option in VERSION_OPTION.items()}


def _version(command: str, option: str) -> str:
    run = subprocess.run([command, option], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+\.\d+", run.stdout + run.stderr)
    return found[0] if found else "unknown"
