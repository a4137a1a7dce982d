"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "a4-phi",
        "the assignment's",
        "the widest gap",
        """
def my_phi(node_id, j):
    return node_id**2 + j**2 + 2 * j + 25
""",
    ),
    (
        "a4-phi",
        "not whole",
        "whole numbers",
        """
def my_phi(node_id, j):
    return 512 / 9 * j + node_id
""",
    ),
    (
        "a4-phi",
        "the same for all servers",
        "want a slot that is taken",
        """
def my_phi(node_id, j):
    return 57 * j
""",
    ),
    (
        "a4-attack",
        "too long",
        "six digits",
        """
def same_slot_ids(count):
    return [126_225 + 2654435761 * k for k in range(count)]
""",
    ),
    (
        "a4-attack",
        "one id",
        "twice",
        """
def same_slot_ids(count):
    return [126_225] * count
""",
    ),
    (
        "a4-attack",
        "another modulus",
        "What may you add",
        """
def same_slot_ids(count):
    return [126_225 + 512 * k for k in range(count)]
""",
    ),
]
