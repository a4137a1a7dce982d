"""The contract that clients read, and a client that does all it allows, and what it forbids."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from labs import NAMES, Lab, process_lab_in

if TYPE_CHECKING:
    from .conftest import Lab as FakeLab

MIN_CALLS = 2_000
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def contract(lab: FakeLab) -> dict[str, Any]:
    return lab.client.get("/openapi.json").json


def test_every_call_is_told_with_its_refusals(contract: dict[str, Any]) -> None:
    """One shape for all of them; a change wants a body."""
    calls = [
        (method, path, operation)
        for path, methods in contract["paths"].items()
        for method, operation in methods.items()
    ]
    assert {f"{method.upper()} {path}" for method, path, _ in calls} == {
        *("GET /rep", "PUT /rep", "POST /add", "DELETE /rm"),
        *("POST /crash", "POST /pause", "POST /resume"),
        *("GET /ring", "PUT /ring", "GET /route", "GET /events", "GET /metrics"),
    }
    for method, _, operation in calls:
        assert {"200", "400", "401", "403", "404", "409", "503"} <= operation["responses"].keys()
        assert operation.get("requestBody", {}).get("required", False) == (method != "get")
        assert operation["summary"].endswith(".")
        for status, response in operation["responses"].items():
            if status != "200":
                schema = response["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Failure"}


@pytest.fixture(scope="module")
def live_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Few replicas, for many will be added."""
    few = {"LOAD_BALANCER_MAX_REPLICAS": "5"}
    with process_lab_in(tmp_path_factory.mktemp("lab"), "ringlab-contract", **few) as lab:
        lab.reset()
        yield lab


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_schemathesis_finds_no_difference(live_lab: Lab, tmp_path: Path) -> None:
    """Thousands of generated calls, all checks on: what the contract allows is done, what it
    forbids is refused, in the statuses and shapes that it tells. Then the lab is as before."""
    before = live_lab.call("GET", "/rep").json()
    done = subprocess.run(
        [SCHEMATHESIS, "--config-file", CONFIG, "run", f"{live_lab.url}/openapi.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stdout
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found is not None, done.stdout
    assert int(found[1]) >= MIN_CALLS
    live_lab.reset()
    assert live_lab.call("GET", "/rep").json() == before
    assert live_lab.replicas() == NAMES
