"""HAProxy's `balance hash` with `hash-type consistent`: which server of a backend it picks.

A server is its number, not its name: `id`, or its place in the backend. It has 16 points per
weight, F(number * 4096 + j), where F permutes 32-bit integers, so that points of two servers never
meet. A key takes the nearer of the two points around its hash, the lower one if both are as near:
no clockwise rule here.

Source: HAProxy 2.6.12, lb_chash.c, hash.c and tools.c, whose picks the tests ask for. Versions 3.0
before October 2025 number points from F(number) instead: `base="hashed"`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ring.crc32 import crc32_many
from ring.errors import InvalidConfig
from ring.keys import Key, Keys, Rows, bytes_of, hash_rows
from ring.placement import Indices, Node
from ring.points import PointRing

POINTS_PER_WEIGHT = 16
MAX_NODE_ID = 2**20 - 1  # then points of two servers would be the same
_MASK_32 = 2**32 - 1

Words = TypeVar("Words", int, npt.NDArray[np.uint32])


def full_hash(a: Words) -> Words:
    """HAProxy's full_hash of 32-bit integers: Jenkins's six shifts, times 3221225473. Pure; takes
    an integer in range(2^32) or an array of uint32."""
    x: Any = a  # the same arithmetic for both; mypy knows no type of which that is true
    x = (x + 0x7ED55D16 + (x << 12)) & _MASK_32
    x = x ^ 0xC761C23C ^ (x >> 19)
    x = (x + 0x165667B1 + (x << 5)) & _MASK_32
    x = ((x + 0xD3A2646C) ^ (x << 9)) & _MASK_32
    x = (x + 0xFD7046C5 + (x << 3)) & _MASK_32
    x = x ^ 0xB55A4F09 ^ (x >> 16)
    return x * 3221225473 & _MASK_32  # type: ignore[no-any-return]


def sdbm(data: bytes) -> int:
    """h = c + 65599 h, in range(2^32)."""
    value = 0
    for octet in data:
        value = (octet + (value << 6) + (value << 16) - value) & _MASK_32
    return value


def djb2(data: bytes) -> int:
    """h = 33 h + c from 5381, in range(2^32)."""
    value = 5381
    for octet in data:
        value = (value * 33 + octet) & _MASK_32
    return value


def wt6(data: bytes) -> int:
    """HAProxy's own, of two rotating halves, in range(2^32)."""
    h0, h1, step0, step1 = 0xA53C965A, 0x5CA6953A, 6, 18
    for octet in data:
        h0 = ~(h0 ^ octet) & _MASK_32
        h1 = ~(h1 + octet) & _MASK_32
        h0, h1 = _rotated(h1, step0), _rotated(h0, step1)
        step0, step1 = (mixed := ((h0 >> 16) ^ h1) & 0xFFFF) & 31, mixed >> 11
    return h0 ^ h1


def _rotated(word: int, step: int) -> int:
    return (word << step | word >> (32 - step)) & _MASK_32


FUNCTIONS: Mapping[str, Callable[[bytes], int]] = MappingProxyType(
    {"sdbm": sdbm, "djb2": djb2, "wt6": wt6, "crc32": crc32}
)


BASES = ("number", "hashed")  # what a server's points are numbered from


def server_numbers(explicit: Sequence[int | None]) -> list[int]:
    """The numbers of servers in the order of their lines; None where a line has no `id`.

    Such a one gets the first unused number from a counter that every line moves on by one.
    >>> server_numbers([None, 1, 9, None])
    [2, 1, 9, 5]
    """
    used = {number for number in explicit if number is not None}
    numbers, counter = [], 1
    for number in explicit:
        if number is None:
            while counter in used:
                counter += 1
            number = counter
            used.add(number)
        numbers.append(number)
        counter += 1
    return numbers


class HAProxyRing(PointRing):
    """Nodes' ids are HAProxy's server numbers, names are only told.

    function: `sdbm`, `djb2`, `wt6` or `crc32`. avalanche: whether F finishes it; None is HAProxy's
    own default, which is yes where the configuration names no function, and no where it names one:
    `HAProxyRing()` is `hash-type consistent`, `HAProxyRing(function="sdbm")` is `hash-type
    consistent sdbm`. base: "number" or "hashed", see above. InvalidConfig names what is wrong.

    An empty key HAProxy sends to the servers in turn; here it hashes as any other. Its `id`s are
    below 2^20; two servers of one id are refused (InvalidConfig).
    """

    algorithm: ClassVar[str] = "haproxy"
    parameter_names: ClassVar[tuple[str, ...]] = ("function", "avalanche", "base")
    max_weight: ClassVar[int] = 256

    def __init__(
        self, function: str | None = None, avalanche: bool | None = None, base: str = "number"
    ) -> None:
        super().__init__()
        if function is not None and function not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise InvalidConfig(f"function must be one of {known}, got {function!r}")
        if base not in BASES:
            raise InvalidConfig(f"base must be one of {', '.join(BASES)}, got {base!r}")
        self._given = {"function": function, "avalanche": avalanche, "base": base}
        self._function = FUNCTIONS[function or "sdbm"]
        self._avalanche = function is None if avalanche is None else avalanche
        self._is_hashed = base == "hashed"

    def parameters(self) -> dict[str, Any]:
        return dict(self._given)

    def free_id(self, node: str) -> int:
        """The next line's number: see `server_numbers`, which also knows of later lines' ids."""
        given = [each.node_id for each in self._members.values()]
        return server_numbers([*given, None])[-1]

    # Keys

    def key_hash(self, key: Key) -> int:
        value = self._function(bytes_of(key))
        return full_hash(value) if self._avalanche else value

    def key_hash_many(self, keys: Keys) -> npt.NDArray[Any]:
        found = hash_rows(keys, self._hash_rows)
        return full_hash(found) if self._avalanche else found

    def lookup(self, key: Key) -> str:
        """The server of the nearer point, the lower one's on a tie. EmptyRing."""
        return self._lists()[1][self._nearest(key)]

    def lookup_many(self, keys: Keys) -> Indices:
        if not len(keys):
            return np.empty(0, np.intp)
        self._wanted(None)
        places = self.key_hash_many(keys)
        points = self._points.astype(np.uint32)
        above = np.searchsorted(points, places) % len(points)
        below = above - 1  # -1 is the last one
        is_below = places - points[below] <= points[above] - places  # both wrap at 2^32
        return self._owners[np.where(is_below, below, above)].astype(np.intp)

    def preference(self, key: Key, count: int | None = None) -> tuple[str, ...]:
        """By the distance of their nearest point: each is where the key goes when those before it
        are down. EmptyRing; ValueError if count < 1."""
        wanted = self._wanted(count)
        points, names = self._lists()
        num_points, place = len(points) - 1, self.key_hash(key)
        above = bisect_left(points, place) % num_points
        below = above - 1
        found: list[str] = []
        while True:
            if (place - points[below % num_points]) & _MASK_32 <= (
                points[above % num_points] - place
            ) & _MASK_32:
                name, below = names[below % num_points], below - 1
            else:
                name, above = names[above % num_points], above + 1
            if name not in found:
                found.append(name)
                if len(found) == wanted:
                    return tuple(found)

    def pick(self, key: Key, served: Mapping[str, int], balance_factor: int) -> str:
        """The server under `hash-balance-factor`, which lets none have more than `balance_factor`
        percent of its share of the requests in flight, of which it has `served` now. EmptyRing.

        Past the nearest point the way goes on upwards, point by point, to one who may."""
        self._wanted(None)
        slots = self._slots(sum(served.values()) + 1, balance_factor)
        nearest, names = self._nearest(key), self._lists()[1]
        num_points = len(names) - 1
        for step in range(num_points):
            name = names[(nearest + step) % num_points]
            if served.get(name, 0) < slots[name]:
                return name
        return names[nearest]

    def shares(self) -> dict[str, float]:
        """Node -> share of the circle that is nearest to its points, in 0..1. EmptyRing."""
        self._wanted(None)
        # Of the d places from a point to the next one it has ⌊d/2⌋ + 1, itself and a tie included.
        gaps = np.diff(self._points.astype(np.int64), append=2**32 + int(self._points[0]))
        above = gaps // 2 + 1
        owned = above + np.roll(gaps - above, 1)
        counts = np.bincount(self._owners, owned, minlength=len(self._nodes))
        return dict(zip(self._nodes, (counts / 2.0**32).tolist(), strict=True))

    def points_of(self, node: Node) -> npt.NDArray[np.uint64]:
        """F(number * 4096 + j) for each j below 16 · weight, shape (16 · weight,)."""
        start = full_hash(node.node_id) if self._is_hashed else node.node_id * 4096
        j = np.arange(POINTS_PER_WEIGHT * node.weight, dtype=np.uint64)
        seeds = ((j + np.uint64(start)) & np.uint64(_MASK_32)).astype(np.uint32)
        return full_hash(seeds).astype(np.uint64)

    # Inside

    def _admit(self, node: Node) -> None:
        if not 1 <= node.node_id <= MAX_NODE_ID:
            raise InvalidConfig(f"node_id must be in 1..{MAX_NODE_ID}, got {node.node_id}")
        if any(each.node_id == node.node_id for each in self._members.values()):
            raise InvalidConfig(f"node_id must be another server's none, got {node.node_id}")
        super()._admit(node)

    def _hash_rows(self, rows: Rows) -> npt.NDArray[np.uint32]:
        if self._function is crc32:
            return crc32_many(rows)
        if self._function is wt6:
            return np.array([wt6(row.tobytes()) for row in rows], np.uint32)
        value = np.full(len(rows), 5381 if self._function is djb2 else 0, np.uint32)
        factor = np.uint32(33 if self._function is djb2 else 65599)
        for column in rows.T:
            value = value * factor + column
        return value

    def _nearest(self, key: Key) -> int:
        """Index of the point that decides where the key goes."""
        points, place = self._lists()[0], self.key_hash(key)
        num_points = len(points) - 1
        above = bisect_left(points, place) % num_points
        below = (above - 1) % num_points
        is_below = (place - points[below]) & _MASK_32 <= (points[above] - place) & _MASK_32
        return below if is_below else above

    def _slots(self, num_in_flight: int, balance_factor: int) -> dict[str, int]:
        """How many requests each server may have, of `num_in_flight` in all: at least one."""
        nodes = list(self._members.values())
        total = POINTS_PER_WEIGHT * sum(node.weight for node in nodes)
        per_weight, rest = divmod((num_in_flight * balance_factor + 99) // 100, total)
        slots, before = {}, 0
        for node in nodes:
            weight = POINTS_PER_WEIGHT * node.weight
            behind = before + weight
            extra = behind * rest // total - before * rest // total
            slots[node.name] = max(1, weight * per_weight + extra)
            before = behind
        return slots
