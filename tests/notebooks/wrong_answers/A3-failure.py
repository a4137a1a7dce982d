"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "a3-absent",
        "from dead on",
        "a suspect gets no requests",
        """
def absent_s(events, hostname):
    at = {event["kind"]: event["time"] for event in events if event.get("hostname") == hostname}
    return at["replaced"] - at.get("dead", at.get("suspect"))
""",
    ),
    (
        "a3-absent",
        "another server's events",
        "look at the hostname",
        """
def absent_s(events, hostname):
    began = min(event["time"] for event in events if event["kind"] in ("suspect", "dead"))
    own = [event for event in events if event.get("hostname") == hostname]
    return max(event["time"] for event in own if event["kind"] == "replaced") - began
""",
    ),
    (
        "a3-heirs",
        "evenly",
        "not shared evenly",
        """
def heirs(ring, hostname, request_ids):
    own = sum(ring.lookup(request_id) == hostname for request_id in request_ids)
    others = [node for node in ring.nodes if node != hostname]
    return {node: own // 2 + (own % 2 if node == others[0] else 0) for node in others}
""",
    ),
    (
        "a3-heirs",
        "the first of the list",
        "cannot stand in for itself",
        """
from collections import Counter

def heirs(ring, hostname, request_ids):
    return Counter(map(ring.lookup, request_ids))
""",
    ),
    (
        "a3-heirs",
        "of all servers",
        "were dealt out",
        """
from collections import Counter

def heirs(ring, hostname, request_ids):
    standby = (ring.preference(request_id)[1] for request_id in request_ids)
    return Counter(node for node in standby if node != hostname)
""",
    ),
]
