"""Membership: the replicas, their health and the ring. The only mutable state of the control plane.

It is touched on the event loop alone, by methods that never wait, so each is one atomic step:
it either takes effect whole, or raises and changes nothing. Whatever changes who serves what
publishes a new routing table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from load_balancer.errors import BadRequest, Conflict, UnknownReplica, ring_errors
from load_balancer.events import EventLog
from load_balancer.health import Evidence, Health, State, Thresholds
from load_balancer.routing import Replica, RoutingTable
from load_balancer.settings import HOSTNAME, Address
from ring import Placement


@dataclass(eq=False)
class Member:
    """A place in the ring, and the replica that fills it now, if one does."""

    hostname: str
    server_id: int
    joined: bool = False  # until then it holds its slots, and serves nothing
    replica: Replica | None = None
    health: Health = field(default_factory=Health)
    answers: asyncio.Event = field(default_factory=asyncio.Event)  # set while ALIVE

    @property
    def is_listed(self) -> bool:
        """Counts among the N replicas of `/rep`."""
        return self.joined and self.health.state in (State.ALIVE, State.SUSPECT)


class Observer(Protocol):
    """Who wants to know of changes; called on the event loop, after the change."""

    def table_published(self, table: RoutingTable) -> None: ...
    def replica_started(self, member: Member, replica: Replica) -> None: ...
    def replica_suspected(self, replica: Replica) -> None: ...
    def replica_died(self, member: Member, replica: Replica) -> None: ...


class Membership:
    """`ring`: without nodes. `keeps_dead`: nobody replaces a dead replica, so with nobody alive the
    dead are asked."""

    def __init__(
        self,
        ring: Placement,
        thresholds: Thresholds,
        events: EventLog,
        *,
        keeps_dead: bool = False,
    ) -> None:
        self.ring = ring
        self.members: dict[str, Member] = {}
        self.leaving: set[Member] = set()  # out of the ring, and watched to their last answer
        self.observers: list[Observer] = []
        self._thresholds = thresholds
        self._keeps_dead = keeps_dead
        self._events = events
        self.table = RoutingTable(self.ring, {}, 0)

    # Questions; threads of the admin API ask them too, hence the copies

    @property
    def listed(self) -> list[str]:
        """Hostnames of the replicas that `/rep` shows, in the order in which they joined."""
        return [member.hostname for member in list(self.members.values()) if member.is_listed]

    @property
    def joined(self) -> list[str]:
        """Hostnames of all members that a command has made, the dead and replaced included."""
        return [member.hostname for member in list(self.members.values()) if member.joined]

    def member(self, hostname: str) -> Member:
        """UnknownReplica if there is none of that name."""
        try:
            return self.members[hostname]
        except KeyError:
            known = ", ".join(self.joined) or "none"
            raise UnknownReplica(
                f"hostname {hostname!r} is no replica; there are: {known}"
            ) from None

    def is_current(self, member: Member, replica: Replica) -> bool:
        """Whether this life of `member` goes on, in the ring or on its way out."""
        is_ours = self.members.get(member.hostname) is member or member in self.leaving
        return is_ours and member.replica is replica

    def joined_ring(self) -> Placement:
        """The ring without the members that are still joining: what a restart must find."""
        return self.ring_with(without=[m.hostname for m in self.members.values() if not m.joined])

    def ring_with(self, *, also: Sequence[str] = (), without: Iterable[str] = ()) -> Placement:
        """The ring as it would be if `also` had come, and then `without` had left. Conflict if it
        cannot be."""
        ring = self.ring.copy()
        with ring_errors():
            for hostname in also:
                ring.add(hostname, node_id=ring.free_id(hostname))
            # The last one first: there are rings that can give away no other.
            for hostname in sorted(without, key=ring.nodes.index, reverse=True):
                ring.remove(hostname)
        return ring

    def ring_like(self, empty: Placement) -> Placement:
        """A new ring like `empty`, members in the order of their ids, so that it depends on nothing
        but configuration and members. Conflict if they do not fit."""
        ring = empty.copy()
        with ring_errors():
            for member in sorted([*self.members.values()], key=lambda each: each.server_id):
                ring.add(member.hostname, node_id=member.server_id)
        return ring

    def check_new(self, hostnames: Sequence[str]) -> None:
        """BadRequest unless these can be names of replicas, Conflict if one is already."""
        present = {name.lower(): name for name in list(self.members)}  # RFC 4343: without case
        for hostname in hostnames:
            check_hostname(hostname)
            if (same := present.get(hostname.lower())) in self.members:
                raise Conflict(f"hostname {hostname!r} is already present, as {same!r}")
            if same == hostname:
                raise BadRequest(f"hostname {hostname!r} is given twice")
            if same is not None:
                raise Conflict(f"hostname {hostname!r} is given twice, the other time as {same!r}")
            present[hostname.lower()] = hostname

    # Changes

    def reserve(self, hostnames: Sequence[str]) -> list[Member]:
        """Gives all of `hostnames` an id and slots, or none of them (BadRequest, Conflict).
        They serve nothing until `join`."""
        self.check_new(hostnames)
        self.ring = self.ring_with(also=hostnames)
        members = [Member(name, self.ring.node(name).node_id) for name in hostnames]
        self.members |= {member.hostname: member for member in members}
        self._publish()
        return members

    def start(self, member: Member, address: Address) -> Replica:
        """`member` is filled by a new replica at `address`; its health begins anew."""
        member.replica = Replica(member.hostname, address)
        self._set_health(member, Health(since=self._now()))
        for observer in self.observers:
            observer.replica_started(member, member.replica)
        return member.replica

    def join(self, members: Iterable[Member]) -> None:
        """From now on they serve, whenever they are alive."""
        for member in members:
            member.joined = True
            self._events.record("joined", hostname=member.hostname, server_id=member.server_id)
        self._publish()

    def remove(self, hostnames: Iterable[str]) -> list[Member]:
        """Takes them out of the ring and returns them. UnknownReplica, Conflict if the ring cannot
        do without; and nothing changed."""
        leaving = [self.member(hostname) for hostname in hostnames]
        self.ring = self.ring_with(without=[member.hostname for member in leaving])
        for member in leaving:
            del self.members[member.hostname]
        self._publish()
        return leaving

    def reorder(self, hostnames: Sequence[str]) -> None:
        """Lists `hostnames` first, in their order; where keys go stays as it is."""
        first = {name: self.members[name] for name in hostnames if name in self.members}
        self.members = first | self.members

    def rename(self, member: Member, hostname: str) -> None:
        """`member` gives up its name, id and slots for those of `hostname`."""
        ring = self.ring_with(without=[member.hostname])
        server_id = ring.free_id(hostname)
        with ring_errors():
            ring.add(hostname, node_id=server_id)
        self.ring = ring
        del self.members[member.hostname]
        member.hostname, member.server_id = hostname, server_id
        self.members[hostname] = member
        self._publish()

    def configure(self, empty: Placement) -> None:
        """The ring is now `ring_like(empty)`. Conflict if the members do not fit; nothing
        changed."""
        self.take_over(self.ring_like(empty))

    def is_ring_of_all(self, ring: Placement) -> bool:
        """Whether its nodes are the members, under their ids."""
        nodes = {name: ring.node(name).node_id for name in ring.nodes}
        return nodes == {name: member.server_id for name, member in self.members.items()}

    def take_over(self, ring: Placement) -> None:
        """Keys go where this ring of all members says."""
        self.ring = ring
        self._publish()
        self._events.record("ring", **ring.summary())

    def restore(self, ring: Placement, hostnames: Sequence[str]) -> None:
        """Takes over a ring that was saved, whose nodes are `hostnames`, listed in this order; they
        have joined and wait for `start`."""
        self.ring = ring
        self.members = {
            hostname: Member(hostname, ring.node(hostname).node_id, joined=True)
            for hostname in hostnames
        }
        self._publish()

    def learn(self, replica: Replica, evidence: Evidence, *, asked_at: float | None = None) -> None:
        """Evidence about one life of a replica, gathered by asking at `asked_at` (the loop's
        clock, None: now). About a life that is over it changes nothing."""
        those = (*self.members.values(), *self.leaving)
        member = next((each for each in those if each.replica is replica), None)
        if member is None:
            return
        now = self._now()
        before = member.health
        asked_at = now if asked_at is None else asked_at
        after = before.after(evidence, self._thresholds, asked_at=asked_at, now=now)
        self._set_health(member, after)
        if after.state is before.state:
            return
        self._events.record(after.state, hostname=replica.hostname, after=str(evidence))
        self._publish()
        for observer in self.observers:
            if after.state is State.SUSPECT:
                observer.replica_suspected(replica)
            elif after.state is State.DEAD:
                observer.replica_died(member, replica)

    def suspect(self, replica: Replica) -> None:
        """Traffic was refused or cut. Of a replica that is suspect already, only a heartbeat can
        say more."""
        member = self.members.get(replica.hostname)
        if member is not None and member.health.state is State.ALIVE:
            self.learn(replica, Evidence.REFUSED)

    # Within

    def _set_health(self, member: Member, health: Health) -> None:
        member.health = health
        if health.state is State.ALIVE:
            member.answers.set()
        else:
            member.answers.clear()

    def _publish(self) -> None:
        joined = [member for member in self.members.values() if member.joined and member.replica]
        serving = [member for member in joined if member.health.state is State.ALIVE]
        if not serving:  # a suspect is a better guess than an error
            serving = [
                member
                for member in joined
                if self._keeps_dead or member.health.state is State.SUSPECT
            ]
        replicas = {member.hostname: member.replica for member in serving if member.replica}
        self.table = RoutingTable(self.ring, replicas, self.table.version + 1)
        for observer in self.observers:
            observer.table_published(self.table)

    _now: Callable[[], float] = staticmethod(lambda: asyncio.get_running_loop().time())


def check_hostname(hostname: str) -> None:
    """BadRequest unless it is one label of a host name, RFC 1123 §2.1."""
    if not HOSTNAME.fullmatch(hostname):
        raise BadRequest(
            f"hostname must be 1 to 63 letters, digits and inner hyphens, got {hostname!r}"
        )
