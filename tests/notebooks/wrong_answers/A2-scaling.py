"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "a2-needed",
        "the average",
        "the average, not the busiest",
        """
def servers_needed(preset, limit):
    return -(-10_000 // limit)
""",
    ),
    (
        "a2-needed",
        "below in place of at most",
        "is within it",
        """
def servers_needed(preset, limit):
    for n in range(1, 7):
        if lab.predict(request_ids, n, preset).max() < limit:
            return n
""",
    ),
    (
        "a2-needed",
        "a full ring",
        "RingFull",
        """
def servers_needed(preset, limit):
    n = 1
    while lab.predict(request_ids, n, preset).max() > limit:
        n += 1
    return n
""",
    ),
    (
        "a2-spread",
        "the range",
        "the range",
        """
def spread(counts):
    return (max(counts) - min(counts)) / (sum(counts) / len(counts))
""",
    ),
    (
        "a2-spread",
        "of a sample",
        "n - 1",
        """
from statistics import mean, stdev
spread = lambda counts: stdev(counts) / mean(counts)
""",
    ),
    (
        "a2-spread",
        "not divided",
        "divide it by the mean",
        "from statistics import pstdev as spread",
    ),
]
