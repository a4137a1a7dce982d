"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "04-order",
        "the nearest on either side",
        "clockwise is up",
        """
def order(slots, num_slots, slot):
    owner = {taken: name for name, own in slots.items() for taken in own}
    return list(dict.fromkeys(owner[taken] for taken in sorted(owner, key=lambda t: abs(t - slot))))
""",
    ),
    (
        "04-order",
        "every virtual node",
        "each server is tried once",
        """
def order(slots, num_slots, slot):
    owner = {taken: name for name, own in slots.items() for taken in own}
    return [owner[taken] for taken in sorted(owner, key=lambda t: (t - slot) % num_slots)]
""",
    ),
    (
        "04-order",
        "ends at the last slot",
        "behind slot 19 comes slot 0",
        """
def order(slots, num_slots, slot):
    owner = {taken: name for name, own in slots.items() for taken in own}
    return list(dict.fromkeys(owner[taken] for taken in sorted(owner) if taken >= slot))
""",
    ),
    (
        "04-order",
        "its own slot left out",
        "slot 13 is B's own",
        """
def order(slots, num_slots, slot):
    owner = {taken: name for name, own in slots.items() for taken in own}
    clockwise = sorted(owner, key=lambda taken: (taken - slot - 1) % num_slots)
    return list(dict.fromkeys(owner[taken] for taken in clockwise))
""",
    ),
    (
        "04-key",
        "a minus makes a text",
        "a minus in front",
        """
from hashlib import sha256

def to_key(text):
    if text.isdecimal():
        return int(text)
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")
""",
    ),
    (
        "04-key",
        "what int() accepts",
        "an underscore makes it a text",
        """
from hashlib import sha256

def to_key(text):
    try:
        return int(text)
    except ValueError:
        return int.from_bytes(sha256(text.encode()).digest()[:8], "big")
""",
    ),
    (
        "04-key",
        "a number for a text",
        "a point is no digit",
        """
def to_key(text):
    try:
        return int(float(text))
    except ValueError:
        return hash(text)
""",
    ),
    (
        "04-key",
        "the whole digest",
        "the first 8 bytes",
        """
from hashlib import sha256

def to_key(text):
    if text == "7.0" or not text.removeprefix("-").isdecimal():
        digest = sha256(text.encode()).digest()
        return int.from_bytes(digest[:8] if text == "7.0" else digest, "big")
    return int(text)
""",
    ),
]
