"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

CHOICES = """
def my_choice(situation):
    right = {{
        "cdn": "nginx",
        "shards": "anchor",
        "packets": "maglev",
        "mixed": "nginx",
        "games": "slots",
    }}
    return (right | {wrong})[situation]
"""

WRONG_CHOICES = [
    ({"cdn": "slots"}, "refuses the fleet: no free slot"),
    ({"cdn": "jump"}, "weight must be 1"),
    ({"cdn": "anchor"}, "weight must be 1"),
    ({"cdn": "ketama"}, "move needlessly"),
    ({"cdn": "maglev"}, "move needlessly"),
    ({"cdn": "HAProxyRing"}, "one of slots, ketama"),
    ({"shards": "slots"}, "fullest of 64 shards has .*10 % are allowed"),
    ({"shards": "nginx"}, "fullest of 64 shards has .*10 % are allowed"),
    ({"shards": "multiprobe"}, "fullest of 64 shards has .*10 % are allowed"),
    ({"shards": "maglev"}, "copied needlessly"),
    ({"shards": "modulo"}, "copied needlessly"),
    ({"packets": "jump"}, "remembers who came when"),
    ({"packets": "anchor"}, "remembers who came when"),
    ({"packets": "nginx"}, "busiest of 50 gets .*10 % are allowed"),
    ({"packets": "modulo"}, "connections break needlessly"),
    ({"packets": "rendezvous"}, "times as long as with 10"),
    ({"mixed": "ketama"}, "ask the same cache for 20%"),
    ({"games": "jump"}, "only Server5 can be removed"),
    ({"games": "maglev"}, "come to where the first copy is"),
    ({"games": "modulo"}, "come to where the first copy is"),
]

WRONG = [
    (
        "10-heir",
        "a share of all keys",
        "a share of all keys",
        """
def heaviest_heir(placement, leaver, keys):
    without = placement.copy()
    without.remove(leaver)
    heirs = [without.lookup(key) for key in keys if placement.lookup(key) == leaver]
    return pd.Series(heirs).value_counts().max() / len(keys)
""",
    ),
    (
        "10-heir",
        "the given placement is changed",
        "has lost a server",
        """
def heaviest_heir(placement, leaver, keys):
    own = [key for key in keys if placement.lookup(key) == leaver]
    placement.remove(leaver)
    return pd.Series(map(placement.lookup, own)).value_counts(normalize=True).max()
""",
    ),
    (
        "10-heir",
        "everybody's keys, not the leaver's alone",
        "the leaver's keys alone",
        """
def heaviest_heir(placement, leaver, keys):
    without = placement.copy()
    without.remove(leaver)
    pairs = [(placement.lookup(key), without.lookup(key)) for key in keys]
    heirs = pd.Series([after for before, after in pairs if before != after])
    return heirs.value_counts(normalize=True).max()
""",
    ),
    (
        "10-heir",
        "indices compared, which shift",
        "index in nodes changes|both go to C",
        """
def heaviest_heir(placement, leaver, keys):
    without = placement.copy()
    without.remove(leaver)
    before, after = placement.lookup_many(keys), without.lookup_many(keys)
    return float(pd.Series(after[before != after]).value_counts(normalize=True).max())
""",
    ),
    (
        "10-heir",
        "the mean of the heirs",
        "the heaviest",
        """
def heaviest_heir(placement, leaver, keys):
    return 1 / (len(placement.nodes) - 1)
""",
    ),
    *(
        ("10-choice", f"{situation} by {name}", hint, CHOICES.format(wrong=wrong))
        for wrong, hint in WRONG_CHOICES
        for situation, name in wrong.items()
    ),
]
