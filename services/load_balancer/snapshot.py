"""The routing table as data, and back: what one sends and the other serves by. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from load_balancer.errors import BadMessage
from load_balancer.membership import Member
from load_balancer.messages import Life, Snapshot
from load_balancer.routing import Replica, RoutingTable
from ring import Placement, from_dict


def lives(
    members: Iterable[Member],
    leaving: Iterable[Member],
    table: RoutingTable,
    numbers: Mapping[Replica, int],
) -> list[Life]:
    """All replicas that there are, under their numbers."""

    def life(member: Member, replica: Replica, *, leaves: bool) -> Life:
        host, port = replica.address
        return Life(
            life=numbers[replica],
            hostname=replica.hostname,
            host=host,
            port=port,
            state=member.health.state,
            serves=not leaves and table.replicas.get(replica.hostname) is replica,
            leaves=leaves,
        )

    present = [life(m, m.replica, leaves=False) for m in members if m.replica]
    return present + [life(m, m.replica, leaves=True) for m in leaving if m.replica]


def taken(version: int, ring: Placement, replicas: list[Life]) -> Snapshot:
    """With a ring that nobody changes any longer: it may be a thread that takes it."""
    return Snapshot(version=version, ring=ring.to_dict(), replicas=replicas)


def ring_of(snapshot: Snapshot) -> Placement:
    """BadMessage if there can be no such ring."""
    try:
        return from_dict(snapshot.ring)
    except Exception as error:  # whatever it is, it comes of what was sent
        raise BadMessage(f"the snapshot's ring is none: {error!r}") from error


def table_of(snapshot: Snapshot, ring: Placement, replicas: Mapping[int, Replica]) -> RoutingTable:
    """The routing table that it was taken of; `replicas` are those that stand for its lives.
    BadMessage if one serves that is not on the ring."""
    serving = {each.hostname: replicas[each.life] for each in snapshot.replicas if each.serves}
    if strangers := serving.keys() - set(ring.nodes):
        raise BadMessage(f"not on the snapshot's ring: {', '.join(sorted(strangers))}")
    return RoutingTable(ring, serving, snapshot.version)
