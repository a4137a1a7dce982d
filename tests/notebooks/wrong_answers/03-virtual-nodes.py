"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "03-arc",
        "the ring is cut open",
        "through slot 0",
        """
def widest_arc(slots, num_slots):
    taken = sorted((slot, server) for server, own in slots.items() for slot in own)
    return max((b - a, server) for (a, _), (b, server) in zip(taken, taken[1:]))
""",
    ),
    (
        "03-arc",
        "the arc given to the mark before it",
        "goes clockwise",
        """
def widest_arc(slots, num_slots):
    taken = sorted((slot, server) for server, own in slots.items() for slot in own)
    after = [*(slot for slot, _ in taken[1:]), taken[0][0] + num_slots]
    return max((end - slot, server) for (slot, server), end in zip(taken, after))
""",
    ),
    (
        "03-arc",
        "only free slots counted",
        "the taken one at the end",
        """
def widest_arc(slots, num_slots):
    taken = sorted((slot, server) for server, own in slots.items() for slot in own)
    before = [taken[-1][0] - num_slots, *(slot for slot, _ in taken)]
    return max((slot - start - 1, server) for start, (slot, server) in zip(before, taken))
""",
    ),
    (
        "03-arc",
        "all slots of a server in place of one arc",
        "in two arcs",
        """
def widest_arc(slots, num_slots):
    owner = {slot: server for server, own in slots.items() for slot in own}
    total = dict.fromkeys(slots, 0)
    for slot in range(num_slots):
        while slot % num_slots not in owner:
            slot += 1
        total[owner[slot % num_slots]] += 1
    return max((count, server) for server, count in total.items())
""",
    ),
    (
        "03-room",
        "no room between",
        "more than half",
        """
def size_ring(num_servers, virtual_nodes):
    num_slots = 1
    while num_slots < num_servers * virtual_nodes:
        num_slots *= 2
    return num_slots
""",
    ),
    (
        "03-room",
        "no power of two",
        "no power of two",
        """
def size_ring(num_servers, virtual_nodes):
    return 2 * num_servers * virtual_nodes
""",
    ),
    (
        "03-room",
        "twice too large",
        "would be enough",
        """
def size_ring(num_servers, virtual_nodes):
    num_slots = 1
    while num_slots <= 2 * num_servers * virtual_nodes:
        num_slots *= 2
    return num_slots
""",
    ),
    (
        "03-room",
        "rounded down",
        "fewer than that",
        """
def size_ring(num_servers, virtual_nodes):
    return 2 ** ((num_servers * virtual_nodes).bit_length() - 1)
""",
    ),
]
