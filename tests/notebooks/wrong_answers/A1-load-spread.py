"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "a1-shares",
        "virtual nodes counted",
        "part of the virtual nodes",
        """
def shares_of(slots, num_slots):
    total = sum(map(len, slots.values()))
    return {server: len(own) / total for server, own in slots.items()}
""",
    ),
    (
        "a1-shares",
        "counter-clockwise",
        "goes clockwise",
        """
def shares_of(slots, num_slots):
    owner = {slot: server for server, own in slots.items() for slot in own}
    taken, shares = sorted(owner), dict.fromkeys(slots, 0.0)
    for slot, after in zip(taken, [*taken[1:], taken[0] + num_slots]):
        shares[owner[slot]] += (after - slot) / num_slots
    return shares
""",
    ),
    (
        "a1-shares",
        "the ring is cut open",
        "through slot 0",
        """
def shares_of(slots, num_slots):
    owner = {slot: server for server, own in slots.items() for slot in own}
    taken, shares = sorted(owner), dict.fromkeys(slots, 0.0)
    for before, slot in zip(taken, taken[1:]):
        shares[owner[slot]] += (slot - before) / num_slots
    return shares
""",
    ),
    (
        "a1-blind",
        "too small",
        "more are needed",
        "smallest_d = 1",
    ),
    (
        "a1-blind",
        "too large",
        "enough already",
        "smallest_d = 500",
    ),
    (
        "a1-blind",
        "none",
        "whole number",
        "smallest_d = None",
    ),
]
