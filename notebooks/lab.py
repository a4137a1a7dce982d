"""The course's one helper: talk to the lab, load it, predict it, judge it, draw it.

>>> import lab
>>> ringlab = lab.connect()                                  # N = 3, default ring
>>> predicted = lab.predict(lab.ids(), 3, "seed-deployed")   # from ring/, nothing is asked
>>> with ringlab.temporarily(3, "seed-deployed"):             # goes back, whatever happens
...     answers = ringlab.send(lab.ids())                    # a row per request
>>> lab.verdict(predicted, lab.counts(answers))
agree: χ²(2) = 0.0, p = 1; 10000 of 10000 answers, equal to the digit

The lab is reached over HTTP like anybody else does: at RINGLAB_URL (http://127.0.0.1:5050), with
RINGLAB_ADMIN_TOKEN if it wants one.
"""

from __future__ import annotations

import asyncio
import atexit
import math
import os
import random
import re
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from io import StringIO
from itertools import count
from typing import Any, NamedTuple, NoReturn, TypeAlias

import aiohttp
import numpy as np
import pandas as pd
import requests
from IPython import get_ipython
from IPython.display import SVG, display
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from tqdm import tqdm

from ring import PRESETS, Circle, Placement, RingConfig, SlotRing, key_of, make, metrics

HOME = ("Server1", "Server2", "Server3")  # what every notebook begins and ends with
HOME_PRESET = "default"
ADMIN_TIMEOUT_S = 60.0  # the load balancer gives new replicas 30 s to answer
REQUEST_TIMEOUT_S = 10.0
NOTICE_S = 0.5  # two heartbeats: by then the lab knows of a crash
SIGNIFICANCE = 0.01  # smaller p: not chance

Field: TypeAlias = int | float | str | bool | None  # of `PUT /ring`


class LabError(Exception):
    """The lab refused a call; the message is its own."""

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: the message says it all, so it is shown alone."""
        return [f"{type(self).__name__}: {self}"]


class LabDown(LabError):
    """Nobody answers at the lab's address."""


# The lab, over its admin API


class Lab:
    """A running lab. Every call raises LabError with the lab's own words when it is refused."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy would not know the way to this machine
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def __repr__(self) -> str:
        return f"<Lab of {', '.join(self.replicas())}>"

    # Replicas

    def replicas(self) -> list[str]:
        """Hostnames of the replicas that are alive, Server2 before Server10."""
        return self._hostnames("GET", "/rep")

    def set_replicas(self, replicas: int | Sequence[str]) -> list[str]:
        """Makes the replicas exactly these (a number: Server1 .. ServerN); all serve on return."""
        return self._hostnames("PUT", "/rep", json={"hostnames": servers(replicas)})

    def add(self, *hostnames: str, n: int | None = None) -> list[str]:
        """Adds these replicas, or n of them, the unnamed ones with random names."""
        body = {"n": len(hostnames) if n is None else n, "hostnames": list(hostnames)}
        return self._hostnames("POST", "/add", json=body)

    def remove(self, *hostnames: str, n: int | None = None) -> list[str]:
        """Drains and removes these replicas, or n of them, the unnamed ones picked at random."""
        body = {"n": len(hostnames) if n is None else n, "hostnames": list(hostnames)}
        return self._hostnames("DELETE", "/rm", json=body)

    # Faults; when they were ordered, in seconds since the epoch

    def crash(self, hostname: str) -> float:
        """SIGKILL, behind the load balancer's back."""
        return self._fault("/crash", hostname)

    def pause(self, hostname: str) -> float:
        """Freezes a replica: it accepts connections and answers nothing."""
        return self._fault("/pause", hostname)

    def resume(self, hostname: str) -> float:
        """Thaws a frozen replica."""
        return self._fault("/resume", hostname)

    # Ring

    def ring(self) -> dict[str, Any]:
        """Configuration, and per replica its server_id, state, share of the keys, and slots if
        the algorithm has any."""
        return self._message("GET", "/ring")

    def set_ring(self, preset: str | None = None, **fields: Field) -> dict[str, Any]:
        """Changes the ring under traffic: a preset, another algorithm (algorithm="rendezvous"), or
        the present ring, with these fields changed: slots, virtual_nodes, key_hash,
        virtual_node_hash, probing, or those of the algorithm; load_factor bounds the loads of any
        of them, and None lifts the bound."""
        given = fields if preset is None else {"preset": preset, **fields}
        return self._message("PUT", "/ring", json=given)

    def set_table(self, table: Sequence[str], key_hash: str) -> dict[str, Any]:
        """Makes the ring this one: M = len(table) slots, table[s] is the hostname of slot s."""
        return self._message("PUT", "/ring", json={"table": list(table), "key_hash": key_hash})

    def route(self, request_id: int | str) -> dict[str, Any]:
        """The lab's explanation of one decision."""
        return self._message("GET", "/route", params={"id": str(request_id)})

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        """What has happened, oldest first: id, time (seconds since the epoch), kind, details."""
        headers = {"Accept": "application/json"}
        answer = self._call("GET", "/events", params={"since": since}, headers=headers)
        return list(answer.json())

    def last_event(self) -> int:
        """Number of the latest event, for `events(since=...)`."""
        return max((event["id"] for event in self.events()), default=0)

    # Traffic

    def get(self, request_id: int | str) -> requests.Response:
        """One request, with its answer's headers and body."""
        return self._call("GET", "/home", headers={"X-Request-ID": str(request_id)})

    def send(
        self, request_ids: Sequence[int], *, concurrency: int = 64, progress: bool = False
    ) -> pd.DataFrame:
        """Sends one request per id, at most `concurrency` at once; the answers, in order of ids.

        Columns: id; replica (X-Replica, None without an answer); status (HTTP; 0 without an
        answer); latency_s; since_start_s, when it was sent. attrs["started_at"]: seconds since
        the epoch. progress: a bar on stderr.
        """
        with (
            tqdm(total=len(request_ids), disable=not progress, leave=False, mininterval=1) as bar,
            Load(self.url, partial(_in_turn, request_ids, concurrency, bar)) as load,
        ):
            pass  # the end of the block waits for the last answer
        return load.answers

    def stream(self, request_ids: Sequence[int], *, rate_hz: float) -> Load:
        """Sends one request per id in the background, `rate_hz` of them a second whether or not
        earlier ones have been answered, while a `with` block runs:

        >>> with ringlab.stream(lab.ids(320), rate_hz=40) as stream:
        ...     ringlab.crash("Server2")
        >>> stream.answers  # as from `send`, complete when the block has ended
        """
        return Load(self.url, partial(_by_the_clock, request_ids, rate_hz))

    def ask(
        self, method: str, path: str, body: Any = None, *, request_id: int | str | None = None
    ) -> requests.Response:
        """Any call, with its answer as it comes: a refusal is returned, and not raised.

        body: sent as JSON. request_id: sent as X-Request-ID."""
        headers = {} if request_id is None else {"X-Request-ID": str(request_id)}
        return self._request(method, path, json=body, headers=headers)

    # There and back

    @contextmanager
    def temporarily(
        self, replicas: int | Sequence[str], preset: str = HOME_PRESET, **fields: Field
    ) -> Iterator[Lab]:
        """The lab with these replicas and this ring, or with another algorithm instead of the
        preset; restored at the end, on failure and on interrupt. The ring is built anew, members
        in the order of their ids, as `predict` does."""
        try:
            self._replace(servers(replicas))
            self.set_ring(None if "algorithm" in fields else preset, **fields)
            yield self
        finally:
            self.restore()

    def is_home(self) -> bool:
        """Whether the lab is as notebooks begin and end: N = 3, all alive, the default ring."""
        ring = self.ring()
        members = {name: (at["server_id"], at["state"]) for name, at in ring["replicas"].items()}
        expected = {name: (server_id, "alive") for name, server_id in server_ids(HOME).items()}
        return bool(ring["preset"] == HOME_PRESET and members == expected)

    def restore(self) -> None:
        """Back to N = 3 and the default ring, from whatever a notebook has left behind."""
        for hostname in HOME:
            with suppress(LabError):  # refused unless it is paused
                self.resume(hostname)
        self._replace(HOME)
        time.sleep(NOTICE_S)
        self.set_replicas(HOME)  # returns when a crashed one has been replaced
        self.set_ring(HOME_PRESET)  # once more, for a ring without history

    # Within

    def _replace(self, hostnames: Sequence[str]) -> None:
        """These replicas, with the ids that `server_ids` gives them, whatever was there."""
        present = self.set_ring(HOME_PRESET)["replicas"]  # a ring with room for both
        numbers = server_ids(hostnames).items()
        # Who holds another id than its own leaves first, and so does a stranger.
        self.set_replicas(
            [name for name, own in numbers if name in present and present[name]["server_id"] == own]
        )
        self.set_replicas(hostnames)

    def _fault(self, path: str, hostname: str) -> float:
        ordered_at = time.time()
        self._call("POST", path, json={"hostname": hostname})
        return ordered_at

    def _hostnames(self, method: str, path: str, **options: Any) -> list[str]:
        # The lab's own order is that in which they joined, so it tells of former notebooks.
        return sorted(self._message(method, path, **options)["replicas"], key=_in_number_order)

    def _message(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        return dict(self._call(method, path, **options).json()["message"])

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        answer = self._request(method, path, **options)
        if not answer.ok:
            raise LabError(_words(answer))
        return answer

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return self._session.request(
                method, self.url + path, timeout=ADMIN_TIMEOUT_S, **options
            )
        except (requests.ConnectionError, requests.Timeout):
            raise LabDown(
                f"the lab does not answer at {self.url}. Start it with `make up` in the project's"
                " folder (a minute; the first time some more), then run this cell again. A lab at"
                " another address is named by the environment variable RINGLAB_URL, its admin"
                " token, if it wants one, by RINGLAB_ADMIN_TOKEN."
            ) from None


def connect() -> Lab:
    """The lab, at N = 3 with the default ring; LabDown says how to start it.

    From now on it is also restored when a cell fails or is interrupted, and when the kernel ends.
    """
    url = os.environ.get("RINGLAB_URL", "http://127.0.0.1:5050")
    ringlab = Lab(url, os.environ.get("RINGLAB_ADMIN_TOKEN", ""))
    ringlab.restore()
    if (shell := get_ipython()) is not None and not hasattr(shell, "ringlab_guard"):
        shell.ringlab_guard = _guard(ringlab)
        shell.events.register("post_run_cell", shell.ringlab_guard)
    return ringlab


def _guard(ringlab: Lab) -> Callable[[Any], None]:
    """What restores the lab after a failed cell; it also does when the kernel ends."""

    def put_back() -> bool:
        with suppress(LabError):
            if not ringlab.is_home():
                ringlab.restore()
                return True
        return False

    def after_cell(result: Any) -> None:
        if not result.success and put_back():
            print("The cell failed; the lab is back at N = 3 and the default ring.")

    atexit.register(put_back)
    return after_cell


def _words(answer: requests.Response) -> str:
    """The message of an error, which has one shape, or what came in its place."""
    try:
        return str(answer.json()["message"]).removeprefix("<Error> ")
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code} from {answer.request.method} {answer.url}"


# Load


def ids(count: int = 10_000, *, seed: int = 42) -> list[int]:
    """Request ids, the same in every run: six digits, from random.Random(seed)."""
    generator = random.Random(seed)
    return [generator.randint(100_000, 999_999) for _ in range(count)]


class _Row(NamedTuple):
    """A request and its answer; a row of the frame."""

    id: int
    replica: str | None
    status: int
    latency_s: float
    since_start_s: float


_Ask: TypeAlias = Callable[[int], Awaitable[_Row]]


class Load:
    """Requests that a thread of its own sends while a `with` block runs; then `answers` is there.

    A notebook's thread has an event loop already, and its cells are to stay plain code. Left by an
    error or an interrupt, it stops at once.
    """

    answers: pd.DataFrame

    def __init__(self, url: str, send: Callable[[_Ask], Awaitable[list[_Row]]]) -> None:
        self._url = url + "/home"
        self._send = send
        self._thread = ThreadPoolExecutor(1)
        self._started = threading.Event()

    def __enter__(self) -> Load:
        self._frame = self._thread.submit(asyncio.run, self._run())
        self._started.wait()
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None:
                self.answers = self._frame.result()
        finally:
            with suppress(RuntimeError):  # the loop is closed: it has ended by itself
                self._loop.call_soon_threadsafe(self._stop)
            self._thread.shutdown()

    async def _run(self) -> pd.DataFrame:
        self._loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._stop = task.cancel
        started_at, started = time.time(), time.perf_counter()
        self._started.set()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
        ) as session:
            # aiohttp sends a request again whose connection was cut, and would hide that loss.
            session._retry_connection = False

            async def ask(request_id: int) -> _Row:
                sent = time.perf_counter()
                replica, status = await _get(session, self._url, request_id)
                return _Row(request_id, replica, status, time.perf_counter() - sent, sent - started)

            rows = await self._send(ask)
        answers = pd.DataFrame(rows, columns=list(_Row._fields))
        answers.attrs["started_at"] = started_at
        return answers


async def _get(session: aiohttp.ClientSession, url: str, request_id: int) -> tuple[str | None, int]:
    """Replica and status; None and 0 when there is no answer."""
    try:
        async with session.get(url, headers={"X-Request-ID": str(request_id)}) as answer:
            await answer.read()
            return answer.headers.get("X-Replica"), answer.status
    except (aiohttp.ClientError, TimeoutError):
        return None, 0


async def _in_turn(
    request_ids: Sequence[int], concurrency: int, bar: tqdm[NoReturn], ask: _Ask
) -> list[_Row]:
    """As fast as answers come: each of `concurrency` askers takes the next id that is left."""
    rows: dict[int, _Row] = {}
    left = iter(enumerate(request_ids))

    async def asker() -> None:
        for index, request_id in left:
            rows[index] = await ask(request_id)
            bar.update()

    await asyncio.gather(*(asker() for _ in range(concurrency)))
    return [rows[index] for index in range(len(request_ids))]


async def _by_the_clock(request_ids: Sequence[int], rate_hz: float, ask: _Ask) -> list[_Row]:
    """Request k is sent k / rate_hz seconds after the first, however slow the answers are."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    waiting = []
    for index, request_id in enumerate(request_ids):
        await asyncio.sleep(started + index / rate_hz - loop.time())
        waiting.append(asyncio.ensure_future(ask(request_id)))
    return list(await asyncio.gather(*waiting))


def counts(answers: pd.DataFrame) -> pd.Series[int]:
    """Number of good answers (status 200) per replica."""
    found = answers.loc[answers["status"] == 200, "replica"].value_counts()
    return found.loc[sorted(found.index, key=_in_number_order)].rename("measured")


# Prediction


def servers(replicas: int | Sequence[str]) -> list[str]:
    """Server1 .. ServerN for a number; a list of names as it is."""
    if isinstance(replicas, int):
        return [f"Server{number}" for number in range(1, replicas + 1)]
    return list(replicas)


def server_ids(hostnames: Iterable[str]) -> dict[str, int]:
    """As the lab gives them: K for a name ServerK while free, else the smallest free from 1."""
    given: dict[str, int] = {}
    for hostname in hostnames:
        free = (number for number in count(1) if number not in given.values())
        own = re.fullmatch("Server([1-9][0-9]*)", hostname)
        wanted = int(own[1]) if own else 0
        given[hostname] = wanted if wanted and wanted not in given.values() else next(free)
    return given


def config(preset: str = HOME_PRESET, **fields: Field) -> RingConfig:
    """A preset with fields changed that are called as in `PUT /ring`."""
    theirs = {"slots": "num_slots", "virtual_nodes": "num_virtual_nodes"}
    changes: dict[str, Any] = {theirs.get(name, name): value for name, value in fields.items()}
    return replace(PRESETS[preset], **changes)


def build_ring(
    replicas: int | Sequence[str], preset: str = HOME_PRESET, **fields: Field
) -> SlotRing:
    """The ring as the lab builds it with `PUT /ring`: members in the order of their ids."""
    ring = SlotRing(config(preset, **fields))
    _populate(ring, replicas)
    return ring


def build_placement(
    replicas: int | Sequence[str], algorithm: str, **parameters: Field
) -> Placement:
    """Any algorithm's placement, as the lab builds it with `PUT /ring`."""
    placement = make(algorithm, **parameters)
    _populate(placement, replicas)
    return placement


def _populate(placement: Placement, replicas: int | Sequence[str]) -> None:
    numbers = server_ids(servers(replicas))
    for hostname in sorted(numbers, key=numbers.__getitem__):
        placement.add(hostname, node_id=numbers[hostname])


def predict(
    request_ids: Iterable[int],
    replicas: int | Sequence[str],
    preset: str = HOME_PRESET,
    *,
    algorithm: str | None = None,
    **fields: Field,
) -> pd.Series[int]:
    """Requests per replica, worked out from the ring, or from another algorithm's placement; the
    lab is not asked."""
    ring = (
        build_ring(replicas, preset, **fields)
        if algorithm is None
        else build_placement(replicas, algorithm, **fields)
    )
    return pd.Series(metrics.counts(ring, request_ids), name="predicted")


def shares(ring: Circle[Any]) -> pd.Series[float]:
    """Share of the slots that each node owns, in 0..1: what it gets of very many random keys."""
    owned = np.bincount(ring.owners(), minlength=len(ring.nodes))
    return pd.Series(owned / ring.config.num_slots, index=ring.nodes, name="share")


def summary(per_replica: pd.Series[int]) -> dict[str, float]:
    """Average load, peak-to-mean, and spread (standard deviation over mean)."""
    return {
        "average": float(per_replica.mean()),
        "peak_to_mean": metrics.peak_to_mean(per_replica),
        "spread": metrics.coefficient_of_variation(per_replica),
    }


def _in_number_order(hostname: str) -> tuple[int, str]:
    """Server10 comes after Server9."""
    return len(hostname), hostname


# Verdict


@dataclass(frozen=True)
class Verdict:
    """What a measurement says of a prediction.

    word: "agree", "too few answers" or "differs". chi_squared, p: Pearson's test of the measured
    counts against the predicted shares with so many degrees of freedom, one fewer than servers; p
    is the probability of a chi_squared as large by chance.
    answers, expected: how many came, how many should have. exact: every count is the predicted.

    Ids come from a seed and routing is no matter of chance, so `exact` is the sharper judge: it
    sees a single request that went astray, which χ² never does. χ² tells noise from a cause where
    the ids cannot be chosen.
    """

    word: str
    chi_squared: float
    degrees: int
    p: float
    answers: int
    expected: int
    exact: bool

    def __repr__(self) -> str:
        equal = "equal to the digit" if self.exact else "not equal to the digit"
        return (
            f"{self.word}: χ²({self.degrees}) = {self.chi_squared:.1f}, p = {self.p:.2g}; "
            f"{self.answers} of {self.expected} answers, {equal}"
        )


def verdict(predicted: Mapping[str, float], measured: Mapping[str, int]) -> Verdict:
    """Judges measured counts per replica by predicted ones; absent names count 0.

    "too few answers": some were lost, or some prediction is below 5, where χ² says nothing, and
    the counts are not equal. "differs": p < 0.01.
    """
    expected, found = dict(predicted), dict(measured)
    names = expected | found
    pairs = [(expected.get(name, 0), found.get(name, 0)) for name in names]
    answers, total = sum(found.values()), round(sum(expected.values()))
    chi_squared = sum(_deviation(count * answers / total, came) for count, came in pairs)
    positive = [count for count, _ in pairs if count > 0]
    p = chi_squared_p(chi_squared, len(positive) - 1)
    exact = all(count == came for count, came in pairs)
    if answers < total or (not exact and min(positive) < 5):
        word = "too few answers"
    else:
        word = "differs" if p < SIGNIFICANCE else "agree"
    return Verdict(word, chi_squared, len(positive) - 1, p, answers, total, exact)


def _deviation(expected: float, found: int) -> float:
    """One term of χ²."""
    if expected == 0:
        return math.inf if found else 0.0
    return (found - expected) ** 2 / expected


def chi_squared_p(chi_squared: float, degrees: int) -> float:
    """Probability that chance alone gives a χ² of at least this with so many degrees of freedom.

    It is Q(degrees/2, χ²/2), the regularised upper incomplete gamma function, which for halves of
    integers is a finite sum of positive terms: Q(1/2, x) = erfc √x, Q(1, x) = e^-x, and
    Q(a + 1, x) = Q(a, x) + x^a e^-x / Γ(a + 1). Source: DLMF 8.4.6, 8.4.8, 8.8.6.
    """
    x = chi_squared / 2
    if degrees < 1 or x == 0 or math.isinf(x):
        return 1.0 if x == 0 else 0.0
    a, q = (0.5, math.erfc(math.sqrt(x))) if degrees % 2 else (1.0, math.exp(-x))
    while a < degrees / 2:
        q += math.exp(a * math.log(x) - x - math.lgamma(a + 1))
        a += 1
    return q


def moves(before: Sequence[str], after: Sequence[str]) -> pd.DataFrame:
    """How many keys went from whom (rows) to whom (columns). Entry i of both is the server of key
    i; who kept its keys has them where its row meets its column."""
    table = pd.crosstab(pd.Series(before, name="before"), pd.Series(after, name="after"))
    return table.reindex(
        index=sorted(table.index, key=_in_number_order),
        columns=sorted(table.columns, key=_in_number_order),
    )


# Timeline of a crash


def timeline(
    answers: pd.DataFrame, events: Sequence[Mapping[str, Any]], hostname: str, **fault_at: float
) -> dict[str, float]:
    """What became of one replica, in seconds since the first request; nan for what did not happen.

    First the fault, by the name it is given (`kill=ringlab.crash(...)`), then: suspected, a
    connection was refused or cut; out, declared dead; replaced, a fresh replica of its name
    serves; back, the first request after that which it answered. Events and requests are timed by
    one clock, so client and load balancer have to be on one machine.
    """
    started_at = answers.attrs["started_at"]
    marks = {name: at - started_at for name, at in fault_at.items()}
    for mark, kind in (("suspected", "suspect"), ("out", "dead"), ("replaced", "replaced")):
        marks[mark] = min(
            (
                event["time"] - started_at
                for event in events
                if event["kind"] == kind and event.get("hostname") == hostname
            ),
            default=math.nan,
        )
    is_answer = (answers["replica"] == hostname) & (answers["status"] == 200)
    sent = answers.loc[is_answer, "since_start_s"]
    marks["back"] = float(sent[sent > marks["replaced"]].min())
    return marks


# Plots: all in one style, predicted hollow beside measured filled; none returns a value

# Okabe and Ito's palette, told apart with every kind of colour vision; black is for marks.
_PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_STYLE: Any = {
    "svg.hashsalt": "ringlab",  # else ids in the file differ from run to run
    "font.size": 11,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#DDDDDD",
    "figure.titlesize": 13,
    "figure.titleweight": "bold",
    "hatch.linewidth": 1.2,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 7,
}
_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 1}


def _colour(hostname: str) -> str:
    """ServerK has one colour in all figures; other names have theirs by a stable hash."""
    number = hostname.removeprefix("Server")
    position = int(number) - 1 if number.isdecimal() else key_of(hostname)
    return _PALETTE[position % len(_PALETTE)]


@contextmanager
def _drawing(
    rows: int = 1, columns: int = 1, *, width: float = 9, height: float = 4.5, **options: Any
) -> Iterator[Any]:
    """Axes to draw on, one or an array of them; then shown as an SVG, the same for same data."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure.subplots(rows, columns, **options)
        svg = StringIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    display(SVG(_rounded(svg.getvalue())))


_COORDINATE = re.compile(r"(?<!scale\()(?<![\d.])-?\d+\.\d{3,}")


def _rounded(svg: str) -> str:
    """Coordinates to hundredths: in the sixth decimal processors differ, and nobody sees it.

    Not halves up, but beside them, where no coordinate lies by design: those of text are multiples
    of a power of two, and among these are halves.
    """
    return _COORDINATE.sub(lambda match: f"{float(match[0]) + 0.0013705:.2f}", svg)


def plot_counts(predicted: pd.Series[float], measured: pd.Series[int], title: str) -> None:
    """Bars: requests per server, predicted beside measured, and their mean."""
    measured = measured.reindex(predicted.index, fill_value=0)
    colours = [_colour(hostname) for hostname in predicted.index]
    places = np.arange(len(predicted))
    with _drawing() as axes:
        hollow = {"facecolor": "white", "edgecolor": colours, "hatch": "///", "linewidth": 1.5}
        for offset, series, look in (
            (-0.2, predicted, hollow),
            (0.2, measured, {"color": colours}),
        ):
            bars = axes.bar(places + offset, series, width=0.38, **look)
            axes.bar_label(bars, fmt="{:.0f}", padding=2, zorder=3, bbox=_ON_WHITE)
        mean = predicted.mean()
        axes.axhline(mean, color="black", linestyle="--", linewidth=1.2)
        axes.annotate(
            f" mean {mean:.0f}", (1, mean), xycoords=("axes fraction", "data"), va="center"
        )
        axes.set_xticks(places, predicted.index)
        axes.set(
            title=title, ylabel="requests", ylim=(0, 1.15 * max(predicted.max(), measured.max()))
        )
        grey: dict[str, Any] = {"edgecolor": "#555555", "linewidth": 1.5}
        axes.legend(
            handles=[
                Patch(facecolor="white", hatch="///", label="predicted", **grey),
                Patch(facecolor="#555555", label="measured", **grey),
            ],
            loc="upper right",
            ncols=2,
        )


def _line(axes: Axes, predicted: pd.Series[float], measured: pd.Series[float], **look: Any) -> None:
    """Predicted as a line of rings, measured as dots: a prediction that holds fills its rings."""
    axes.plot(predicted.index, predicted, markerfacecolor="white", markersize=9, **look)
    axes.plot(measured.index, measured, **look | {"linestyle": "", "label": None, "markersize": 4})


def plot_moves(steps: Mapping[str, pd.DataFrame], title: str) -> None:
    """A panel for each step, by its name: tables of `moves` with their numbers. Grey stayed; the
    more moved, the darker."""
    width = max(5.5, 2.75 * len(steps))
    with _drawing(columns=len(steps), width=width, height=3.6, squeeze=False) as rows:
        for axes, (name, table) in zip(rows[0], steps.items(), strict=True):
            stayed = np.equal.outer(table.index.to_numpy(), table.columns.to_numpy())
            counts = table.to_numpy()
            shades = np.where(stayed, 0.0, counts / max(1, counts[~stayed].max(initial=0)))
            colours = np.array([1, 1, 1]) - shades[..., None] * np.array([1, 0.55, 0.3])
            colours[stayed] = 0.88
            axes.imshow(colours, aspect="auto")
            for (row, column), number in np.ndenumerate(counts):
                colour = "white" if shades[row, column] > 0.5 else "black"
                weight = "bold" if shades[row, column] else "normal"
                axes.text(
                    column, row, str(number), ha="center", va="center", color=colour, weight=weight
                )
            axes.set(title=name, xlabel="server after", ylabel="server before")
            for axis, hostnames in ((axes.xaxis, table.columns), (axes.yaxis, table.index)):
                short = [hostname.removeprefix("Server") for hostname in hostnames]
                axis.set_ticks(range(len(short)), short)
            axes.grid(visible=False)
            axes.tick_params(length=0)
        rows[0][0].figure.suptitle(title, x=0.01, ha="left")


def plot_scaling(predicted: pd.DataFrame, measured: pd.DataFrame, title: str) -> None:
    """Average load, peak-to-mean and spread over N: frames of `summary`, indexed by N."""
    panels = {
        "average": ("average load", "requests per server"),
        "peak_to_mean": ("peak to mean", "busiest server / average"),
        "spread": ("spread", "standard deviation / average"),
    }
    with _drawing(columns=3, width=11, height=3.8) as row:
        for axes, (column, (name, unit)), colour in zip(
            row, panels.items(), _PALETTE, strict=False
        ):
            _line(axes, predicted[column], measured[column], color=colour, marker="o")
            axes.set(title=name, ylabel=unit, xlabel="servers N", xticks=predicted.index)
            axes.set_ylim(bottom=1 if column == "peak_to_mean" else 0)
            axes.margins(y=0.15)
        row[0].figure.suptitle(f"{title}   (○ predicted, ● measured)", x=0.01, ha="left")


def plot_peak_to_mean(predicted: pd.DataFrame, measured: pd.DataFrame, title: str) -> None:
    """Peak-to-mean over N: a column per pair (H, Φ), which is its label. Φ gives a line its
    colour, H its dashes and marker."""
    of_h, of_phi = (list(dict.fromkeys(names)) for names in zip(*predicted.columns, strict=True))
    with _drawing(height=5) as axes:
        for h, phi in sorted(predicted.columns, key=lambda pair: -predicted[pair].iloc[-1]):
            look: dict[str, Any] = {
                "color": _PALETTE[of_phi.index(phi)],
                "linestyle": ("-", "--", ":", "-.")[of_h.index(h)],
                "marker": "osD^"[of_h.index(h)],
                "label": f"{h}, {phi}",
            }
            _line(axes, predicted[h, phi], measured[h, phi], **look)
        axes.set(title=f"{title}\n(hollow: predicted, filled: measured)")
        axes.set(xlabel="servers N", ylabel="busiest server / average", xticks=predicted.index)
        axes.set_ylim(bottom=1)
        axes.legend(title="H, Φ", loc="center left", bbox_to_anchor=(1, 0.5), handlelength=3)


def plot_lines(
    predicted: pd.DataFrame,
    measured: pd.DataFrame,
    title: str,
    *,
    xscale: str = "linear",
    **labels: Any,
) -> None:
    """A line per column over the index, measured where there is a column of its name.

    labels: what `Axes.set` takes, as xlabel, ylabel and ylim.
    """
    with _drawing() as axes:
        axes.set_xscale(xscale)
        for column, colour, marker, dashes in zip(
            predicted, _PALETTE, "osD^vP*X", ("-", "--", ":", "-.") * 2, strict=False
        ):
            own = measured[column] if column in measured else pd.Series(dtype=float)
            look = {"color": colour, "marker": marker, "linestyle": dashes, "label": column}
            _line(axes, predicted[column], own, **look)
        axes.set_xticks(predicted.index, [f"{x:g}" for x in predicted.index])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set(title=f"{title}\n(hollow: predicted, filled: measured)", **labels)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), handlelength=3)


def plot_panels(panels: Mapping[str, pd.DataFrame], title: str, **labels: Any) -> None:
    """A panel for each frame, by its name, side by side: what was worked out and not measured, a
    line per column over the index, on a logarithmic axis with the values themselves as ticks.

    labels: what `Axes.set` takes, for all panels, as xlabel.
    """
    with _drawing(columns=len(panels), width=11, height=3.8, squeeze=False) as rows:
        for axes, (name, frame) in zip(rows[0], panels.items(), strict=True):
            for column, colour, marker, dashes in zip(
                frame, _PALETTE, "osD^vP*X", ("-", "--", ":", "-.") * 2, strict=False
            ):
                look = {"color": colour, "marker": marker, "linestyle": dashes, "label": column}
                axes.plot(frame.index, frame[column], **look)
            axes.set_xscale("log")
            axes.set_xticks(frame.index, [f"{x:g}" for x in frame.index])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set(title=name, **labels)
            axes.set_ylim(bottom=0)
            if len(frame.columns) > 1:
                axes.legend(handlelength=3)
        rows[0][0].figure.suptitle(title, x=0.01, ha="left")


def plot_criteria(table: pd.DataFrame, title: str, *, log: Collection[str] = ()) -> None:
    """A panel per column, a row per entry of the index, the first one on top: a dot and its number.
    Each column has its own scale, a logarithmic one where it is named in `log`."""
    size = {"width": max(6, 1.2 + 1.95 * len(table.columns)), "height": 1.4 + 0.3 * len(table)}
    with _drawing(columns=len(table.columns), sharey=True, squeeze=False, **size) as rows:
        for axes, (column, values), colour in zip(rows[0], table.items(), _PALETTE, strict=False):
            axes.plot(values, range(len(table)), "o", color=colour)
            for row, value in enumerate(values):
                number = f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:.0f}"
                place: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
                axes.annotate(number, (value, row), (8, 0), **place, bbox=_ON_WHITE)
            ends = np.array([values.min(), values.max()], float)
            ends = np.log10(ends) if column in log else ends
            ends += np.array([-0.12, 0.75]) * (np.ptp(ends) or 1)  # to the right for the numbers
            axes.set_xscale("log" if column in log else "linear")
            axes.set_xlim(10**ends if column in log else ends)
            axes.set_title(column, fontsize=11, fontweight="normal", loc="left")
            axes.set(xticks=[], yticks=range(len(table)), yticklabels=table.index)
            axes.xaxis.set_minor_locator(NullLocator())
            axes.tick_params(length=0)
            axes.spines["bottom"].set_visible(False)
        rows[0][0].set_ylim(len(table) - 0.5, -0.5)
        rows[0][0].figure.suptitle(title, x=0.01, ha="left")


def plot_timeline(answers: pd.DataFrame, marks: Mapping[str, float], title: str) -> None:
    """A crash: its marks, requests per replica in each quarter of a second, and each latency."""
    hostnames = sorted(answers["replica"].dropna().unique(), key=_in_number_order)
    edges = np.arange(0, answers["since_start_s"].max() + 0.25, 0.25)
    options: dict[str, Any] = {"sharex": True, "height_ratios": (1.2, 2, 2)}
    with _drawing(3, width=10, height=7, **options) as (lanes, load, latency):
        below = np.zeros(len(edges) - 1)
        for hostname in hostnames:
            own = answers[answers["replica"] == hostname]
            count, _ = np.histogram(own["since_start_s"], edges)
            colour = _colour(hostname)
            load.bar(edges[:-1], count, 0.24, below, align="edge", color=colour, label=hostname)
            latency.plot(own["since_start_s"], own["latency_s"] * 1000, ".", color=colour)
            below += count
        seen = {mark: at for mark, at in marks.items() if not math.isnan(at)}
        fault, fault_at = next(iter(seen.items()))
        for lane, (mark, at) in enumerate(seen.items()):
            after = "" if mark == fault else f" {(at - fault_at) * 1000:+.0f} ms"
            lanes.plot(at, -lane, "v", color="black")
            lanes.annotate(
                f"{mark}{after}", (at, -lane), (8, 0), textcoords="offset points", va="center"
            )
            for axes in (lanes, load, latency):
                axes.axvline(at, color="black", linewidth=0.8, linestyle=":")
        lanes.set(title=title, ylim=(-len(seen) + 0.4, 0.6))
        lanes.axis("off")
        load.set(ylabel="requests per 0.25 s", ylim=(0, 1.3 * below.max()))
        load.legend(loc="upper right", ncols=len(hostnames))
        latency.set(ylabel="latency (ms)", yscale="log", xlabel="time since the first request (s)")
        latency.yaxis.set(
            major_locator=LogLocator(subs=(1, 2, 5)),
            major_formatter=StrMethodFormatter("{x:g}"),
            minor_locator=NullLocator(),
        )


def plot_heartbeats(
    frozen_at_s: float, *, interval_s: float = 0.25, timeout_s: float = 1.0, fall: int = 2
) -> None:
    """Heartbeats to a server that is frozen, a lane for each: when it is sent, until when it is
    waited for, and the `fall`-th miss in a row, which is believed."""
    first_missed_s = math.ceil(frozen_at_s / interval_s) * interval_s
    dead_at_s = first_missed_s + (fall - 1) * interval_s + timeout_s
    good, bad = _PALETTE[0], _PALETTE[1]
    with _drawing(height=4) as axes:
        for lane, sent_s in enumerate(np.arange(0, dead_at_s - 1e-9, interval_s)):
            if sent_s < first_missed_s:
                axes.plot(sent_s, -lane, "o", color=good, label=None if lane else "answered")
                continue
            ends_s = min(sent_s + timeout_s, dead_at_s)
            is_first = sent_s == first_missed_s
            label = "waited for" if is_first else None
            axes.hlines(-lane, sent_s, ends_s, color=bad, linewidth=6, label=label)
            if sent_s + timeout_s <= dead_at_s:
                label = "missed" if is_first else None
                axes.plot(ends_s, -lane, "x", color="black", markeredgewidth=2, label=label)
        for name, at_s in (("frozen", frozen_at_s), ("dead", dead_at_s)):
            axes.axvline(at_s, color="black", linestyle=":", linewidth=1.2)
            axes.annotate(f" {name} at {at_s:.2f} s", (at_s, 1), va="center")
        axes.set(
            title=f"Every {interval_s:g} s a heartbeat, with {timeout_s:g} s for its answer;"
            f" {fall} missed in a row are believed",
            xlabel="time (s)",
            xlim=(-0.1, dead_at_s + 0.55),
            ylim=(-lane - 0.8, 1.6),
            yticks=[],
        )
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.legend(loc="lower left")


# The ring as a picture


def ring_svg(
    ring: Circle[Any],
    *,
    key: int | None = None,
    live: Collection[str] | None = None,
    title: str = "",
) -> str:
    """An SVG of the ring: slot 0 on top, then clockwise.

    The band shows who owns each slot, the strokes outside it the virtual nodes; with `key`, its
    slot and the way from there to the server. `live`: only these serve (None: all), and the
    others' strokes are grey. Up to 32 slots are numbered.
    """
    num_slots = ring.config.num_slots
    owners = ring.owners(live)
    starts = np.flatnonzero(owners != np.roll(owners, 1))
    starts = starts if len(starts) else np.array([0])
    parts = [
        _band(start, (end - start) % num_slots or num_slots, num_slots, ring.nodes[owners[start]])
        for start, end in zip(starts.tolist(), np.roll(starts, -1).tolist(), strict=True)
    ]
    for hostname in ring.nodes:
        colour = _colour(hostname) if live is None or hostname in live else "#BBBBBB"
        strokes = " ".join(
            "M{} {}L{} {}".format(*_at(slot, num_slots, 114), *_at(slot, num_slots, 124))
            for slot in ring.slots_of(hostname)
        )
        parts.append(f'<path d="{strokes}" stroke="{colour}" stroke-width="1.6"/>')
    if num_slots <= 32:
        parts += [
            _text(*_at(slot, num_slots, 78), str(slot), "middle") for slot in range(num_slots)
        ]
    if key is not None:
        parts.append(_way(ring, key, ring.nodes if live is None else live))
    owned = np.bincount(owners, minlength=len(ring.nodes)) / num_slots
    for line, (hostname, share) in enumerate(zip(ring.nodes, owned.tolist(), strict=True)):
        y = 22 * line - 11 * len(ring.nodes) + 11
        parts.append(
            f'<rect x="150" y="{y - 7}" width="14" height="14" fill="{_colour(hostname)}"/>'
        )
        parts.append(_text(172, y, f"{hostname}  {share:.1%}", "start"))
    parts.append(_text(-130, -142, title, "start", weight="bold"))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="-140 -160 430 300" width="560" '
        'font-family="sans-serif" font-size="12" fill="none" role="img">'
        f"<title>{escape(title)}</title>"
        '<rect x="-140" y="-160" width="430" height="300" fill="white"/>'
        f"{''.join(parts)}</svg>"
    )


def draw_ring(ring: Circle[Any], **options: Any) -> None:
    """Shows `ring_svg`."""
    display(SVG(ring_svg(ring, **options)))


def _at(slot: float, num_slots: int, radius: float) -> tuple[float, float]:
    """The middle of a slot at this radius."""
    angle = 2 * math.pi * (slot + 0.5) / num_slots
    return round(radius * math.sin(angle), 2), round(-radius * math.cos(angle), 2)


def _arc(start: float, length: float, num_slots: int, radius: float) -> str:
    """Path data of an arc clockwise, from the middle of slot `start` on. Two halves, because one
    arc cannot go all the way around."""
    points = [_at(start + length * part, num_slots, radius) for part in (0, 0.5, 1)]
    (x, y), *others = points
    return f"M{x} {y}" + "".join(f"A{radius} {radius} 0 0 1 {x} {y}" for x, y in others)


def _band(start: int, length: int, num_slots: int, hostname: str) -> str:
    """Slots start .. start + length - 1, whole: from half a slot before to half a slot behind."""
    path = _arc(start - 0.5, length, num_slots, 102)
    return f'<path d="{path}" stroke="{_colour(hostname)}" stroke-width="18"/>'


def _way(ring: Circle[Any], key: int, live: Collection[str]) -> str:
    """From the key's slot (filled dot) clockwise to the slot of the server (hollow)."""
    num_slots, slot = ring.config.num_slots, ring.key_slot(key)
    taken = {taken_slot: node for node in live for taken_slot in ring.slots_of(node)}
    probes, taken_slot = min(((other - slot) % num_slots, other) for other in taken)
    (x, y), (end_x, end_y) = _at(slot, num_slots, 102), _at(taken_slot, num_slots, 102)
    return (
        f'<path d="{_arc(slot, probes, num_slots, 90)}" stroke="black" stroke-width="1.6"/>'
        f'<circle cx="{x}" cy="{y}" r="5" fill="black" stroke="white"/>'
        f'<circle cx="{end_x}" cy="{end_y}" r="5" fill="white" stroke="black" stroke-width="2"/>'
        + _text(0, -16, f"key {key}", "middle")
        + _text(0, 0, f"slot {slot} → {taken_slot}", "middle")
        + _text(0, 16, taken[taken_slot], "middle", weight="bold")
    )


def _text(
    x: float, y: float, text: str, anchor: str, weight: str = "normal", fill: str = "black"
) -> str:
    return (
        f'<text x="{x}" y="{y}" fill="{fill}" text-anchor="{anchor}" font-weight="{weight}" '
        f'dominant-baseline="middle">{escape(text)}</text>'
    )


# A request's way as a picture


def way_svg(way: Mapping[str, Any]) -> str:
    """An SVG of a request's way through the lab, with the numbers of `Lab.route`'s answer.

    Solid: the request (1 to 4), its answer (5), and the admin calls, which come to the same port.
    Dotted: what the control plane does by itself.
    """
    order = [f"{place}. {name}" for place, name in enumerate(way["failover_order"], 1)]
    hostnames = sorted(way["failover_order"], key=_in_number_order)
    rows = {name: 70 + 56 * row for row, name in enumerate(hostnames)}
    table_end = 106 + 18 * len(order)
    base = max(226, table_end + 40, 46 + max(rows.values()))  # of the control plane
    at, blue, grey = rows[way["replica"]], _PALETTE[0], "#555555"
    # The request turns outside its answer, so that the two do not cross.
    there, back = (731, 745) if at < 106 else (745, 731)
    parts = [
        f'<rect x="206" y="14" width="510" height="{base + 50}" rx="8" fill="#F4F4F4"/>',
        _text(222, 34, "load balancer", "start", weight="bold"),
        _text(316, 34, "one port for traffic and admin calls", "start"),
        _box(10, 66, 140, 84, grey, "client", "GET /home", "X-Request-ID:", str(way["id"])),
        _box(222, 66, 164, 62, blue, "key", str(way["key"])),
        _box(424, 66, 80, 62, blue, "slot", str(way["slot"])),
        _box(542, 66, 158, table_end - 66, blue, f"routing table[{way['slot']}]", *order),
        _box(222, base - 26, 282, 62, grey, "control plane", "members, health, ring, events"),
        *(
            _box(776, y - 21, 92, 42, _colour(name), name, width=4 if y == at else 1.6)
            for name, y in rows.items()
        ),
        _arrow((150, 97), (222, 97)),
        _arrow((386, 97), (424, 97)),
        _arrow((504, 97), (542, 97)),
        _arrow((700, 97), (there, 97), (there, at - 7), (776, at - 7)),
        _arrow((776, at + 7), (back, at + 7), (back, 114), (716, 114)),
        _arrow((206, 137), (150, 137)),
        _text(80, 164, f"X-Replica: {way['replica']}", "middle"),
        _arrow((80, 176), (80, base + 6), (222, base + 6)),
        _text(88, base - 6, "/rep, /add, /route …", "start"),
        _arrow((504, base - 8), (621, base - 8), (621, table_end), dotted=True),
        _text(562, base - 18, "publishes", "middle"),
        _arrow((504, base + 22), (884, base + 22), dotted=True, head=False),
        _text(610, base + 10, "heartbeats, every 0.25 s", "middle"),
        *(_arrow((884, base + 22), (884, y), (868, y), dotted=True) for y in rows.values()),
    ]
    stops = [(180, 97), (405, 97), (523, 97), (there, (97 + at - 7) / 2), (178, 137)]
    for step, (x, y) in enumerate(stops, 1):
        parts.append(f'<circle cx="{x}" cy="{y}" r="9" fill="black"/>')
        parts.append(_text(x, y, str(step), "middle", fill="white"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 900 {base + 78}" width="900" '
        'font-family="sans-serif" font-size="12" fill="none" role="img">'
        "<title>A request's way</title>"
        f'<rect width="900" height="{base + 78}" fill="white"/>{"".join(parts)}</svg>'
    )


def draw_way(way: Mapping[str, Any]) -> None:
    """Shows `way_svg`."""
    display(SVG(way_svg(way)))


def _box(
    x: float, y: float, w: float, h: float, colour: str, *lines: str, width: float = 1.6
) -> str:
    """A box with centred lines of text, the first one bold."""
    top = y + h / 2 - 9 * (len(lines) - 1)
    return (
        f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="white" stroke="{colour}" '
        f'stroke-width="{width}"/>'
    ) + "".join(
        _text(x + w / 2, top + 18 * row, line, "middle", weight="normal" if row else "bold")
        for row, line in enumerate(lines)
    )


def _arrow(*points: tuple[float, float], dotted: bool = False, head: bool = True) -> str:
    """A line through the points, its head at the last of them."""
    path = "L".join(f"{x} {y}" for x, y in points)
    look = ' stroke-dasharray="2 4"' if dotted else ""
    line = f'<path d="M{path}" stroke="black" stroke-width="1.6"{look}/>'
    if not head:
        return line
    (from_x, from_y), (x, y) = points[-2:]
    angle = math.degrees(math.atan2(y - from_y, x - from_x))
    turn = f"translate({x} {y}) rotate({angle:g})"
    return line + f'<path d="M0 0L-9 -4.5L-9 4.5Z" fill="black" transform="{turn}"/>'
