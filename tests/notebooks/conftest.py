"""The way to the course's helper, and a lab on paper to run its notebooks on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

# Where a notebook finds its helper, and where its copies are made.
sys.path.insert(0, str(Path(__file__).parents[2] / "notebooks"))
sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from paper_lab import PaperLab


@pytest.fixture
def paper_lab(monkeypatch: pytest.MonkeyPatch) -> PaperLab:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return PaperLab()
