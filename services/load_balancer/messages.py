"""What a control plane and its followers tell each other: lines of JSON, and what is accepted of
them. Pure, but for `read`, which takes the next line of a stream.

    follower → control plane   Hello, then Serving, Noticed, Happened, Counted, Sampled
    control plane → follower   Welcome, then a Snapshot for each change, Here in between

A peer that sends anything else is no peer of ours: BadMessage, and its connection ends.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from load_balancer.errors import BadMessage
from load_balancer.health import Evidence, State
from load_balancer.proxy.pool import LATENCY_BUCKETS_S, Stats
from load_balancer.settings import HOSTNAME, Address

# Told every so often by both sides, so that silence means something.
TELL_S = 0.5
PATIENCE_S = 3.0  # with a peer that says nothing: then it has gone
MAX_REPORT_BYTES = 1 << 20  # of a follower's line: a hundred times that of sixty-four replicas
MAX_SNAPSHOT_BYTES = 1 << 27  # of the largest table, of 2^20 slots with names of 63 letters

NUM_BUCKETS = len(LATENCY_BUCKETS_S) + 1  # of the latency histogram

Count = Annotated[int, Field(ge=0)]
Hostname = Annotated[str, Field(pattern=f"^{HOSTNAME.pattern}$")]
Name = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,100}$")]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    @property
    def line(self) -> bytes:
        return self.model_dump_json().encode() + b"\n"


# From a follower


class Hello(Message):
    """`name` is for people; `process` is drawn at random by each process."""

    kind: Literal["hello"] = "hello"
    name: Name
    process: Name
    token: str = ""


class Serving(Message):
    """By table `version`, with so many requests in flight to each life of a replica (those with
    none are left out)."""

    kind: Literal["serving"] = "serving"
    version: Count
    in_flight: dict[int, Count] = {}


class Noticed(Message):
    """What traffic says of a life of a replica; None: it hung up, which may mean anything."""

    kind: Literal["noticed"] = "noticed"
    life: int
    evidence: Evidence | None


class Happened(Message):
    """An event of the follower's own."""

    kind: Literal["happened"] = "happened"
    event: Literal["ejected", "readmitted"]
    detail: dict[Literal["hostname", "failures", "for_s"], str | int | float]


class Counters(Message):
    """Those of `Stats`, of one replica."""

    model_config = ConfigDict(from_attributes=True)

    answers: Annotated[list[Count], Field(min_length=6, max_length=6)]
    latency_counts: Annotated[list[Count], Field(min_length=NUM_BUCKETS, max_length=NUM_BUCKETS)]
    latency_sum_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    losses: Count
    retries: Count


class Counted(Message):
    """All that the follower has counted since it started, by hostname; clients as of now."""

    kind: Literal["counted"] = "counted"
    replicas: dict[Hostname, Counters]
    ejections: dict[Hostname, Count]
    num_clients: Count


def total(counted: Iterable[Counted]) -> Counted:
    """The sum, with nobody connected."""
    stats: defaultdict[str, Stats] = defaultdict(Stats)
    ejections: Counter[str] = Counter()
    for each in counted:
        ejections.update(each.ejections)
        for hostname, counters in each.replicas.items():
            stats[hostname].add(counters)
    return Counted(replicas=told(stats), ejections=dict(ejections), num_clients=0)


def told(stats: Mapping[str, Stats]) -> dict[str, Counters]:
    """By hostname, as they are now."""
    return {name: Counters.model_validate(each) for name, each in list(stats.items())}


class Sampled(Message):
    """Some of the requests that were answered since the last time, key and hostname; only while
    somebody looks at them."""

    kind: Literal["sampled"] = "sampled"
    requests: Annotated[list[tuple[int, Hostname]], Field(max_length=100)]


# From the control plane


class Welcome(Message):
    """Where the admin API is: at a Unix socket of this machine, or at a port of the host that is
    followed; whether it wants a token; and whether its replicas are the assignment's."""

    kind: Literal["welcome"] = "welcome"
    admin_socket: str | None = None
    admin_port: Annotated[int, Field(ge=0, le=65535)] = 0
    is_guarded: bool
    speaks_contract: bool

    def admin_at(self, followed: Path | Address) -> Path | Address:
        """For one who reached the control plane at `followed`."""
        if self.admin_socket is not None:
            return Path(self.admin_socket)
        return ("127.0.0.1" if isinstance(followed, Path) else followed[0], self.admin_port)


class Refusal(Message):
    """In place of a Welcome, and the last line."""

    kind: Literal["refusal"] = "refusal"
    reason: str


class Life(Message):
    """One life of a replica, by a number that no other has while the connection lasts."""

    life: int
    hostname: Hostname
    host: str
    port: Annotated[int, Field(ge=0, le=65535)]
    state: State
    serves: bool  # is in the routing table
    leaves: bool  # is out of it, and waits for its last answers


class Snapshot(Message):
    """The routing table as data: `ring` is `Placement.to_dict()`, `replicas` all that there are.
    Versions grow while the connection lasts; some are skipped for who is slow."""

    kind: Literal["snapshot"] = "snapshot"
    version: Count
    ring: dict[str, Any]
    replicas: list[Life]


class Here(Message):
    """Still here, and the last snapshot is the present one. `wants_samples`: of requests, for
    somebody looks on."""

    kind: Literal["here"] = "here"
    wants_samples: bool = False


FromFollower = Serving | Noticed | Happened | Counted | Sampled
FromControlPlane = Welcome | Refusal | Snapshot | Here
HELLO: TypeAdapter[Hello] = TypeAdapter(Hello)
FROM_FOLLOWER: TypeAdapter[FromFollower] = TypeAdapter(
    Annotated[FromFollower, Field(discriminator="kind")]
)
FROM_CONTROL_PLANE: TypeAdapter[FromControlPlane] = TypeAdapter(
    Annotated[FromControlPlane, Field(discriminator="kind")]
)

Kind = TypeVar("Kind")


def parse(line: bytes, accepted: TypeAdapter[Kind]) -> Kind:
    """BadMessage names the line's beginning and what is wrong with it."""
    try:
        return accepted.validate_json(line)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(map(str, fault["loc"]))
        told = f"{where}: {fault['msg']}" if where else fault["msg"]
        raise BadMessage(f"{line[:60]!r} is no message: {told}") from error


async def read(
    reader: asyncio.StreamReader, accepted: TypeAdapter[Kind], within_s: float = PATIENCE_S
) -> Kind:
    """The next message. ConnectionError at the stream's end, TimeoutError after so much silence,
    BadMessage."""
    async with asyncio.timeout(within_s):
        try:
            line = await reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            raise ConnectionResetError("it hung up") from error
        except asyncio.LimitOverrunError as error:
            raise BadMessage("a line is longer than any message") from error
    return parse(line, accepted)
