"""libketama's ring, which memcached's clients share: the same points, the same server.

Each node has 40 MD5 digests if all weights are equal, of the texts name-0, name-1 …, and each
digest is four points; with other weights it has its share of 40 per node. The share is reckoned in
32-bit floats, as libketama does: with some numbers of nodes one digest falls off the end of
everybody's.

Source: R. Jones, libketama, 2007; points and picks in the tests were read off that program.
"""

from __future__ import annotations

from hashlib import md5
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ring.errors import CannotRemove, InvalidWeight
from ring.keys import Key, Keys, bytes_of
from ring.placement import Node
from ring.points import PointRing

DIGESTS_PER_NODE = 40  # on average; four points each


class KetamaRing(PointRing):
    """Nodes are named as the client names them: `"10.0.1.1:11211"`; libmemcached leaves out the
    default port.

    Law: with equal weights as every ring's, but where the rounding takes or gives everybody's last
    digest; with unequal weights everybody's number of points depends on all weights, so that keys
    move between others, too.
    """

    algorithm: ClassVar[str] = "ketama"

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, npt.NDArray[np.uint64]] = {}  # points of each node, maybe too many

    def parameters(self) -> dict[str, Any]:
        return {}

    def key_hash(self, key: Key) -> int:
        """The first word of the key's MD5, little-endian."""
        digest = md5(bytes_of(key), usedforsecurity=False).digest()
        return int.from_bytes(digest[:4], "little")

    def key_hash_many(self, keys: Keys) -> npt.NDArray[Any]:
        each = keys.tolist() if isinstance(keys, np.ndarray) else keys
        digests = b"".join(md5(bytes_of(key), usedforsecurity=False).digest() for key in each)
        return np.frombuffer(digests, "<u4").reshape(-1, 4)[:, 0]

    def points_of(self, node: Node) -> npt.NDArray[np.uint64]:
        """Its points among the present nodes, shape (4 · digests,)."""
        members = self._members | {node.name: node}
        return self._first_points(node, _num_digests(list(members.values()))[node.name])

    def copy(self) -> KetamaRing:
        twin = super().copy()
        twin._made = self._made.copy()
        return twin

    def _admit(self, node: Node) -> None:
        before = _num_digests(list(self._members.values()))
        after = _num_digests([*self._members.values(), node])
        if not all(after.values()):
            none = next(name for name, number in after.items() if not number)
            raise InvalidWeight(
                f"weight of {none!r} must be larger, or the others' smaller: beside them it would "
                "have no point"
            )
        if all(after[name] == number for name, number in before.items()):
            super()._admit(node)
        else:
            self._place_all([*self._members.values(), node], after)

    def _dismiss(self, node: Node, index: int) -> None:
        stay = [each for each in self._members.values() if each is not node]
        before = _num_digests(list(self._members.values()))
        after = _num_digests(stay) if stay else {}
        if not all(after.values()):
            none = next(name for name, number in after.items() if not number)
            raise CannotRemove(f"without {node.name!r} there would be no point left for {none!r}")
        if all(before[name] == number for name, number in after.items()):
            super()._dismiss(node, index)
        else:
            self._place_all(stay, after)
        del self._made[node.name]

    def _place_all(self, nodes: list[Node], num_digests: dict[str, int]) -> None:
        each = [np.unique(self._first_points(node, num_digests[node.name])) for node in nodes]
        points = np.concatenate(each)
        order = np.argsort(points, kind="stable")
        self._points = points[order]
        owners = np.repeat(np.arange(len(nodes), dtype=np.int32), [len(one) for one in each])
        self._owners = owners[order]
        self._list = None

    def _first_points(self, node: Node, num_digests: int) -> npt.NDArray[np.uint64]:
        made = self._made.get(node.name)
        if made is None or len(made) < 4 * num_digests:
            digests = (
                md5(f"{node.name}-{k}".encode(), usedforsecurity=False).digest()
                for k in range(num_digests)
            )
            made = np.frombuffer(b"".join(digests), "<u4").astype(np.uint64)
            self._made[node.name] = made
        return made[: 4 * num_digests]


def _num_digests(nodes: list[Node]) -> dict[str, int]:
    """floorf(pct * 40.0 * n), where pct is a float: libketama's ketama_create_continuum."""
    total = np.float32(sum(node.weight for node in nodes))
    shares = np.array([node.weight for node in nodes], np.float32) / total
    exact = shares.astype(np.float64) * float(DIGESTS_PER_NODE) * len(nodes)
    numbers = np.floor(exact.astype(np.float32)).astype(int)
    return {node.name: int(number) for node, number in zip(nodes, numbers, strict=True)}
