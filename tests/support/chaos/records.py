"""What was seen while a history ran. All times are seconds since the epoch, of one clock: clients,
chaos and lab share a machine."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Answer:
    """One request and what came of it: `status` 0 and `fault` where no whole answer came, `fault`
    also where it contradicts itself."""

    sent_at: float
    answered_at: float
    key: int
    status: int
    replica: str = ""
    fault: str = ""

    @property
    def is_good(self) -> bool:
        return self.status == 200 and not self.fault


@dataclass(frozen=True)
class Deed:
    """One operation, from its first try to the answer to its last. `status` is that of the answer,
    0 if there was none. A killed service is there again at `served_at`, None if it never was."""

    verb: str
    hostnames: tuple[str, ...]
    began_at: float
    ended_at: float
    status: int
    message: str = ""
    served_at: float | None = None

    @property
    def succeeded(self) -> bool:
        return self.status == 200

    def __str__(self) -> str:
        return " ".join([self.verb, *self.hostnames])


@dataclass(frozen=True)
class Look:
    """The table's version, and the replicas that `/rep` listed; both None where the load balancer
    did not answer. `placement` is what decides the way of each key, None where it was not asked
    for, or the version changed meanwhile."""

    asked_at: float
    answered_at: float
    version: int | None = None
    listed: tuple[str, ...] | None = None
    placement: str | None = None


@dataclass(frozen=True)
class Event:
    """What the load balancer says has happened."""

    at: float
    kind: str
    hostname: str = ""


@dataclass
class Record:
    """Everything of one history. `left` are the replicas that the runtime had at the end, by
    hostname, with their states."""

    began_at: float
    replicas: tuple[str, ...]  # that there were when it began
    answers: list[Answer] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    left: list[tuple[str, str]] = field(default_factory=list)

    def since_start(self, at: float) -> str:
        return f"{at - self.began_at:.3f} s"
