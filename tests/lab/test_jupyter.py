"""JupyterLab as a learner meets it: in a browser, behind its token, with notebooks that run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat
import pytest
import requests
from chromium import chromium
from labs import ROOT, Lab, eventually
from nbformat import NotebookNode
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

ORIGINAL = "A1-load-spread.ipynb"
WITHIN_MS = 120_000  # for 30 cells and 30,000 requests, on a busy machine


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
    """A copy without outputs, made by JupyterLab so that the browser can save it."""
    copy = nbformat.read(ROOT / "notebooks" / ORIGINAL, as_version=4)
    for cell in code_cells(copy):
        cell.outputs, cell.execution_count = [], None
    path = ROOT / "notebooks" / "in-a-browser.ipynb"
    at = f"{origin(address)}/api/contents/{path.name}"
    content = {"type": "notebook", "format": "json", "content": copy}
    assert 201 == server.put(at, json=content, timeout=10).status_code
    assert path.exists()  # in the checkout: what is edited lasts
    yield path
    assert 204 == server.delete(at, timeout=10).status_code


@pytest.fixture
def tab(address: str, server: requests.Session, notebook: Path, tmp_path: Path) -> Iterator[Page]:
    """The notebook, open in JupyterLab with a kernel; looked at once more when the test ends."""

    def has_kernel() -> bool:
        # Asked of the server: the page shows an idle kernel before it is connected to one, and
        # then clears the outputs of what it is told to run, and runs nothing.
        sessions = server.get(f"{origin(address)}/api/sessions", timeout=10).json()
        kernels = [each["kernel"] for each in sessions if each["path"] == notebook.name]
        return any(
            kernel["connections"] and kernel["execution_state"] == "idle" for kernel in kernels
        )

    with chromium() as browser, browser.new_page(viewport={"width": 1280, "height": 4000}) as tab:
        # It may ask which kernel, when it opens a notebook before it has their list; and it asks
        # whether a restart is meant.
        question = tab.locator(".jp-Dialog")
        tab.add_locator_handler(question, lambda _: question.locator(".jp-mod-accept").click())
        tab.goto(address.replace("/lab?", f"/lab/tree/{notebook.name}?"))
        expect(tab.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(
            timeout=WITHIN_MS
        )
        eventually(has_kernel, within_s=60)
        yield tab
        tab.screenshot(path=tmp_path / "notebook.png")


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


def test_a_notebook_runs_to_its_end_in_a_browser(tab: Page, notebook: Path) -> None:
    """Restart Kernel and Run All Cells: each has run, none has failed, the figures are there."""
    stored = nbformat.read(notebook.with_name(ORIGINAL), as_version=4)
    counts = [cell.execution_count for cell in code_cells(stored)]
    figures = json.dumps(stored).count("image/svg+xml")
    choose(tab, "Run", "Restart Kernel and Run All Cells")
    prompts = tab.locator(".jp-CodeCell .jp-InputPrompt")
    expect(prompts.last).to_have_text(f"[{counts[-1]}]:", timeout=WITHIN_MS)
    expect(tab.locator(".jp-RenderedSVG").first).to_be_visible()
    before = notebook.stat().st_mtime_ns
    choose(tab, "File", "Save Notebook")
    eventually(lambda: notebook.stat().st_mtime_ns > before, within_s=30)
    expect(tab.locator(".jp-mod-dirty")).to_have_count(0)
    saved = nbformat.read(notebook, as_version=4)
    assert figures == json.dumps(saved).count("image/svg+xml")
    assert counts == [cell.execution_count for cell in code_cells(saved)]
    outputs = [output.output_type for cell in code_cells(saved) for output in cell.outputs]
    assert "error" not in outputs


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def choose(page: Page, menu: str, entry: str) -> None:
    """As a learner does."""
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=re.compile(f"^{entry}")).first.click()
