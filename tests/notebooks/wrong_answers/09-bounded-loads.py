"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "09-capacity",
        "a float rounded up",
        "use whole numbers",
        """
import math
def capacity(percent, m, n):
    return math.ceil(percent / 100 * m / n)
""",
    ),
    (
        "09-capacity",
        "the mean first",
        "use whole numbers",
        """
import math
def capacity(percent, m, n):
    return math.ceil(percent / 100 * (m / n))
""",
    ),
    (
        "09-capacity",
        "rounded down",
        "you rounded down, to 0",
        """
def capacity(percent, m, n):
    return percent * m // (100 * n)
""",
    ),
    (
        "09-capacity",
        "one more in place of rounding up",
        "nothing is to be rounded",
        """
def capacity(percent, m, n):
    return percent * m // (100 * n) + 1
""",
    ),
    (
        "09-capacity",
        "the one that comes counted twice",
        "m includes the one that comes",
        """
def capacity(percent, m, n):
    return -(-percent * (m + 1) // (100 * n))
""",
    ),
    (
        "09-capacity",
        "not rounded",
        "a whole number is wanted",
        """
def capacity(percent, m, n):
    return percent * m / (100 * n)
""",
    ),
    (
        "09-lookup",
        "no limit at all",
        "B has one: it would have 2",
        """
def bounded_lookup(order, loads, percent):
    return order[0]
""",
    ),
    (
        "09-lookup",
        "the limit may be passed by one",
        "it would have 2",
        """
def bounded_lookup(order, loads, percent):
    limit = capacity(percent, sum(loads.values()) + 1, len(loads))
    return next(server for server in order if loads[server] <= limit)
""",
    ),
    (
        "09-lookup",
        "the least loaded in place of the next",
        "A comes first in the list and has room",
        """
def bounded_lookup(order, loads, percent):
    limit = capacity(percent, sum(loads.values()) + 1, len(loads))
    return order[0] if loads[order[0]] < limit else min(loads, key=loads.get)
""",
    ),
    (
        "09-lookup",
        "the one that comes is not counted",
        "the one that comes counts",
        """
def bounded_lookup(order, loads, percent):
    limit = capacity(percent, sum(loads.values()), len(loads))
    return next((server for server in order if loads[server] < limit), None)
""",
    ),
    (
        "09-lookup",
        "not counted, and home when all are full",
        "with the one that comes there are 5",
        """
def bounded_lookup(order, loads, percent):
    limit = capacity(percent, sum(loads.values()), len(loads))
    return next((server for server in order if loads[server] < limit), order[0])
""",
    ),
    (
        "09-lookup",
        "only the second is tried",
        "B and A are full",
        """
def bounded_lookup(order, loads, percent):
    limit = capacity(percent, sum(loads.values()) + 1, len(loads))
    return order[0] if loads[order[0]] < limit else order[1]
""",
    ),
    (
        "09-lookup",
        "the servers in order of their names",
        "home it goes",
        """
def bounded_lookup(order, loads, percent):
    limit = capacity(percent, sum(loads.values()) + 1, len(loads))
    return next(server for server in loads if loads[server] < limit)
""",
    ),
    (
        "09-lookup",
        "the place is taken",
        "you changed the loads",
        """
def bounded_lookup(order, loads, percent):
    limit = capacity(percent, sum(loads.values()) + 1, len(loads))
    server = next(server for server in order if loads[server] < limit)
    loads[server] += 1
    return server
""",
    ),
]
