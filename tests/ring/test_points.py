"""Point rings by hand: names, ties, servers that are down, bounded loads; and CRC-32 in bulk."""

from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring.crc32 import crc32_many
from ring.errors import CannotRemove, InvalidConfig, InvalidWeight
from ring.haproxy import HAProxyRing, full_hash, server_numbers
from ring.ketama import KetamaRing
from ring.keys import grouped
from ring.nginx import MAX_TRIES, NginxRing, host_and_port

# CRC-32


@given(st.lists(st.binary(max_size=70), max_size=20))
def test_crc32_in_bulk(texts: list[bytes]) -> None:
    """As zlib's, of texts of any lengths."""
    found = [0] * len(texts)
    for positions, rows in grouped(texts):
        for position, crc in zip(positions.tolist(), crc32_many(rows).tolist(), strict=True):
            found[position] = crc
    assert [crc32(text) for text in texts] == found


def test_grouped_by_length() -> None:
    """A row for each text, with its position; numpy's bytes without their padding."""
    groups = {rows.shape[1]: positions.tolist() for positions, rows in grouped(["a", b"bcd", 42])}
    assert {1: [0], 3: [1], 2: [2]} == groups
    groups = {
        rows.shape[1]: positions.tolist() for positions, rows in grouped(np.array([b"ab", b""]))
    }
    assert {2: [0], 0: [1]} == groups


# nginx


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("10.0.0.1:8080", (b"10.0.0.1", b"8080")),
        ("backend", (b"backend", b"")),
        ("Backend:80", (b"Backend", b"80")),
        ("[::1]:80", (b"[::1]", b"80")),
        ("unix:/run/a.sock", (b"/run/a.sock", b"")),
        ("UNIX:/run/a:1", (b"/run/a:1", b"")),
        ("backend:", (b"backend", b"")),
        ("backend:http", (b"backend:http", b"")),
    ],
)
def test_what_nginx_hashes_of_a_server(server: str, expected: tuple[bytes, bytes]) -> None:
    """Host and port as they are written, `unix:` taken off."""
    assert expected == host_and_port(server)


def test_nginx_chains_its_points() -> None:
    """Each is the CRC of host, NUL, port and the one before it; weight 2 goes on from weight 1."""
    ring = NginxRing()
    ring.add("a:1", 2)
    points = ring.points_of(ring.node("a:1")).tolist()
    assert 320 == len(points)
    assert crc32(b"a\x001" + bytes(4)) == points[0]
    assert crc32(b"a\x001" + points[158].to_bytes(4, "little")) == points[159]
    ring.add("b:1")
    assert points[:160] == ring.points_of(type(ring.node("b:1"))("a:1", 1, 1)).tolist()


def test_nginx_passes_over_servers_that_are_down() -> None:
    """To the next point's, as often as it needs; after 21 points it takes servers in turn."""
    ring = NginxRing()
    for number in range(40):
        ring.add(f"10.0.0.{number}:80")
    for key in ("cart-17", "user-5", b"\x00\xff"):
        first, second, third = ring.preference(key, 3)
        assert first == ring.lookup(key) == ring.pick(key)
        assert second == ring.pick(key, frozenset({first}))
        assert third == ring.pick(key, frozenset({first, second}))
        assert ring.pick(key, frozenset(ring.nodes)) is None
        places = np.sort(ring._points)
        at = int(np.searchsorted(places, crc32(key if isinstance(key, bytes) else key.encode())))
        near = {ring.nodes[ring._owners[(at + step) % len(places)]] for step in range(MAX_TRIES)}
        assert ring.pick(key, frozenset(near)) is None
    assert ring.pick("") is None


def test_a_point_of_two_servers_is_the_first_ones() -> None:
    """Two names that collide: who was added first has the key."""
    ring = NginxRing()
    ring.add("a")
    ring.add("b")
    ring._points[:] = np.sort(ring._points)
    other = NginxRing()
    other.points_of = lambda node: np.array([7, 9], np.uint64)  # type: ignore[method-assign]
    other.key_hash = lambda key: 8  # type: ignore[method-assign]
    other.add("a")
    other.add("b")
    assert ("a", "b") == other.preference("x")


# Ketama


def test_ketama_refuses_who_would_have_no_point() -> None:
    """libketama would take it and never send it a key."""
    ring = KetamaRing()
    ring.add("large", 1000)
    with pytest.raises(InvalidWeight, match="beside 1 some node of weight 1 would have no point"):
        ring.add("small", 1)
    assert ("large",) == ring.nodes


def test_ketama_keeps_who_keeps_others_alive() -> None:
    """Beside few a small weight may be worth no point, where it was one beside many."""
    ring = KetamaRing()
    for number in range(3):
        ring.add(f"middle{number}", 300)
    ring.add("large", 1000)
    ring.add("small", 10)
    with pytest.raises(CannotRemove, match="without 'middle0' nodes of weight 10 would have"):
        ring.remove("middle0")
    assert "middle0" in ring.nodes


def test_ketama_loses_a_digest_to_rounding() -> None:
    """With equal weights some numbers of nodes give 39 digests each, and all of them have moved."""
    counts = set()
    ring = KetamaRing()
    for number in range(61):
        ring.add(f"s{number}")
        counts.add(int(np.bincount(ring._owners)[0]))
    assert counts >= {156, 160}


# HAProxy


def test_server_numbers() -> None:
    """A line without an id gets the first unused number from its own place on."""
    assert [2, 1, 9, 5] == server_numbers([None, 1, 9, None])
    ring = HAProxyRing()
    for node in ("a", "b"):
        ring.add(node)
    ring.remove("a")
    ring.add("c")
    assert [2, 3] == [ring.node(node).node_id for node in ("b", "c")]


def test_haproxy_takes_the_nearer_point_and_the_lower_of_two() -> None:
    """No clockwise rule; across the end of the circle, too."""
    ring = HAProxyRing()
    points = {"low": 10, "high": 20, "last": 2**32 - 4}
    ring.points_of = lambda node: np.array([points[node.name]], np.uint64)  # type: ignore[method-assign]
    for node in points:
        ring.add(node)
    for place, expected in ((14, "low"), (15, "low"), (16, "high"), (2, "last"), (4, "low")):
        ring.key_hash = lambda key, place=place: place  # type: ignore[method-assign,misc]
        assert expected == ring.lookup("x")
        assert set(points) == set(ring.preference("x"))
    ring.key_hash = lambda key: 3  # type: ignore[method-assign]
    assert "last" == ring.lookup("x")  # 7 from either


def test_haproxy_shares_are_halves_of_gaps() -> None:
    """From 3 on, the middle one has 3 itself and 2^30 - 1 places more, of which the last is as near
    to the next point; and below it 2, but not 1."""
    ring = HAProxyRing()
    points = {"low": [0], "middle": [3], "high": [2**31 + 1]}
    ring.points_of = lambda node: np.array(points[node.name], np.uint64)  # type: ignore[method-assign]
    for node in points:
        ring.add(node)
    expected = {"low": 2**30 + 1, "middle": 2**30 + 1, "high": 2**31 - 2}
    assert expected == {node: share * 2**32 for node, share in ring.shares().items()}


def test_haproxy_bounds_loads_from_point_to_point() -> None:
    """Under hash-balance-factor who has its share is passed over, upwards."""
    ring = HAProxyRing()
    for node in ("a", "b", "c"):
        ring.add(node)
    served: dict[str, int] = {}
    for number in range(3000):
        node = ring.pick(f"key-{number % 7}", served, 125)
        limit = max(1, -(-(sum(served.values()) + 1) * 125 // 300))
        assert served.get(node, 0) < limit + 1
        served[node] = served.get(node, 0) + 1
    assert max(served.values()) <= 1251


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"function": "md5"}, "function must be one of sdbm, djb2, wt6, crc32, got 'md5'"),
        ({"base": "name"}, "base must be one of number, hashed, got 'name'"),
    ],
)
def test_bad_parameters_of_haproxy(fields: dict[str, str], message: str) -> None:
    """The value is named, and what is accepted."""
    with pytest.raises(InvalidConfig, match=message):
        HAProxyRing(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("node_id", [0, 2**20, 1])
def test_bad_numbers_of_haproxy(node_id: int) -> None:
    """Out of range, or another server's."""
    ring = HAProxyRing()
    ring.add("a", node_id=1)
    with pytest.raises(InvalidConfig, match=f"node_id must be .*, got {node_id}"):
        ring.add("b", node_id=node_id)


def test_full_hash_is_a_permutation() -> None:
    """Of one word as of many: 100,000 inputs, as many outputs."""
    many = full_hash(np.arange(100_000, dtype=np.uint32))
    assert 100_000 == len(np.unique(many))
    assert [full_hash(word) for word in range(100)] == many[:100].tolist()
