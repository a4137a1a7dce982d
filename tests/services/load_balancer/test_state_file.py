"""The state that survives: written whole or not at all, and read with mistrust."""

import json
import os
from pathlib import Path

import pytest
from load_balancer.errors import InvalidState
from load_balancer.state_file import SavedState, StateFile, from_json, to_json

from ring import PRESETS, SlotRing, TableConfig, make_ring


@pytest.fixture
def state() -> SavedState:
    """A ring with history: Server1 has left, and what probing made of that stays."""
    ring = SlotRing(PRESETS["assignment"])
    for server_id in (1, 2, 3):
        ring.add(f"Server{server_id}", node_id=server_id)
    ring.remove("Server1")
    return SavedState(ring, PRESETS["default"])


@pytest.fixture
def file(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "folder" / "state.json")


def test_what_is_saved_is_loaded(file: StateFile, state: SavedState) -> None:
    """Configuration, ids, slots and their order; the folder is made."""
    file.save(state)
    loaded = StateFile(file.path).load()
    assert loaded is not None
    assert loaded.configured == state.configured
    assert loaded.ring.config == state.ring.config
    assert list(loaded.ring.snapshot().items()) == list(state.ring.snapshot().items())


def test_a_table_is_saved_and_loaded(file: StateFile) -> None:
    """The placement that a learner has sent survives a restart."""
    ring = make_ring(TableConfig(key_hash="identity", table=("B", "A", "B")))
    ring.add("B", node_id=2)
    ring.add("A", node_id=1)
    file.save(SavedState(ring, PRESETS["default"]))
    loaded = file.load()
    assert loaded is not None
    assert loaded.ring.config == ring.config
    assert list(loaded.ring.snapshot().items()) == [("B", (2, (0, 2))), ("A", (1, (1,)))]


def test_nothing_is_saved_yet(file: StateFile) -> None:
    """That is no error."""
    assert file.load() is None


def test_a_later_state_replaces_the_earlier(file: StateFile, state: SavedState) -> None:
    """And leaves nothing else in the folder."""
    file.save(state)
    state.ring.remove("Server2")
    file.save(state)
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
        ("format", 2, "format must be 1, got 2"),
        ("ring", {"num_slots": 0}, "not a state"),
        ("ring", PRESETS["default"].__class__, "not a state"),
        ("configured", {"colour": "red"}, "not a state"),
        ("replicas", {"Server1": {"server_id": 1}}, "'slots'"),
        ("replicas", {"Server1": {"server_id": 1, "slots": 5}}, "not a state"),
        ("replicas", {"Server1": {"server_id": 1, "slots": [0] * 9}}, "'Server1'"),
        ("replicas", {"Server1": {"server_id": "1", "slots": list(range(9))}}, "'Server1'"),
        ("replicas", {"Server1": {"server_id": 1, "slots": [9999] * 9}}, "'Server1'"),
        ("replicas", ["Server1"], "not a state"),
    ],
)
def test_impossible_states_are_refused(
    state: SavedState, key: str, value: object, message: str
) -> None:
    """Another format, fields or slots that no ring can have: the fault is named."""
    with pytest.raises(InvalidState, match=message):
        from_json(to_json(state) | {key: value})


def test_the_file_is_for_people_too(file: StateFile, state: SavedState) -> None:
    """JSON: id and slots by hostname."""
    file.save(state)
    replicas = json.loads(file.path.read_text())["replicas"]
    assert replicas["Server2"]["server_id"] == 2
    assert len(replicas["Server2"]["slots"]) == 9
