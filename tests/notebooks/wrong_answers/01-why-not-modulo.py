"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "01-stays",
        "the share that moves",
        "the share that moves",
        """
def stays(n, m):
    return 1 - min(n, m) / lcm(n, m)
""",
    ),
    (
        "01-stays",
        "common divisors forgotten",
        "Both divide by 2",
        """
def stays(n, m):
    return 1 if n == m else 1 / max(n, m)
""",
    ),
    (
        "01-stays",
        "one server more, whatever m is",
        "More than one server",
        """
def stays(n, m):
    return min(n, m) / lcm(n, m) if m <= n or gcd(n, m) > 1 else 1 / (n + 1)
""",
    ),
    (
        "01-stays",
        "only upwards",
        "Fewer servers",
        """
def stays(n, m):
    return n / lcm(n, m)
""",
    ),
    (
        "01-join",
        "dealt out anew by modulo",
        "moved between old servers",
        """
def join(table, server):
    members = sorted({*table, server})
    return [members[p % len(members)] for p in range(len(table))]
""",
    ),
    (
        "01-join",
        "all taken from one",
        "the loads are uneven",
        """
def join(table, server):
    after = list(table)
    for _ in range(len(table) // (len(set(table)) + 1)):
        after[after.index(table[0])] = server
    return after
""",
    ),
    (
        "01-join",
        "a partition more",
        "12 partitions",
        """
def join(table, server):
    return [*table, server]
""",
    ),
    (
        "01-join",
        "the given table changed",
        "return a new one",
        """
def join(table, server):
    for _ in range(len(table) // (len(set(table) - {server}) + 1)):
        table[table.index(max(sorted(set(table) - {server}), key=table.count))] = server
    return table
""",
    ),
]
