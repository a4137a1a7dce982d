"""Whether a record keeps the lab's promises. Pure: from what was seen to a list of sentences.

The record leaves margins (a command takes effect between its beginning and its end), and they are
always read in the lab's favour: what is found is certain.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from chaos.history import RESTART_ENGINE
from chaos.records import Answer, Deed, Look, Record

INF = float("inf")
LOAD_BALANCER_DIES = ("kill load-balancer", RESTART_ENGINE)
Span = tuple[float, float]


@dataclass(frozen=True)
class Bounds:
    """Seconds: until a struck replica is back in `/rep`, until a killed service serves, and until
    it does after a restart of the engine, which takes everything with it."""

    recovery_s: float
    outage_s: float
    engine_s: float = 60.0


# A frozen replica is found out within 1.3 s (heartbeat_timeout_s and one heartbeat_interval_s).
# What remains is for the start of the new one, which has to wait for the provisioner when that was
# killed as well; a start takes 0.5 s on a machine that is idle, and several on a busy one. A killed
# load balancer serves again after 2 s, most of them its imports'; on a busy machine 9 s were seen.
BOUNDS = {"process": Bounds(6.0, 15.0), "docker": Bounds(12.0, 15.0)}


def violations(record: Record, bounds: Bounds) -> list[str]:
    """What was promised and not kept, each with its evidence; empty if all was."""
    return [
        *failed_requests(record),
        *strangers(record),
        *wrong_members(record, bounds),
        *wandering_keys(record),
        *long_outages(record, bounds),
        *disobeyed(record),
        *wrong_remains(record),
    ]


# (a) No safe request fails while a replica is alive


def failed_requests(record: Record) -> Iterator[str]:
    """Excused are a load balancer that was killed, for whoever got no answer, and an instant at
    which no replica was certainly alive."""
    outages = [_outage(deed) for deed in record.deeds if deed.verb in LOAD_BALANCER_DIES]
    alive = _union(span for spans in alive_spans(record).values() for span in spans)
    for answer in record.answers:
        span = (answer.sent_at, answer.answered_at)
        if answer.is_good or (answer.status == 0 and any(_overlap(span, out) for out in outages)):
            continue
        if any(begin <= span[0] and span[1] <= end for begin, end in alive):
            at = record.since_start(answer.sent_at)
            waited_s = answer.answered_at - answer.sent_at
            told = f"{answer.status} from {answer.replica or 'nobody'}: {answer.fault}"
            yield f"request {answer.key}, sent at {at}, failed after {waited_s:.3f} s: {told}"


def alive_spans(record: Record) -> dict[str, list[Span]]:
    """When each replica was certainly alive, by hostname.

    A fault ends it, as soon as it began; so does a command that removes, and a restart of the
    engine. It begins when a command
    has added it, when it was resumed, or when it is said to be alive after the fault was over. That
    a replica is said to be dead or suspect ends it only if a fault came before: an opinion that
    nothing has caused is no excuse.
    """
    good, bad = "good", "bad"
    told: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for name in record.replicas:
        told[name].append((-INF, good))
    faults: dict[str, list[Deed]] = defaultdict(list)
    everybody = {*record.replicas, *(name for deed in record.deeds for name in deed.hostnames)}
    for deed in record.deeds:
        for name in everybody if deed.verb == RESTART_ENGINE else deed.hostnames:
            if deed.verb in ("crash", "pause", RESTART_ENGINE):
                faults[name].append(deed)
                told[name].append((deed.began_at, bad))
            elif deed.verb == "rm":
                told[name].append((deed.began_at, bad))
            elif (deed.verb == "resume" and deed.succeeded) or (
                deed.verb == "add" and deed.succeeded
            ):
                told[name].append((deed.ended_at, good))
    for event in record.events:
        before = [deed for deed in faults[event.hostname] if deed.began_at <= event.at]
        if event.kind in ("dead", "suspect") and before:
            told[event.hostname].append((event.at, bad))
        elif event.kind == "alive" and all(deed.ended_at <= event.at for deed in before):
            told[event.hostname].append((event.at, good))
    ending = [deed for deed in record.deeds if deed.verb in ("rm", RESTART_ENGINE)]
    spans = {}
    for name, changes in told.items():
        # What was true when it began need not be so when it ends.
        unsure = [
            (deed.began_at, deed.ended_at)
            for deed in ending
            if deed.verb == RESTART_ENGINE or name in deed.hostnames
        ]
        since, spans[name] = None, []
        for at, what in sorted(changes):
            if what == bad and since is not None:
                spans[name].append((since, at))
                since = None
            elif what == good and since is None and not _within(at, unsure):
                since = at
        if since is not None:
            spans[name].append((since, INF))
    return spans


# (b) Each answer comes from a member


def strangers(record: Record) -> Iterator[str]:
    """A replica may answer what was sent before it was out of the table, no later request."""
    members = member_spans(record)
    for answer in record.answers:
        span = (answer.sent_at, answer.answered_at)
        if answer.is_good and not any(_overlap(span, each) for each in members[answer.replica]):
            at = record.since_start(answer.sent_at)
            yield (
                f"request {answer.key}, sent at {at}, was answered by {answer.replica}, which was"
                f" no member from then until {record.since_start(answer.answered_at)}"
            )


def member_spans(record: Record) -> dict[str, list[Span]]:
    """When each replica may have been in the table: from the beginning of the command that adds it
    to the moment at which it is said to be draining, or else the end of the command that removes
    it."""
    spans: dict[str, list[Span]] = defaultdict(list)
    since = dict.fromkeys(record.replicas, -INF)
    for deed in sorted(record.deeds, key=lambda deed: deed.began_at):
        for name in deed.hostnames:
            if deed.verb == "add":
                since.setdefault(name, deed.began_at)
            elif deed.verb == "rm" and deed.succeeded and name in since:
                draining = [
                    event.at
                    for event in record.events
                    if (event.kind, event.hostname) == ("draining", name)
                    and deed.began_at <= event.at <= deed.ended_at
                ]
                spans[name].append((since.pop(name), max(draining, default=deed.ended_at)))
    for name, at in since.items():
        spans[name].append((at, INF))
    return spans


# (c) N holds


def wrong_members(record: Record, bounds: Bounds) -> Iterator[str]:
    """Whoever is listed was ordered; and whoever was ordered is listed, if nothing has struck it
    for as long as a recovery may take."""
    may, must = _ordered(record)
    struck = {name: _struck(record, name, bounds) for name in may}
    for look in record.looks:
        if look.listed is None:
            continue
        span = (look.asked_at, look.answered_at)
        at = record.since_start(look.asked_at)
        for name in look.listed:
            if not any(_overlap(span, each) for each in may.get(name, [])):
                yield f"/rep listed {name} at {at}, which nobody had ordered"
        for name, spans in must.items():
            ordered = any(begin <= span[0] and span[1] <= end for begin, end in spans)
            if not ordered or name in look.listed:
                continue
            last = max((end for begin, end in struck[name] if begin <= span[1]), default=-INF)
            if span[0] - last > bounds.recovery_s:
                told = f"struck until {record.since_start(last)}" if last > 0 else "never struck"
                yield f"/rep did not list {name} at {at}; {told}, bound {bounds.recovery_s} s"


def _ordered(record: Record) -> tuple[dict[str, list[Span]], dict[str, list[Span]]]:
    """When each replica may be listed, and when it must be if it is well."""
    may: dict[str, list[Span]] = defaultdict(list)
    must: dict[str, list[Span]] = defaultdict(list)
    may_since = dict.fromkeys(record.replicas, -INF)
    must_since = dict.fromkeys(record.replicas, -INF)
    for deed in sorted(record.deeds, key=lambda deed: deed.began_at):
        for name in deed.hostnames:
            if deed.verb == "add":
                may_since.setdefault(name, deed.began_at)
                if deed.succeeded:
                    must_since.setdefault(name, deed.ended_at)
            elif deed.verb == "rm":
                if name in must_since:
                    must[name].append((must_since.pop(name), deed.began_at))
                if deed.succeeded and name in may_since:
                    may[name].append((may_since.pop(name), deed.ended_at))
    for spans, since in ((may, may_since), (must, must_since)):
        for name, at in since.items():
            spans[name].append((at, INF))
    return may, must


def _struck(record: Record, name: str, bounds: Bounds) -> list[Span]:
    """What may keep a replica out of `/rep`. The death of a provisioner does so only with those
    that it has to replace."""
    struck = [
        (deed.began_at, deed.ended_at)
        for deed in record.deeds
        if deed.verb in ("crash", "pause") and name in deed.hostnames
    ]
    struck += [
        (event.at, event.at)
        for event in record.events
        if (event.kind, event.hostname) == ("dead", name)
    ]
    struck += [_outage(deed) for deed in record.deeds if deed.verb in LOAD_BALANCER_DIES]
    for kill in sorted(_outage(deed) for deed in record.deeds if deed.verb == "kill provisioner"):
        reach = (kill[0] - bounds.recovery_s, kill[1])
        if any(_overlap(reach, each) for each in struck):
            struck.append(kill)
    return struck


# (d) The same key goes to the same replica whenever the table is the same


def wandering_keys(record: Record) -> Iterator[str]:
    """Of the answers that were sent and given while one table was valid."""
    answers = sorted(record.answers, key=lambda answer: answer.sent_at)
    sent = [answer.sent_at for answer in answers]
    way: dict[tuple[str, int], Answer] = {}
    for placement, (begin, end) in steady_spans(record):
        for answer in answers[bisect_left(sent, begin) : bisect_right(sent, end)]:
            if not answer.is_good or answer.answered_at > end:
                continue
            first = way.setdefault((placement, answer.key), answer)
            if first.replica != answer.replica:
                yield (
                    f"key {answer.key} went to {first.replica} at"
                    f" {record.since_start(first.sent_at)} and to {answer.replica} at"
                    f" {record.since_start(answer.sent_at)}, the table being {placement} both times"
                )


def steady_spans(record: Record) -> list[tuple[str, Span]]:
    """Placement, and a span in which it was certainly valid: from the end of the first look at a
    version of the table to the beginning of the last one in a row. A version that was counted by
    another process is another one."""
    kills = [deed for deed in record.deeds if deed.verb in LOAD_BALANCER_DIES]
    runs: list[list[Look]] = [[]]
    for before, look in pairwise([Look(-INF, -INF), *record.looks]):
        between = (before.asked_at, look.answered_at)
        killed = any(_overlap(between, (deed.began_at, deed.ended_at)) for deed in kills)
        if look.version is None or look.version != before.version or killed:
            runs.append([])
        runs[-1].append(look)
    spans = []
    for run in runs:
        placement = next((look.placement for look in run if look.placement is not None), None)
        if placement is not None and len(run) > 1:
            spans.append((placement, (run[0].answered_at, run[-1].asked_at)))
    return spans


# (e) What a history leaves behind, and what it was told


def long_outages(record: Record, bounds: Bounds) -> Iterator[str]:
    """A killed service is there again in time."""
    for deed in record.deeds:
        begin, end = _outage(deed)
        bound_s = bounds.engine_s if deed.verb == RESTART_ENGINE else bounds.outage_s
        if end - begin > bound_s:
            at = record.since_start(begin)
            told = "never" if end == INF else f"only at {record.since_start(end)}"
            yield f"{deed}, at {at}: it served again {told}, bound {bound_s} s"


def disobeyed(record: Record) -> Iterator[str]:
    """Commands are carried out in the end, and a fault is no reason for an error of our own."""
    for deed in record.deeds:
        is_command = deed.verb in ("add", "rm", "ring")
        if (is_command and not deed.succeeded) or deed.status == 500:
            at = record.since_start(deed.began_at)
            yield f"{deed}, at {at}, was answered {deed.status}: {deed.message}"


def wrong_remains(record: Record) -> Iterator[str]:
    """At the end there are the replicas that were ordered, all running, and no other."""
    wanted = expected(record)
    for name, state in sorted(wanted - set(record.left)):
        yield f"at the end {name} should be {state}; there are {_told(record.left)}"
    for name, state in sorted(set(record.left) - wanted):
        yield f"at the end there is {name}, {state}; there should be {_told(wanted)}"
    if len(record.left) > len(set(record.left)):
        yield f"at the end there are several of a name: {_told(record.left)}"


def expected(record: Record) -> set[tuple[str, str]]:
    """The replicas that were ordered in the end, and that they run."""
    must = _ordered(record)[1]
    return {(name, "running") for name, spans in must.items() if spans[-1][1] == INF}


def _told(replicas: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {state}" for name, state in sorted(replicas)) or "none"


# Spans


def _outage(deed: Deed) -> Span:
    """From the kill's beginning until it serves again; nothing for what is no kill."""
    if not (deed.verb.startswith("kill ") or deed.verb == RESTART_ENGINE):
        return (deed.began_at, deed.began_at)
    return (deed.began_at, INF if deed.served_at is None else deed.served_at)


def _overlap(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _within(at: float, spans: Iterable[Span]) -> bool:
    return any(begin <= at < end for begin, end in spans)


def _union(spans: Iterable[Span]) -> list[Span]:
    """The same instants in spans that do not touch."""
    union: list[Span] = []
    for begin, end in sorted(spans):
        if union and begin <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((begin, end))
    return union
