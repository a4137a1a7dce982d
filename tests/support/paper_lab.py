"""A lab on paper: what the notebooks ask of one, worked out from the ring without a process."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any

import lab
import pandas as pd
from load_balancer import rings

from ring import BoundedLoads, Circle, Placement, RingError, key_of

# What becomes of a replica, and how many seconds after the fault.
FATES = {
    "/crash": {"suspect": 0.01, "dead": 0.02, "alive": 0.4, "replaced": 0.5},
    "/pause": {"dead": 1.3, "alive": 1.7, "replaced": 1.8},
}


class PaperLab(lab.Lab):
    """The admin API as the helper calls it, and traffic of which no GET is lost: worked out."""

    def __init__(self) -> None:
        super().__init__("http://paper")
        self.placed: Placement = lab.build_ring(3)
        self.rings: list[Any] = []  # those of the present stream; none, and there is no stream
        self.down: str | None = None  # crashed or paused, and not yet replaced
        self.frozen: set[str] = set()  # paused, and neither thawed nor replaced
        self.in_flight: Counter[str] = Counter()  # requests without an answer yet
        self.log: list[dict[str, Any]] = []

    # Traffic

    def send(
        self, request_ids: Sequence[int], *, concurrency: int = 64, **_: object
    ) -> pd.DataFrame:
        """A server that is down when it begins was paused, and has been replaced when it ends.
        Requests are answered in their order, each when `concurrency` are in flight."""
        rows = []
        asked = deque[str]()
        for key in request_ids:
            waits = self.placed.lookup(key) == self.down
            latency_s = FATES["/pause"]["dead"] if waits else 0.005
            rows.append((key, self._serving(key), 200, latency_s, 0.0))
            asked.append(self._acquire(key))
            if len(asked) == concurrency:
                self._release(asked.popleft())
        for server in asked:
            self._release(server)
        self._replaced()
        return _frame(rows, started_at=time.time())

    @contextmanager
    def stream(self, request_ids: Sequence[int], *, rate_hz: float) -> Iterator[SimpleNamespace]:
        """A fault within the block comes 2 s after its beginning; changes of the members come
        after 3 s, 4 s and so on. If all are frozen, requests wait until the block has ended."""
        stream = SimpleNamespace(answers=None)
        if self.frozen == set(self.placed.nodes):
            held = [(key, self._acquire(key)) for key in request_ids]
            yield stream
            for _, server in held:
                self._release(server)
            stream.answers = _frame([(*row, 200, 0.3, 0.0) for row in held], started_at=time.time())
            return
        fault_s = 0.0 if self.down else 2.0
        started_at, self.rings = time.time() - fault_s, [self.placed]
        yield stream
        times = {event["kind"]: event["time"] - started_at for event in self.log[-4:]}
        rows, waiting = [], []
        for index, key in enumerate(request_ids):
            sent = index / rate_hz
            ring = self.rings[min(max(0, int(sent) - 2), len(self.rings) - 1)]
            first, second, *_ = ring.preference(key)
            if first == self.down and fault_s <= sent < times["replaced"]:
                rows.append((key, second, 200, max(0.005, times["dead"] - sent), sent))
                if isinstance(ring, BoundedLoads):
                    waiting.append((ring, ring.acquire(key)))
            else:
                rows.append((key, first, 200, 0.005, sent))
        for ring, server in waiting:
            ring.release(server)
        self._replaced()
        self.rings = []
        stream.answers = _frame(rows, started_at=started_at)

    def _serving(self, key: int) -> str:
        return next(node for node in self.placed.preference(key) if node != self.down)

    def _acquire(self, key: int) -> str:
        """The server that the request waits for from now on."""
        placed = self.placed
        server = placed.acquire(key) if isinstance(placed, BoundedLoads) else placed.lookup(key)
        self.in_flight[server] += 1
        return server

    def _release(self, server: str) -> None:
        self.in_flight[server] -= 1
        if isinstance(self.placed, BoundedLoads):
            self.placed.release(server)

    def _replaced(self) -> None:
        self.down = None
        self.frozen.clear()

    def _thawed(self, hostname: str) -> None:
        """What would have become of it has not happened."""
        self.frozen.remove(hostname)
        self.down = next(iter(self.frozen), None)
        now = time.time()
        self.log = [
            event for event in self.log if event.get("hostname") != hostname or event["time"] <= now
        ]

    # The admin API

    def _request(self, method: str, path: str, **options: Any) -> Any:
        try:
            return self._answered(method, path, **options)
        except RingError as error:
            return _refusal(409, str(error))

    def _answered(self, method: str, path: str, **options: Any) -> Any:
        body = options.get("json") or {}
        named = body.get("hostnames", [])
        if "n" in body and body["n"] < max(1, len(named)):
            return _refusal(400, "n is too small")
        match method, path:
            case "PUT", "/rep":
                self._replaced()
                self._remove(set(self.placed.nodes) - set(named))
                self._add([name for name in named if name not in self.placed.nodes])
            case "POST", "/add":
                self._add([*named, *(f"S{number:06}" for number in range(body["n"] - len(named)))])
            case "DELETE", "/rm":
                self._remove(named)
            case "PUT", "/ring":
                self._configure(**body)
            case "POST", "/resume" if body["hostname"] in self.frozen:
                self._thawed(body["hostname"])
            case "POST", "/resume":
                return _refusal(409, "it is running")
            case "POST", "/home":
                asked = self.placed.lookup(key_of(options["headers"]["X-Request-ID"]))
                if asked == self.down:
                    message = f"{asked} closed the connection without an answer"
                    return _refusal(502, message, **{"X-Replica": asked})
                return _refusal(405, "the method is not allowed")
            case "POST", _:
                self.down = body["hostname"]
                if path == "/pause":
                    self.frozen.add(self.down)
                for kind, after_s in FATES[path].items():
                    self._record(kind, after_s, **body)
            case "GET", "/events":
                return _answer(self.log[options["params"]["since"] :])
            case "GET", "/route":
                asked_id = options["params"]["id"]
                key = key_of(asked_id)
                order = list(self.placed.preference(key))
                way = {"hash": self.placed.key_hash(key), "slot": None, "probes": None}
                if isinstance(self.placed, Circle):
                    way = asdict(self.placed.explain(key))
                names = {"id": asked_id, "key": key, "replica": order[0], "failover_order": order}
                return _answer({"message": way | names})
            case "GET", "/home":
                request_id = options["headers"].get("X-Request-ID", "123456")
                node = self._serving(key_of(request_id))
                headers = {"X-Replica": node, "X-Request-ID": request_id, "Via": "1.1 ringlab"}
                return _answer({"message": f"Hello from Server: {node}"}, **headers)
            case "GET", "/metrics":
                gauges = (
                    f'ringlab_in_flight{{replica="{server}"}} {count}.0'
                    for server, count in self.in_flight.items()
                )
                return _answer({}, text="\n".join(gauges))
            case "GET", "/rep":
                replicas = {"N": len(self.placed.nodes), "replicas": list(self.placed.nodes)}
                return _answer({"message": replicas, "status": "successful"})
            case "GET", other if other != "/ring":
                return _refusal(400, f"{other!r} endpoint does not exist in server replicas")
        return _answer({"message": self._described()})

    def _record(self, kind: str, after_s: float = 0.0, **details: Any) -> None:
        at = time.time() + after_s + max(0, len(self.rings) - 1)
        event = {"id": len(self.log) + 1, "kind": kind, "time": at}
        self.log.append(event | details)

    def _described(self) -> dict[str, Any]:
        ring = self.placed.placement if isinstance(self.placed, BoundedLoads) else self.placed
        return {
            **rings.describe(self.placed),
            "replicas": {
                name: {
                    "server_id": ring.node(name).node_id,
                    "state": "alive",
                    "slots": list(ring.slots_of(name)) if isinstance(ring, Circle) else None,
                }
                for name in ring.nodes
            },
        }

    def _add(self, hostnames: Sequence[str]) -> None:
        """All or none."""
        ring = self.placed.copy()
        for hostname in hostnames:
            ring.add(hostname)
        self._take_over(ring)
        for hostname in hostnames:
            self._record("alive", hostname=hostname)
        for hostname in hostnames:
            self._record("joined", hostname=hostname)

    def _remove(self, hostnames: Collection[str]) -> None:
        ring = self.placed.copy()
        for hostname in hostnames:
            ring.remove(hostname)
        self._take_over(ring)
        for hostname in hostnames:
            self._record("draining", hostname=hostname)
            self._record("drained", hostname=hostname)

    def _configure(self, **given: Any) -> None:
        ring = rings.choose(given, self.placed)
        members = [self.placed.node(node) for node in self.placed.nodes]
        for member in sorted(members, key=lambda each: each.node_id):
            ring.add(member.name, node_id=member.node_id)
        self._take_over(ring)
        self._record("ring")

    def _take_over(self, ring: Placement) -> None:
        self.placed = ring
        if self.rings:
            self.rings.append(ring)


def _frame(rows: list[tuple[Any, ...]], *, started_at: float) -> pd.DataFrame:
    columns = ["id", "replica", "status", "latency_s", "since_start_s"]
    answers = pd.DataFrame(rows, columns=columns)
    answers.attrs["started_at"] = started_at
    return answers


def _answer(content: Any, status: int = 200, text: str = "", **headers: str) -> SimpleNamespace:
    return SimpleNamespace(
        ok=status < 400, status_code=status, json=lambda: content, text=text, headers=headers
    )


def _refusal(status: int, message: str, **headers: str) -> SimpleNamespace:
    return _answer({"message": f"<Error> {message}", "status": "failure"}, status, **headers)
