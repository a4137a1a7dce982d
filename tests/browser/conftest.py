"""A lab in processes for the live page, and Chromium to look at it with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import chromium
from labs import Lab, free_port
from playwright.sync_api import Browser, Page, expect

WITHIN_MS = 20_000  # for what the page waits for: a process that starts, on a busy machine

expect.set_options(timeout=WITHIN_MS)


@pytest.fixture(scope="module")
def process_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Its provisioner and load balancer on a free port; the playbooks have tests of their own."""
    folder = tmp_path_factory.mktemp("lab")
    lab = Lab("ringlab-browser", "process", free_port())
    settings = {
        "PROVISIONER_RUNTIME": "process",
        "PROVISIONER_SOCKET": str(folder / "provisioner.sock"),
        "PROVISIONER_DIRECTORY": str(folder / "replicas"),
        "LOAD_BALANCER_BIND": f"127.0.0.1:{lab.port}",
        "LOAD_BALANCER_PROVISIONER_SOCKET": str(folder / "provisioner.sock"),
    }
    services = [
        subprocess.Popen([sys.executable, "-m", module], env=os.environ | settings)
        for module in ("provisioner", "load_balancer")
    ]
    yield lab
    for service in reversed(services):
        service.terminate()
        service.wait(timeout=20)
    _kill_replicas(folder / "replicas")


def _kill_replicas(records: Path) -> None:
    """Replicas outlive their provisioner, by design."""
    for path in records.glob("*.json"):
        try:
            os.kill(json.loads(path.read_text())["process"]["pid"], signal.SIGKILL)
        except ProcessLookupError:
            continue


@pytest.fixture
def lab(process_lab: Lab) -> Lab:
    """Three replicas and the default ring."""
    process_lab.reset()
    return process_lab


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, lab: Lab) -> Iterator[Page]:
    """The live page, loaded, with a row for each of the three replicas."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.goto(f"{lab.url}/dashboard")
        expect(page.locator("#replicas tr")).to_have_count(3)
        yield page
