"""Wrong answers that learners give: exercise, what is wrong, words of the hint, source."""

WRONG = [
    (
        "07-ketama",
        "big-endian",
        "little-endian is wanted",
        """
def ketama_points(name, num_digests):
    digests = [md5(f"{name}-{k}".encode()).digest() for k in range(num_digests)]
    return [int.from_bytes(d[at : at + 4], "big") for d in digests for at in (0, 4, 8, 12)]
""",
    ),
    (
        "07-ketama",
        "k counted from 1",
        "k counts from 0",
        """
def ketama_points(name, num_digests):
    digests = [md5(f"{name}-{k}".encode()).digest() for k in range(1, num_digests + 1)]
    return [int.from_bytes(d[at : at + 4], "little") for d in digests for at in (0, 4, 8, 12)]
""",
    ),
    (
        "07-ketama",
        "no hyphen",
        "with a hyphen",
        """
def ketama_points(name, num_digests):
    digests = [md5(f"{name}{k}".encode()).digest() for k in range(num_digests)]
    return [int.from_bytes(d[at : at + 4], "little") for d in digests for at in (0, 4, 8, 12)]
""",
    ),
    (
        "07-ketama",
        "one point of each digest",
        "one digest is four points",
        """
def ketama_points(name, num_digests):
    digests = [md5(f"{name}-{k}".encode()).digest() for k in range(num_digests)]
    return [int.from_bytes(d[:4], "little") for d in digests]
""",
    ),
    (
        "07-ketama",
        "sorted",
        "in the order in which they are made",
        """
def ketama_points(name, num_digests):
    digests = [md5(f"{name}-{k}".encode()).digest() for k in range(num_digests)]
    return sorted(int.from_bytes(d[at : at + 4], "little") for d in digests for at in (0, 4, 8, 12))
""",
    ),
    (
        "07-ketama",
        "all first quarters, then all second ones",
        "not in the order of the texts",
        """
def ketama_points(name, num_digests):
    digests = [md5(f"{name}-{k}".encode()).digest() for k in range(num_digests)]
    return [int.from_bytes(d[at : at + 4], "little") for at in (0, 4, 8, 12) for d in digests]
""",
    ),
    (
        "07-ketama",
        "digests of digests, as in nginx's chain",
        "digest 1 is that of another text",
        """
def ketama_points(name, num_digests):
    points, text = [], f"{name}-0".encode()
    for _ in range(num_digests):
        text = md5(text).digest()
        points += [int.from_bytes(text[at : at + 4], "little") for at in (0, 4, 8, 12)]
    return points
""",
    ),
    (
        "07-pick",
        "the point before",
        "does not count",
        """
def pick(points, place):
    return points[bisect_left(points, (place, "")) - 1][1]
""",
    ),
    (
        "07-pick",
        "the nearest point",
        "it is behind us",
        """
def pick(points, place):
    def distance(pair):
        return min((pair[0] - place) % 2**32, (place - pair[0]) % 2**32)

    return min(points, key=distance)[1]
""",
    ),
    (
        "07-pick",
        "an equal point passed over",
        "equal to the hash",
        """
def pick(points, place):
    behind = [server for point, server in points if point > place]
    return behind[0] if behind else points[0][1]
""",
    ),
    (
        "07-pick",
        "no way around",
        r"IndexError.*begins anew",
        """
def pick(points, place):
    return points[bisect_left(points, (place, ""))][1]
""",
    ),
    (
        "07-pick",
        "the last point keeps the rest",
        "begins anew",
        """
def pick(points, place):
    return points[min(bisect_left(points, (place, "")), len(points) - 1)][1]
""",
    ),
]
