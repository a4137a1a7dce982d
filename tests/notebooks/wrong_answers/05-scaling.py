"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "05-given",
        "who stays is counted",
        "who stays has not moved",
        """
from collections import Counter

def given(before, after, request_ids):
    return dict(Counter((before.lookup(key), after.lookup(key)) for key in request_ids))
""",
    ),
    (
        "05-given",
        "the wrong way round",
        "the pair is",
        """
from collections import Counter

def given(before, after, request_ids):
    pairs = ((after.lookup(key), before.lookup(key)) for key in request_ids)
    return dict(Counter(pair for pair in pairs if pair[0] != pair[1]))
""",
    ),
    (
        "05-given",
        "each id once",
        "count requests",
        """
from collections import Counter

def given(before, after, request_ids):
    pairs = ((before.lookup(key), after.lookup(key)) for key in set(request_ids))
    return dict(Counter(pair for pair in pairs if pair[0] != pair[1]))
""",
    ),
    (
        "05-tidied",
        "without the history",
        "has no history",
        """
def tidied(history, request_ids):
    names = {"Server1", "Server2", "Server3"} | {name for _, name in history}
    ring, anew = (lab.build_ring(sorted(names), "seed-deployed") for _ in range(2))
    return sum(ring.lookup(key) != anew.lookup(key) for key in request_ids)
""",
    ),
    (
        "05-tidied",
        "against three servers",
        "compare rings of the same servers",
        """
def tidied(history, request_ids):
    ring, began = lab.build_ring(3, "seed-deployed"), lab.build_ring(3, "seed-deployed")
    for verb, name in history:
        ring.add(name, node_id=int(name[-1])) if verb == "add" else ring.remove(name)
    return sum(ring.lookup(key) != began.lookup(key) for key in request_ids)
""",
    ),
    (
        "05-tidied",
        "the ring against itself",
        "0: a ring that is built",
        """
def tidied(history, request_ids):
    ring = lab.build_ring(3, "seed-deployed")
    for verb, name in history:
        ring.add(name, node_id=int(name[-1])) if verb == "add" else ring.remove(name)
    return sum(ring.lookup(key) not in ring.nodes for key in request_ids)
""",
    ),
]
