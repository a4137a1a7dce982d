"""nginx's `hash KEY consistent`: which server of an upstream block it picks.

A server is what stands behind the word `server`, letter by letter; it is not resolved. It has
160 points per weight, each the CRC-32 of its host, a zero byte, its port, and the point before it:
a chain, so that weight 2 goes on where weight 1 ended. Of equal points the earlier line's counts.
The key's place is its plain CRC-32.

Source: nginx 1.22.1, ngx_http_upstream_hash_module.c, whose picks the tests ask for.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import Any, ClassVar
from zlib import crc32

import numpy as np
import numpy.typing as npt

from ring.crc32 import crc32_many
from ring.keys import Key, Keys, bytes_of, hash_rows
from ring.placement import Node
from ring.points import PointRing

POINTS_PER_WEIGHT = 160
MAX_TRIES = 21  # points that nginx looks at before it takes servers in turn

_UNIX = re.compile(r"(?i)unix:")
_PORT = re.compile(r"(.*):([0-9]*)", re.DOTALL)


class NginxRing(PointRing):
    """Nodes are named as in the configuration: `"10.0.0.1:8080"`, `"backend"`, `"unix:/run/a"`.

    Keys are bytes as nginx has them: a variable's value, not decoded. Exact as long as each server
    has one address; nginx takes those of a name with several in turn. The order of the lines
    matters where two servers have an equal point, one in 2^32, and nowhere else.
    """

    algorithm: ClassVar[str] = "nginx"

    def parameters(self) -> dict[str, Any]:
        return {}

    def key_hash(self, key: Key) -> int:
        return crc32(bytes_of(key))

    def lookup(self, key: Key) -> str:
        """The server of the key while all are up. EmptyRing."""
        # As of every point ring, but without a call for the hash, which would be a third of it.
        is_text = type(key) is str
        try:
            place = crc32(key.encode() if is_text else bytes_of(key))  # type: ignore[union-attr]
        except UnicodeEncodeError:  # lone surrogates
            place = crc32(bytes_of(key))
        if not self._name_in:
            return self._bisected(place)
        if is_text and "lookup" not in self.__dict__:
            self._quicken(self._text_finder())
        return self._name_in[place >> self._shift] or self._names[bisect_left(self._list, place)]

    def key_hash_many(self, keys: Keys) -> npt.NDArray[Any]:
        return hash_rows(keys, crc32_many)

    def pick(self, key: Key, down: frozenset[str] = frozenset()) -> str | None:
        """The server that nginx asks first while those of `down` are down, None where it falls back
        to taking the others in turn: after 21 points without one that is up. An empty key has no
        place either. EmptyRing."""
        data = bytes_of(key)
        self._wanted(None)
        if not data:
            return None
        _, firsts = np.unique(self._points, return_index=True)  # of equal points the first counts
        at = int(np.searchsorted(self._points[firsts], crc32(data)))
        for step in range(MAX_TRIES):
            name = self._nodes[int(self._owners[firsts[(at + step) % len(firsts)]])]
            if name not in down:
                return name
        return None

    def points_of(self, node: Node) -> npt.NDArray[np.uint64]:
        """The chain of 160 · weight points, shape (160 · weight,)."""
        host, port = host_and_port(node.name)
        base = crc32(host + b"\0" + port)
        found, point = [], 0
        for _ in range(POINTS_PER_WEIGHT * node.weight):
            point = crc32(point.to_bytes(4, "little"), base)
            found.append(point)
        return np.array(found, np.uint64)

    def _text_finder(self) -> Callable[[Any], str]:
        """`lookup` for callers whose keys are texts; with the first other key it resigns."""
        name_in, points, names, shift = self._name_in, self._list, self._names, self._shift

        def find(key: Any) -> str:
            try:
                place = crc32(key.encode())
                return name_in[place >> shift] or names[bisect_left(points, place)]
            except (AttributeError, UnicodeEncodeError):  # no text, or one with lone surrogates
                self._slow_down()
                return NginxRing.lookup(self, key)
            except IndexError:  # a node has come or gone
                return self.lookup(key)

        return find


def host_and_port(server: str) -> tuple[bytes, bytes]:
    """What nginx hashes of a server's text: `unix:` goes, in any case, and digits behind the last
    colon are the port; without a port it is empty, not 80."""
    text = server.encode()
    if (unix := _UNIX.match(server)) is not None:
        return text[unix.end() :], b""
    if (match := _PORT.fullmatch(server)) is not None:
        return match[1].encode(), match[2].encode()
    return text, b""
