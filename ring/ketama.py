"""libketama's ring, which memcached's clients share: the same points, the same server.

Each node has 40 MD5 digests if all weights are equal, of the texts name-0, name-1 …, and each
digest is four points; with other weights it has its share of 40 per node. The share is reckoned in
32-bit floats, as libketama does: with some numbers of nodes one digest falls off the end of
everybody's.

Source: R. Jones, libketama, 2007; points and picks in the tests were read off that program.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
        self._weights = Counter[int]()  # how many nodes have each
        self._num_digests: dict[int, int] = {}  # of a node with each
        self._is_stale = False  # the points are

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
        nodes = {*self._members.values(), node}
        return self._first_points(node, _num_digests(_weights_of(nodes))[node.weight])

    def copy(self) -> KetamaRing:
        twin = super().copy()
        twin._made = self._made.copy()
        return twin

    def _admit(self, node: Node) -> None:
        weights = self._weights + Counter([node.weight])
        before, after = self._num_digests, _num_digests(weights)
        if not all(after.values()):
            raise InvalidWeight(
                f"weight of {node.name!r} must be another: beside {node.weight} some node of "
                f"weight {_pointless(after)} would have no point"
            )
        if before.items() <= after.items():
            self._take(node, self._first_points(node, after[node.weight]))
        else:
            self._begin_anew()
        self._weights, self._num_digests = weights, after

    def _dismiss(self, node: Node, index: int) -> None:
        weights = self._weights - Counter([node.weight])
        after = _num_digests(weights)
        if not all(after.values()):
            raise CannotRemove(
                f"without {node.name!r} nodes of weight {_pointless(after)} would have no point"
            )
        if after.items() <= self._num_digests.items():
            super()._dismiss(node, index)
        else:
            self._begin_anew()
        self._weights, self._num_digests = weights, after
        self._made.pop(node.name, None)

    def _begin_anew(self) -> None:
        """Numbers of points have changed: all are placed when next asked for."""
        self._place(np.empty(0, np.uint64), np.empty(0, np.int32))
        self._is_stale = True

    def _merge(self) -> None:
        if self._is_stale:
            self._is_stale, num_digests = False, self._num_digests
            self._pending = [
                (index, self._first_points(node, num_digests[node.weight]))
                for index, node in enumerate(self._members.values())
            ]
        super()._merge()

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


def _weights_of(nodes: Iterable[Node]) -> Counter[int]:
    return Counter(node.weight for node in nodes)


def _num_digests(weights: Counter[int]) -> dict[int, int]:
    """Digests of a node by its weight: floorf(pct * 40.0 * n), where pct is a float, in libketama's
    ketama_create_continuum."""
    num_nodes = weights.total()
    total = np.float32(sum(weight * count for weight, count in weights.items()))
    return {
        weight: int(np.float32(float(np.float32(weight) / total) * DIGESTS_PER_NODE * num_nodes))
        for weight in weights
    }


def _pointless(num_digests: dict[int, int]) -> int:
    return next(weight for weight, number in num_digests.items() if not number)
