"""A running lab at a glance: its ring and its replicas, as a table or as JSON. Without a URL, the
lab that was made from here; all of them, a line for each, if there are several.

inspect_lab.py [URL] [--format table|json]    the admin token, if one is wanted: RINGLAB_ADMIN_TOKEN
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

TIMEOUT_S = 10.0
NOTES = Path(__file__).parents[1] / ".ringlab"  # <lab>/lab.json: name, runtime, url


def main() -> None:
    parser = argparse.ArgumentParser(description="A running lab, or all, at a glance.")
    parser.add_argument("url", nargs="?", help="of the load balancer, as http://127.0.0.1:5050")
    parser.add_argument("--format", choices=["table", "json"], default="table")
    parser.add_argument("--directory", type=Path, default=NOTES, help="where labs are noted")
    options = parser.parse_args()
    token = os.environ.get("RINGLAB_ADMIN_TOKEN", "")
    noted = [json.loads(path.read_text()) for path in sorted(options.directory.glob("*/lab.json"))]
    if options.url is None and len(noted) != 1:
        show(options.format, listed(noted, token), overview)
        return
    url = options.url or noted[0]["url"]
    try:
        show(options.format, read(url.rstrip("/"), token), table)
    except requests.RequestException as error:
        sys.exit(f"the lab does not answer at {url}: {error}")


def show(form: str, found: Any, drawn: Callable[[Any], Table]) -> None:
    if form == "json":
        print(json.dumps(found, indent=2))
    else:
        Console().print(drawn(found))


def listed(noted: list[dict[str, str]], token: str) -> list[dict[str, Any]]:
    """Of each lab its name, runtime, url, and `lab` as `read` tells it; `trouble` instead where it
    does not answer as it should."""
    labs: list[dict[str, Any]] = []
    for note in noted:
        try:
            labs.append(note | {"lab": read(note["url"], token)})
        except requests.HTTPError as error:
            labs.append(note | {"trouble": str(error)})
        except requests.RequestException:
            labs.append(note | {"trouble": "does not answer"})
    return labs


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


def overview(labs: list[dict[str, Any]]) -> Table:
    found = Table(title=f"{len(labs)} labs", title_justify="left")
    for name in ("lab", "runtime", "serves at", "replicas", "algorithm", "answered"):
        justify = "right" if name == "answered" else "left"
        found.add_column(name, justify=justify, no_wrap=name in ("lab", "serves at"))
    for at in labs:
        if "trouble" in at:
            found.add_row(at["name"], at["runtime"], at["url"], at["trouble"])
            continue
        replicas = at["lab"]["replicas"].values()
        states = Counter(str(each["state"]) for each in replicas)
        found.add_row(
            *(at["name"], at["runtime"], at["url"]),
            ", ".join(f"{count} {state}" for state, count in states.items()) or "none",
            str(at["lab"]["ring"]["algorithm"]),
            f"{sum(each['answered'] for each in replicas):,}",
        )
    return found


if __name__ == "__main__":
    main()
