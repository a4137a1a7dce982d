"""A lab on paper: what the notebooks ask of one, worked out from the ring without a process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any

import lab
import pandas as pd

from ring import RingFull, SlotRing

THEIRS = {"slots": "num_slots", "virtual_nodes": "num_virtual_nodes"}
# What becomes of a replica, and how many seconds after the fault.
FATES = {
    "/crash": {"suspect": 0.01, "dead": 0.02, "replaced": 0.5},
    "/pause": {"dead": 1.3, "replaced": 1.8},
}


class PaperLab(lab.Lab):
    """The admin API as the helper calls it, and traffic of which nothing is lost: worked out."""

    def __init__(self) -> None:
        super().__init__("http://paper")
        self.placed = lab.build_ring(3)
        self.log: list[dict[str, Any]] = []

    # Traffic

    def send(self, request_ids: Sequence[int], **_: object) -> pd.DataFrame:
        rows = [(key, self.placed.lookup(key), 200, 0.005, 0.0) for key in request_ids]
        return _frame(rows, started_at=time.time())

    @contextmanager
    def stream(self, request_ids: Sequence[int], *, rate_hz: float) -> Iterator[SimpleNamespace]:
        """A fault within the block comes 2 s after its beginning."""
        stream = SimpleNamespace(answers=None)
        started_at = time.time() - 2
        yield stream
        times = {event["kind"]: event["time"] - started_at for event in self.log[-3:]}
        rows = []
        for index, key in enumerate(request_ids):
            sent = index / rate_hz
            first, second, _ = self.placed.preference_list(key)
            if first == self.log[-1]["hostname"] and 2 < sent < times["replaced"]:
                rows.append((key, second, 200, max(0.005, times["dead"] - sent), sent))
            else:
                rows.append((key, first, 200, 0.005, sent))
        stream.answers = _frame(rows, started_at=started_at)

    # The admin API

    def _call(self, method: str, path: str, **options: Any) -> Any:
        body, now = options.get("json", {}), time.time()
        named = body.get("hostnames", [])
        match method, path:
            case "PUT", "/rep":
                self._remove(set(self.placed.nodes) - set(named))
                self._add(name for name in named if name not in self.placed.nodes)
            case "POST", "/add":
                self._add(named)
            case "DELETE", "/rm":
                self._remove(named)
            case "PUT", "/ring":
                self._configure(**body)
            case "POST", "/resume":
                raise lab.LabError("it is running")
            case "POST", _:
                for kind, after_s in FATES[path].items():
                    event = {"kind": kind, "time": now + after_s, **body}
                    self.log.append({"id": len(self.log) + 1, **event})
            case "GET", "/events":
                return _answer(self.log[options["params"]["since"] :])
            case "GET", "/route":
                way = asdict(self.placed.explain(int(options["params"]["id"])))
                order = way["preference_list"]
                names = {"replica": order[0], "failover_order": list(order)}
                return _answer({"message": way | names})
            case "GET", "/home":
                node = self.placed.lookup(int(options["headers"]["X-Request-ID"]))
                return _answer({"message": f"Hello from Server: {node}"}, **{"X-Replica": node})
        return _answer({"message": self._described()})

    def _described(self) -> dict[str, Any]:
        return {
            "preset": "default" if self.placed.config == lab.config() else None,
            "replicas": {
                name: {"server_id": server_id, "state": "alive", "slots": list(slots)}
                for name, (server_id, slots) in self.placed.snapshot().items()
            },
        }

    def _add(self, hostnames: Any) -> None:
        for hostname in hostnames:
            taken = {self.placed.node_id(node) for node in self.placed.nodes}
            own = int(hostname.removeprefix("Server")) if hostname.startswith("Server") else 1
            _place(self.placed, hostname, own if own not in taken else max(taken) + 1)

    def _remove(self, hostnames: Any) -> None:
        for hostname in hostnames:
            self.placed.remove(hostname)

    def _configure(self, preset: str | None = None, **fields: Any) -> None:
        base = lab.config(preset) if preset else self.placed.config
        members = {node: self.placed.node_id(node) for node in self.placed.nodes}
        placed = SlotRing(
            replace(base, **{THEIRS.get(name, name): fields[name] for name in fields})
        )
        for hostname in sorted(members, key=members.__getitem__):
            _place(placed, hostname, members[hostname])
        self.placed = placed


def _place(ring: SlotRing, hostname: str, server_id: int) -> None:
    """A ring without room refuses it, and is what it was."""
    try:
        ring.add(hostname, server_id)
    except RingFull as error:
        raise lab.LabError(str(error)) from error


def _frame(rows: list[tuple[Any, ...]], *, started_at: float) -> pd.DataFrame:
    columns = ["id", "replica", "status", "latency_s", "since_start_s"]
    answers = pd.DataFrame(rows, columns=columns)
    answers.attrs["started_at"] = started_at
    return answers


def _answer(content: Any, **headers: str) -> SimpleNamespace:
    return SimpleNamespace(json=lambda: content, headers=headers)
