"""The verbs of the Makefile: all explained by make, and all documented."""

from __future__ import annotations

import re
import subprocess

from labs import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
PAGES = (ROOT / "README.md").read_text() + (ROOT / "CONTRIBUTING.md").read_text()
VERBS = {verb for line in re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.M) for verb in line.split()}


def test_make_alone_explains_every_verb() -> None:
    """make prints help, a line for each verb."""
    # The tests run under make themselves: a make below one would print where it is.
    command = ["make", "--no-print-directory"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    explained = {line.split()[0] for line in run.stdout.split("\n\n")[0].splitlines()}
    assert VERBS == explained


def test_every_verb_is_documented() -> None:
    """No verb is a secret: README or CONTRIBUTING tell of it."""
    fences = re.findall(r"^```.*?^```", PAGES, re.M | re.S)
    code = " ".join(fences + re.findall(r"`([^`\n]+)`", PAGES))
    assert set() == VERBS - set(re.findall(r"[a-z]+", code)) - {"help"}
