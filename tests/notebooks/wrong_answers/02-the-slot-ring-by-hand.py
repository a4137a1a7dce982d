"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "02-probe",
        "a step before the first look",
        "taken without a step",
        """
def find_slot(taken, wanted, num_slots, probing):
    for d in range(1, num_slots + 1):
        slot = (wanted + (d if probing == "linear" else d * (d + 1) // 2)) % num_slots
        if slot not in taken:
            return slot
""",
    ),
    (
        "02-probe",
        "the ring is cut open",
        "the circle goes on at 0",
        """
def find_slot(taken, wanted, num_slots, probing):
    for d in range(num_slots):
        slot = wanted + (d if probing == "linear" else d * (d + 1) // 2)
        if slot not in taken:
            return slot
""",
    ),
    (
        "02-probe",
        "linear whatever is asked",
        "that is linear probing",
        """
def find_slot(taken, wanted, num_slots, probing):
    for d in range(num_slots):
        if (slot := (wanted + d) % num_slots) not in taken:
            return slot
""",
    ),
    (
        "02-probe",
        "squares",
        "those are the squares",
        """
def find_slot(taken, wanted, num_slots, probing):
    for d in range(num_slots):
        slot = (wanted + (d if probing == "linear" else d * d)) % num_slots
        if slot not in taken:
            return slot
""",
    ),
    (
        "02-probe",
        "a full ring gives the wanted slot",
        "None is wanted",
        """
def find_slot(taken, wanted, num_slots, probing):
    slot = wanted
    for d in range(1, num_slots + 1):
        if slot not in taken:
            return slot
        slot = (slot + (1 if probing == "linear" else d)) % num_slots
    return wanted
""",
    ),
    (
        "02-preferences",
        "each virtual node a choice",
        "you meet A twice",
        """
def preferences(taken, slot, num_slots):
    walk = [(slot + step) % num_slots for step in range(num_slots)]
    return [taken[other] for other in walk if other in taken]
""",
    ),
    (
        "02-preferences",
        "free slots are listed",
        "a free slot is nobody",
        """
def preferences(taken, slot, num_slots):
    walk = [taken.get((slot + step) % num_slots) for step in range(num_slots)]
    return list(dict.fromkeys(walk))
""",
    ),
    (
        "02-preferences",
        "the ring is cut open",
        "through slot 0",
        """
def preferences(taken, slot, num_slots):
    return list(dict.fromkeys(taken[other] for other in range(slot, num_slots) if other in taken))
""",
    ),
    (
        "02-preferences",
        "its own slot left out",
        "a slot counts itself",
        """
def preferences(taken, slot, num_slots):
    walk = [(slot + step) % num_slots for step in range(1, num_slots + 1)]
    return list(dict.fromkeys(taken[other] for other in walk if other in taken))
""",
    ),
    (
        "02-preferences",
        "in order of names",
        "then through 0 to 1",
        """
def preferences(taken, slot, num_slots):
    return sorted(set(taken.values()))
""",
    ),
]
