"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "06-bounds",
        "one heartbeat after the other",
        "heartbeats go out by the clock",
        """
def bounds(interval_s, timeout_s, fall):
    return fall * timeout_s, fall * timeout_s + interval_s
""",
    ),
    (
        "06-bounds",
        "the way to the next heartbeat left out",
        "up to one interval away",
        """
def bounds(interval_s, timeout_s, fall):
    return (timeout_s + (fall - 1) * interval_s,) * 2
""",
    ),
    (
        "06-bounds",
        "an interval too many",
        "one missed heartbeat",
        """
def bounds(interval_s, timeout_s, fall):
    return timeout_s + fall * interval_s, timeout_s + (fall + 1) * interval_s
""",
    ),
    (
        "06-disturbed",
        "the dead server's as well",
        "leave those out",
        """
def disturbed(ring, dead, newcomer, request_ids):
    after = ring.copy()
    after.remove(dead)
    after.add(newcomer, node_id=ring.node_id(dead))
    return sum(ring.lookup(key) != after.lookup(key) for key in request_ids)
""",
    ),
    (
        "06-disturbed",
        "the ring itself is changed",
        "work on a copy",
        """
def disturbed(ring, dead, newcomer, request_ids):
    before = [ring.lookup(key) for key in request_ids]
    number = ring.node_id(dead)
    ring.remove(dead)
    ring.add(newcomer if newcomer != dead else "another", node_id=number)
    return 0
""",
    ),
    (
        "06-disturbed",
        "the dead server's alone",
        "count those of the others",
        """
def disturbed(ring, dead, newcomer, request_ids):
    return sum(ring.lookup(key) == dead for key in request_ids)
""",
    ),
]
