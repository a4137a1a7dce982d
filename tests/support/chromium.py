"""The browser that pages are looked at with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

INSTALL = "no Chromium: `apt-get install chromium`, or `python -m playwright install chromium`"


@contextmanager
def chromium() -> Iterator[Browser]:
    """A Chromium without a screen; its event loop ends with the block, for tests with their own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_path(playwright))
        yield browser
        browser.close()


def _path(playwright: Playwright) -> str:
    """Playwright's own, else the system's; a missing one is a failure, never a skip."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = (shutil.which(name) for name in (playwright.chromium.executable_path, *names))
    return next(filter(None, found), None) or pytest.fail(INSTALL, pytrace=False)
