"""The course's notebooks, run by nbval against a lab."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from labs import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SPREAD = ROOT / "notebooks" / "A1-load-spread.ipynb"
FAILURE = ROOT / "notebooks" / "A3-failure.ipynb"


def nbval(url: str, paths: Sequence[Path], token: str = "") -> subprocess.CompletedProcess[str]:
    """The README's command, on these notebooks in this order."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "--timeout=600",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    return subprocess.run(
        [*command, *map(str, paths)],
        cwd=ROOT,
        env=os.environ | {"RINGLAB_URL": url, "RINGLAB_ADMIN_TOKEN": token},
        capture_output=True,
        text=True,
        check=False,
    )


def failed_cells(run: subprocess.CompletedProcess[str], path: Path) -> list[str]:
    """Sources of the cells that nbval found different."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    numbers = re.findall(r"^FAILED .*::Cell (\d+)", run.stdout, re.MULTILINE)
    return [cells[int(number)].source for number in numbers]
