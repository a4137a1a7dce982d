"""JupyterLab as a learner meets it: in a browser, behind its token, with notebooks that run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest
import requests
from chromium import chromium
from labs import ROOT, Lab
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ORIGINAL = "A1-load-spread.ipynb"
WITHIN_MS = 300_000  # for 30 cells and 30,000 requests, on a busy machine


@pytest.fixture
def address(lab: Lab) -> str:
    """What `make up` prints."""
    return (ROOT / ".ringlab" / lab.name / "jupyter-url").read_text()


@pytest.fixture
def server(address: str) -> Iterator[requests.Session]:
    """JupyterLab's own API."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"token {token(address)}"
        yield session


@pytest.fixture
def notebook(address: str, server: requests.Session) -> Iterator[Path]:
    """A copy that JupyterLab has made, so that the browser can save it."""
    copy = server.post(f"{origin(address)}/api/contents", json={"copy_from": ORIGINAL}).json()
    path = ROOT / "notebooks" / copy["path"]
    assert path.exists()  # in the checkout: what is edited lasts
    yield path
    assert 204 == server.delete(f"{origin(address)}/api/contents/{copy['path']}").status_code


def origin(address: str) -> str:
    return "{0.scheme}://{0.netloc}".format(urlsplit(address))


def token(address: str) -> str:
    return parse_qs(urlsplit(address).query)["token"][0]


def test_nobody_gets_in_without_the_token(address: str, server: requests.Session) -> None:
    """And with it one does."""
    contents = f"{origin(address)}/api/contents"
    assert 403 == requests.get(contents, timeout=10).status_code
    assert 403 == requests.get(contents, params={"token": "0" * 32}, timeout=10).status_code
    assert 200 == server.get(contents, timeout=10).status_code


def test_it_listens_on_loopback_alone(lab: Lab, address: str) -> None:
    """Whatever address the load balancer is published at."""
    port = urlsplit(address).port
    table = (Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()).splitlines()
    listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    own = [local for local in listening if local.endswith(f":{port:04X}")]
    assert ["0100007F"] == [local.partition(":")[0] for local in own]


def test_a_notebook_runs_to_its_end_in_a_browser(
    address: str, notebook: Path, tmp_path: Path
) -> None:
    """Run All Cells: each has run, none has failed, and the figures are there."""
    stored = nbformat.read(notebook.with_name(ORIGINAL), as_version=4)
    cells = [cell for cell in stored.cells if cell.cell_type == "code"]
    figures = json.dumps(stored).count("image/svg+xml")
    with (
        chromium() as browser,
        browser.new_context(viewport={"width": 1280, "height": 4000}) as tab,
    ):
        page = tab.new_page()
        page.goto(address.replace("/lab?", f"/lab/tree/{notebook.name}?"))
        run_all(page)
        expect(page.locator(".jp-CodeCell .jp-InputPrompt").last).to_have_text(
            f"[{len(cells)}]:", timeout=WITHIN_MS
        )
        page.keyboard.press("Control+s")
        page.screenshot(path=tmp_path / "notebook.png")
        expect(page.locator(".jp-RenderedSVG").first).to_be_visible()
        page.wait_for_function("!document.title.startsWith('*')")
    saved = nbformat.read(notebook, as_version=4)
    assert figures == json.dumps(saved).count("image/svg+xml")
    ran = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert list(range(1, len(cells) + 1)) == [cell.execution_count for cell in ran]
    outputs = [output.output_type for cell in ran for output in cell.outputs]
    assert "error" not in outputs


def run_all(page: Page) -> None:
    """By the menu, as a learner does, once the kernel is there."""
    expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(
        timeout=60_000
    )
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
