"""The state that survives: written whole or not at all, and read with mistrust."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from load_balancer.errors import InvalidState
from load_balancer.state_file import SavedState, StateFile, from_json, to_json

from ring import ALGORITHMS, PRESETS, Placement, Rendezvous, SlotRing, make


@pytest.fixture
def state() -> SavedState:
    """A ring with history: Server1 has left, and what probing made of that stays."""
    ring = SlotRing(PRESETS["assignment"])
    for server_id in (1, 2, 3):
        ring.add(f"Server{server_id}", node_id=server_id)
    ring.remove("Server1")
    return SavedState(ring, ["Server3", "Server2"], SlotRing(PRESETS["default"]))


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "folder" / "state.json")


PARAMETERS = {
    "table": {"key_hash": "identity", "table": ("B", "A", "B")},
    "bounded": {"placement": Rendezvous(), "load_factor": 1.5},
}


def test_what_is_saved_is_loaded(file: StateFile, state: SavedState) -> None:
    """Configuration, ids, slots and their order; the folder is made."""
    file.save(state)
    loaded = StateFile(file.path).load()
    assert loaded is not None
    assert loaded.configured.to_dict() == state.configured.to_dict()
    assert loaded.ring.to_dict() == state.ring.to_dict()
    assert loaded.replicas == ["Server3", "Server2"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_ring_is_saved_and_loaded(file: StateFile, algorithm: str) -> None:
    """With its answers: after a restart keys go where they went."""
    ring: Placement = make(algorithm, **PARAMETERS.get(algorithm, {}))
    ring.add("B", node_id=2)
    ring.add("A", node_id=1)
    file.save(SavedState(ring, ["A", "B"], ring.empty()))
    loaded = file.load()
    assert loaded is not None
    assert loaded.ring.to_dict() == ring.to_dict()
    assert loaded.configured.to_dict() == ring.empty().to_dict()
    keys = np.arange(500)
    assert (loaded.ring.lookup_many(keys) == ring.lookup_many(keys)).all()


def test_nothing_is_saved_yet(file: StateFile) -> None:
    """That is no error."""
    assert file.load() is None


def test_a_later_state_replaces_the_earlier(file: StateFile, state: SavedState) -> None:
    """And leaves nothing else in the folder."""
    file.save(state)
    state.ring.remove("Server2")
    file.save(replace(state, replicas=["Server3"]))
    loaded = file.load()
    assert loaded is not None
    assert loaded.ring.nodes == ("Server3",)
    assert [each.name for each in file.path.parent.iterdir()] == ["state.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_crash_leaves_the_old_state(
    file: StateFile, state: SavedState, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it comes: the old file is not touched before the new one is on the disk."""
    file.save(state)
    state.ring.remove("Server2")

    def crash(*_: object) -> None:
        raise OSError("crash")

    monkeypatch.setattr(*((os, "fsync") if step == "fsync" else (Path, "replace")), crash)
    with pytest.raises(OSError, match="crash"):
        file.save(state)
    loaded = file.load()
    assert loaded is not None
    assert loaded.ring.nodes == ("Server2", "Server3")


def test_the_new_state_is_on_the_disk_before_it_counts(
    file: StateFile, state: SavedState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File, then rename, then folder: each is flushed before the next step."""
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def recorded_fsync(descriptor: int) -> None:
        steps.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{descriptor}')).name}")
        fsync(descriptor)

    def recorded_replace(path: Path, target: Path) -> Path:
        steps.append(f"{path.name} to {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(Path, "replace", recorded_replace)
    file.save(state)
    assert steps == ["fsync state.new", "state.new to state.json", "fsync folder"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b'{"format": 1}'])
def test_a_broken_file_is_kept_aside(file: StateFile, content: bytes) -> None:
    """It is named, not overwritten, and out of the way of the next state."""
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    broken = file.path.with_suffix(".broken")
    with pytest.raises(InvalidState, match=f"{file.path}: .*kept as {broken}"):
        file.load()
    assert broken.read_bytes() == content
    assert file.load() is None


def test_every_truncation_is_noticed(file: StateFile, state: SavedState) -> None:
    """A file that was not written to its end is no state."""
    file.save(state)
    whole = file.path.read_bytes()
    for length in range(0, len(whole), 7):
        file.path.write_bytes(whole[:length])
        with pytest.raises(InvalidState):
            file.load()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format", 1, "format must be 2, got 1"),
        ("ring", {"algorithm": "magic"}, "algorithm must be one of slots, table.*got 'magic'"),
        ("ring", {"algorithm": "slots", "parameters": {"num_slots": 0}, "nodes": []}, "num_slots"),
        ("ring", [], "not a state"),
        ("configured", {"colour": "red"}, "algorithm must be one of"),
        ("replicas", ["Server2"], r"replicas must be Server2, Server3, got \['Server2'\]"),
        ("replicas", 5, "not a state"),
    ],
)
def test_impossible_states_are_refused(
    state: SavedState, key: str, value: object, message: str
) -> None:
    """Another format, fields or slots that no ring can have: the fault is named."""
    with pytest.raises(InvalidState, match=message):
        from_json(to_json(state) | {key: value})


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"node_id": 1}, "'slots'"),
        ({"node_id": 1, "slots": 5}, "'Server2'"),
        ({"node_id": 1, "slots": [0] * 9}, "'Server2'"),
        ({"node_id": "1", "slots": list(range(9))}, "'Server2'"),
        ({"node_id": 1, "slots": [9999] * 9}, "'Server2'"),
    ],
)
def test_impossible_slots_are_refused(
    state: SavedState, node: dict[str, object], message: str
) -> None:
    """Those of a node that no ring of that configuration can have."""
    data = to_json(state)
    data["ring"]["nodes"][0] = {"name": "Server2", "weight": 1, **node}
    with pytest.raises(InvalidState, match=message):
        from_json(data)


def test_the_file_is_for_people_too(file: StateFile, state: SavedState) -> None:
    """JSON: names, ids and slots."""
    file.save(state)
    data = json.loads(file.path.read_text())
    assert data["replicas"] == ["Server3", "Server2"]
    assert [(node["name"], node["node_id"]) for node in data["ring"]["nodes"]] == [
        ("Server2", 2),
        ("Server3", 3),
    ]
    assert len(data["ring"]["nodes"][0]["slots"]) == 9
