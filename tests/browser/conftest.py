"""A lab in processes for the live page, and Chromium to look at it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chromium import chromium
from labs import ProcessLab, process_lab_in
from playwright.sync_api import Browser, Page, expect

WITHIN_MS = 20_000  # for what the page waits for: a process that starts, on a busy machine

expect.set_options(timeout=WITHIN_MS)


@pytest.fixture(scope="module")
def process_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessLab]:
    with process_lab_in(tmp_path_factory.mktemp("lab"), "ringlab-browser") as lab:
        yield lab


@pytest.fixture
def lab(process_lab: ProcessLab) -> ProcessLab:
    """Three replicas and the default ring."""
    process_lab.reset()
    return process_lab


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, lab: ProcessLab) -> Iterator[Page]:
    """The live page, loaded, with a row for each of the three replicas."""
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        page = context.new_page()
        page.goto(f"{lab.url}/dashboard")
        expect(page.locator("#replicas tr")).to_have_count(3)
        yield page
