"""The running lab at a glance: its ring and its replicas, as a table or as JSON.

inspect_lab.py URL [--format table|json]    the admin token, if one is wanted: RINGLAB_ADMIN_TOKEN
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

TIMEOUT_S = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description="The running lab at a glance.")
    parser.add_argument("url", help="of the load balancer, as http://127.0.0.1:5050")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    options = parser.parse_args()
    try:
        lab = read(options.url.rstrip("/"), os.environ.get("RINGLAB_ADMIN_TOKEN", ""))
    except requests.RequestException as error:
        sys.exit(f"the lab does not answer at {options.url}: {error}")
    if options.format == "json":
        print(json.dumps(lab, indent=2))
    else:
        Console().print(table(lab))


def read(url: str, token: str) -> dict[str, Any]:
    """ring: its parameters. replicas: by hostname, each with server_id, state, share (of the keys,
    0..1), answered, in_flight. RequestException."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(path: str) -> requests.Response:
        answer = requests.get(url + path, headers=headers, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer

    ring = get("/ring").json()["message"]
    replicas = ring.pop("replicas")
    counted = {name: {"answered": 0, "in_flight": 0} for name in replicas}
    for family in text_string_to_metric_families(get("/metrics").text):
        for sample in family.samples:
            counts = counted.get(sample.labels.get("replica", ""))
            if counts is None:
                continue
            if sample.name == "ringlab_requests_total":
                counts["answered"] += int(sample.value)
            elif sample.name == "ringlab_in_flight":
                counts["in_flight"] = int(sample.value)
    return {
        "url": url,
        "ring": {name: value for name, value in ring.items() if value is not None},
        "replicas": {
            name: {key: at[key] for key in ("server_id", "state", "share")} | counted[name]
            for name, at in replicas.items()
        },
    }


def table(lab: dict[str, Any]) -> Table:
    ring = ", ".join(f"{name} {value}" for name, value in lab["ring"].items())
    found = Table(title=lab["url"], caption=ring, title_justify="left", caption_justify="left")
    found.add_column("replica")
    for name in ("id", "state", "share", "answered", "in flight"):
        found.add_column(name, justify="left" if name == "state" else "right")
    for name, at in lab["replicas"].items():
        found.add_row(
            name,
            str(at["server_id"]),
            str(at["state"]),
            f"{at['share']:.1%}",
            f"{at['answered']:,}",
            str(at["in_flight"]),
        )
    return found


if __name__ == "__main__":
    main()
