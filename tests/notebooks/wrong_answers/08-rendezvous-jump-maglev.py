"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "08-rendezvous",
        "the winner alone",
        "not the winner alone",
        """
def rendezvous(key, servers, score):
    return max(servers, key=lambda server: score(server, key))
""",
    ),
    (
        "08-rendezvous",
        "the lowest score first",
        "you begin with the lowest",
        """
def rendezvous(key, servers, score):
    return sorted(servers, key=lambda server: (score(server, key), server))
""",
    ),
    (
        "08-rendezvous",
        "the key first",
        "the server first and then the key",
        """
def rendezvous(key, servers, score):
    return sorted(servers, key=lambda server: (-score(key, server), server))
""",
    ),
    (
        "08-rendezvous",
        "equal scores in the order that they come in",
        "A comes first, however they are given",
        """
def rendezvous(key, servers, score):
    return sorted(servers, key=lambda server: -score(server, key))
""",
    ),
    (
        "08-rendezvous",
        "equal scores by the larger name",
        "A comes first, however they are given",
        """
def rendezvous(key, servers, score):
    return sorted(servers, key=lambda server: (score(server, key), server), reverse=True)
""",
    ),
    (
        "08-rendezvous",
        "the list that was given is sorted",
        "the list that was given has changed",
        """
def rendezvous(key, servers, score):
    servers.sort(key=lambda server: (-score(server, key), server))
    return servers
""",
    ),
    (
        "08-rendezvous",
        "the scores as well",
        "names are wanted",
        """
def rendezvous(key, servers, score):
    return sorted(((score(server, key), server) for server in servers), reverse=True)
""",
    ),
    (
        "08-disruption",
        "everything that moves",
        "nobody needed that",
        """
def disruption(before, after):
    return sum(was != now for was, now in zip(before, after)), 0
""",
    ),
    (
        "08-disruption",
        "the wrong way round",
        "needed come first",
        """
def disruption(before, after):
    old, new = set(before), set(after)
    moved = [(was, now) for was, now in zip(before, after) if was != now]
    unneeded = sum(was in new and now in old for was, now in moved)
    return unneeded, len(moved) - unneeded
""",
    ),
    (
        "08-disruption",
        "newcomers alone",
        "B has gone",
        """
def disruption(before, after):
    moved = [(was, now) for was, now in zip(before, after) if was != now]
    needed = sum(now not in before for was, now in moved)
    return needed, len(moved) - needed
""",
    ),
    (
        "08-disruption",
        "leavers alone",
        "B comes",
        """
def disruption(before, after):
    moved = [(was, now) for was, now in zip(before, after) if was != now]
    needed = sum(was not in after for was, now in moved)
    return needed, len(moved) - needed
""",
    ),
    (
        "08-disruption",
        "who stays has moved",
        "has not moved at all",
        """
def disruption(before, after):
    old, new = set(before), set(after)
    needed = sum(was not in new or now not in old for was, now in zip(before, after))
    return needed, len(before) - needed
""",
    ),
    (
        "08-disruption",
        "either who leaves or who comes",
        "C leaves while D comes",
        """
def disruption(before, after):
    moved = [(was, now) for was, now in zip(before, after) if was != now]
    leavers = set(before) - set(after)
    if leavers:
        needed = sum(was in leavers for was, now in moved)
    else:
        needed = sum(now not in before for was, now in moved)
    return needed, len(moved) - needed
""",
    ),
]
