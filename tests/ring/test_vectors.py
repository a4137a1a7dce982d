"""Reference vectors: what papers print, and what other programs answer (golden/vectors.json says
which, and where they are from)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import mmh3
import numpy as np
import pytest
import xxhash

from ring.haproxy import FUNCTIONS, HAProxyRing
from ring.hashes import fnv1a
from ring.jump import jump, jump_many
from ring.ketama import KetamaRing
from ring.keys import Key, Keys, bytes_of
from ring.maglev import Maglev
from ring.multiprobe import MultiProbe
from ring.nginx import NginxRing
from ring.placement import Node, Placement
from ring.points import PointRing

GOLDEN = json.loads((Path(__file__).parent / "golden/vectors.json").read_text())["sets"]
VECTORS: Mapping[str, Mapping[str, Any]] = {each["name"]: each for each in GOLDEN}
MASK_64 = 2**64 - 1


def picks(placement: Placement, keys: Sequence[Key]) -> list[int]:
    """Index of each key's node, found one by one and in bulk: both must agree."""
    single = [placement.nodes.index(placement.lookup(key)) for key in keys]
    assert single == placement.lookup_many(keys).tolist()
    return single


def of_nodes(placement: Placement, nodes: Sequence[str]) -> Placement:
    for node in nodes:
        placement.add(node)
    return placement


# Jump


def test_jump_table() -> None:
    """The C++ of the paper, bucket by bucket as their number grows."""
    for key, buckets in VECTORS["jump/table"]["rows"]:
        assert buckets == [jump(key, n) for n in range(1, len(buckets) + 1)]


def test_jump_points() -> None:
    """Guava's golden values and those of other implementations, in bulk too."""
    golden = VECTORS["jump/golden100"]
    assert golden["values"] == [jump(key, golden["buckets"]) for key in range(20)]
    for key, num_buckets, bucket in VECTORS["jump/points"]["rows"]:
        assert bucket == jump(key, num_buckets)
        assert [bucket] == jump_many(np.array([key], np.uint64), num_buckets).tolist()


# Maglev


def maglev(table_size: int, permutations: Mapping[str, tuple[int, int]]) -> Maglev:
    placement = Maglev(table_size, "identity", permutation=lambda name, _: permutations[name])
    of_nodes(placement, list(permutations))
    return placement


def test_maglev_of_the_paper() -> None:
    """Three backends and seven slots, then without the second."""
    paper = VECTORS["maglev/paper"]
    starts = dict(zip("ABC", zip(paper["offsets"], paper["skips"], strict=True), strict=True))
    placement = maglev(paper["m"], starts)
    assert paper["table"] == placement.table().tolist()
    placement.remove("B")
    assert paper["table_without_1"] == [2 * owner for owner in placement.table().tolist()]


def test_maglev_of_go() -> None:
    """Offsets and skips by SipHash, as go-maglev takes them."""
    go = VECTORS["maglev/go"]
    starts = {}
    for name in go["names"]:
        hashed = siphash24(name.encode(), 0xDEADBEEFCAFEBABE, 0)
        starts[name] = ((hashed >> 32) % go["m"], (hashed & 0xFFFFFFFF) % (go["m"] - 1) + 1)
    placement = maglev(go["m"], starts)
    assert go["table"] == placement.table().tolist()
    placement.remove("backend-1")
    assert go["table_without_1"] == [2 * owner for owner in placement.table().tolist()]


@pytest.mark.parametrize("row", VECTORS["maglev/envoy"]["rows"], ids=lambda row: str(row["nodes"]))
def test_maglev_of_envoy(row: Mapping[str, Any]) -> None:
    """XXH64 with two seeds; weights too."""

    def permutation(name: str, size: int) -> tuple[int, int]:
        offset, skip = (xxhash.xxh64_intdigest(name.encode(), seed) for seed in (0, 1))
        return offset % size, skip % (size - 1) + 1

    placement = Maglev(row["m"], permutation=permutation)
    for name, weight in row["nodes"]:
        placement.add(name, weight)
    assert row["table"] == placement.table().tolist()


# Ketama


@pytest.mark.parametrize("ring", VECTORS["ketama/libketama"]["rings"], ids=["weighted", "equal"])
def test_libketama(ring: Mapping[str, Any]) -> None:
    """Points and picks as read off libketama itself."""
    placement = KetamaRing()
    for node, weight in ring["nodes"]:
        placement.add(node, weight)
    points = list(zip(placement._points.tolist(), placement._owners.tolist(), strict=True))
    assert ring["points_per_node"] == np.bincount(placement._owners).tolist()
    assert ring["first_points"] == [list(point) for point in points[:10]]
    assert ring["last_points"] == [list(point) for point in points[-3:]]
    keys = [ring["key_format"] % number for number in range(len(ring["picks"]))]
    assert [int(pick) for pick in ring["picks"]] == picks(placement, keys)


@pytest.mark.parametrize("test", VECTORS["ketama/spymemcached"]["tests"], ids=lambda t: t["test"])
def test_spymemcached(test: Mapping[str, Any]) -> None:
    """Eight servers, and where libketama and spymemcached send each key."""
    placement = of_nodes(KetamaRing(), test["servers"])
    assert [int(pick) for pick in test["node_index"]] == picks(
        placement, [str(key) for key in test["keys"]]
    )


def test_spymemcached_grows() -> None:
    """Four servers, then five; and the largest point of the circle."""
    small = VECTORS["ketama/spymemcached-small"]
    placement = of_nodes(KetamaRing(), small["servers"][:4])
    for expected in (small["picks4"], small["picks5"]):
        assert [pick for _, pick in expected] == picks(placement, [key for key, _ in expected])
        if len(placement.nodes) == 4:
            placement.add(small["servers"][4])
    assert small["max_point"] == placement._points.max()


def test_ketama_with_weights() -> None:
    """libmemcached's and a Python binding's."""
    for name in ("ketama/libmemcached-weighted", "ketama/python-ketama"):
        vectors, placement = VECTORS[name], KetamaRing()
        for node, weight in vectors.get("servers") or vectors["nodes"]:
            placement.add(node, weight)
        if "picks" in vectors:
            expected = [(key, placement.nodes[pick]) for key, pick in vectors["picks"]]
        else:
            expected = [(bytes.fromhex(key), node) for key, node in vectors["picks_hex"]]
        assert [node for _, node in expected] == [placement.lookup(key) for key, _ in expected]


def test_ketama_of_go() -> None:
    """100,000 keys, counted by node."""
    go = VECTORS["ketama/go"]
    placement = of_nodes(KetamaRing(), go["nodes"])
    found = placement.lookup_many([go["key_format"] % number for number in range(go["keys"])])
    counts = dict(zip(placement.nodes, np.bincount(found).tolist(), strict=True))
    assert go["counts"] == counts


# Envoy's ring hash, whose points have 64 bits


class EnvoyRing(PointRing):
    """Two points per node; a key is its hash already."""

    algorithm = "envoy"
    bits = 64

    def parameters(self) -> dict[str, Any]:
        return {}

    def key_hash(self, key: Key) -> int:
        return int(key)

    def key_hash_many(self, keys: Keys) -> Any:
        return np.array(keys, np.uint64)

    def points_of(self, node: Node) -> Any:
        return np.array(
            [xxhash.xxh64_intdigest(f"{node.name}_{j}".encode()) for j in (0, 1)], np.uint64
        )


@pytest.mark.parametrize("row", VECTORS["ring/envoy"]["rows"], ids=["addresses", "names"])
def test_ring_of_envoy(row: Mapping[str, Any]) -> None:
    """Its points and its picks: at a point, just behind one, and from either end of the circle."""
    placement = EnvoyRing()
    of_nodes(placement, [name for name, _ in row["nodes"]])
    points = zip(placement._points.tolist(), placement._owners.tolist(), strict=True)
    assert row["points"] == [list(point) for point in points]
    for _ in range(2):  # first by bisection, then by index
        assert [pick for _, pick in row["picks"]] == picks(
            placement, [key for key, _ in row["picks"]]
        )
        placement._index_names()


# nginx and HAProxy, some of their answers; tests/ring/real asks the programs themselves


@pytest.mark.parametrize("scenario", VECTORS["nginx/picks"]["scenarios"].values(), ids=str)
def test_nginx_picks(scenario: Mapping[str, Any]) -> None:
    """Each key goes to the address that nginx 1.22.1 sent it to."""
    placement, addresses = NginxRing(), []
    for server in scenario["servers"]:
        placement.add(server["name"], server["weight"])
        addresses += server["addresses"]
    found = picks(placement, [key for key, _ in scenario["picks"]])
    assert [address for _, address in scenario["picks"]] == [addresses[pick] for pick in found]


HAPROXY = VECTORS["haproxy/picks"]["scenarios"]


@pytest.mark.parametrize("name", [name for name in HAPROXY if name != "converters"])
def test_haproxy_picks(name: str) -> None:
    """Each key goes to the server that HAProxy 2.6.12 sent it to."""
    scenario = HAPROXY[name]
    placement = HAProxyRing(scenario["function"])
    for server in scenario["servers"]:
        placement.add(server["name"], server["weight"], node_id=server["id"])
    found = picks(placement, [key for key, _ in scenario["picks"]])
    assert [server for _, server in scenario["picks"]] == [placement.nodes[pick] for pick in found]


def test_haproxy_converters() -> None:
    """Its own hash functions, in the order of its converters."""
    for text, values in HAPROXY["converters"]:
        expected = [int(value) for value in values.split(",")[:4]]
        assert expected == [FUNCTIONS[f](text.encode()) for f in ("sdbm", "djb2", "wt6", "crc32")]


# Multi-probe, with go-mpchash's own hash


class SipProbe(MultiProbe):
    """Points by seed 0, probes h1 + i · h2 by seeds 1 and 2."""

    def point_of(self, name: str) -> int:
        return siphash24(name.encode(), 0, 0)

    def probes_of(self, key: Key) -> list[int]:
        first, second = (siphash24(bytes_of(key), seed, 0) for seed in (1, 2))
        return [(first + i * second) & MASK_64 for i in range(21)]


def test_multiprobe_of_go() -> None:
    """6,000 shards, and the first of the keys, which have the shards' names."""
    go = VECTORS["multiprobe/go"]
    placement = SipProbe(go["probes"])
    names = [f"shard-{number}" for number in range(1, 6001)]
    placement._arrange(names)
    placement._nodes = tuple(names)
    found = [placement.lookup(name) for name in names[: len(go["first"])]]
    assert [f"shard-{number}" for number in go["first"]] == found


# Hash functions


def test_fnv() -> None:
    """FNV-1a with 64 bits; its author's rows."""
    rows = [row for row in VECTORS["hash/fnv"]["rows"] if row[:2] == ["1a", 64]]
    assert [row[3] for row in rows] == [fnv1a(row[2].encode()) for row in rows]


def test_libraries_do_what_their_papers_say() -> None:
    """xxHash, MurmurHash3 and CRC-32 are others' code: a new version of theirs is seen here."""
    for text, expected in VECTORS["hash/xxh64"]["text"]:
        assert expected == xxhash.xxh64_intdigest(text.encode())
    for text, seed, expected in VECTORS["hash/murmur3_32"]["text"]:
        assert expected == mmh3.hash(text, seed, signed=False)
    for text, expected in VECTORS["hash/crc32"]["rows"]:
        assert expected == crc32(text.encode())


def siphash24(data: bytes, k0: int, k1: int) -> int:
    """SipHash-2-4, for vectors that want it. Source: Aumasson, Bernstein, INDOCRYPT 2012."""

    def rounds(v: list[int], count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK_64
            v[1] = _rotated(v[1], 13) ^ v[0]
            v[0] = _rotated(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK_64
            v[3] = _rotated(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK_64
            v[3] = _rotated(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK_64
            v[1] = _rotated(v[1], 17) ^ v[2]
            v[2] = _rotated(v[2], 32)

    magic = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
    v = [magic[0] ^ k0, magic[1] ^ k1, magic[2] ^ k0, magic[3] ^ k1]
    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) % 256])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at : at + 8], "little")
        v[3] ^= word
        rounds(v, 2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & MASK_64


def test_siphash_of_this_file() -> None:
    """The paper's rows, so that a fault above is not taken for one of ours."""
    key = [int.from_bytes(bytes(range(at, at + 8)), "little") for at in (0, 8)]
    for length, expected in VECTORS["hash/siphash24"]["rows"]:
        assert expected == siphash24(bytes(range(length)), *key)
