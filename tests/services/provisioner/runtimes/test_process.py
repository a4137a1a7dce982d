"""What only the process runtime promises: records, birth at a gate, nothing inherited."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from provisioner.errors import RuntimeRefused, RuntimeUnreachable, WrongState
from provisioner.runtimes import process
from provisioner.runtimes.base import Hostname, Replica, State, parse_hostname
from provisioner.runtimes.pids import Identity
from provisioner.runtimes.process import ProcessRuntime, Record

WaitUntil = Callable[[Callable[[], object]], None]
NAME = parse_hostname("Server1")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "replicas"


@pytest.fixture
def runtime(directory: Path) -> Iterator[ProcessRuntime]:
    runtime = ProcessRuntime(directory)
    yield runtime
    for replica in runtime.list():
        runtime.remove(Hostname(replica.hostname), grace_s=0)


@pytest.fixture
def read_record(directory: Path) -> Callable[[], Record]:
    return lambda: Record.from_json((directory / "Server1.json").read_text())


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A stranger's process."""
    with subprocess.Popen(["sleep", "1000"]) as child:
        yield child
        child.kill()


def test_the_record_tells_who_and_where(runtime: ProcessRuntime, directory: Path) -> None:
    """A record is one JSON object: name, id, the process's identity, the address."""
    replica = runtime.create_or_replace(NAME, 3)
    record = json.loads((directory / "Server1.json").read_text())
    identity = Identity.of(record["process"]["pid"])
    assert {
        "hostname": "Server1",
        "server_id": 3,
        "process": {"pid": identity.pid, "start_time": identity.start_time},
        "address": replica.address,
    } == record


def test_a_record_is_never_seen_half_written(runtime: ProcessRuntime) -> None:
    """Whoever lists while a replica is replaced sees the old one or the new one, whole."""
    runtime.create_or_replace(NAME, 0)
    seen = []
    replaced = threading.Event()

    def look() -> None:
        while not replaced.is_set():
            seen.extend(runtime.list())

    looker = threading.Thread(target=look)
    looker.start()
    for server_id in range(1, 51):
        runtime.create_or_replace(NAME, server_id)
    replaced.set()
    looker.join()
    ids = [replica.server_id for replica in seen]
    assert sorted(ids) == ids


def test_a_recycled_pid_is_not_touched(
    runtime: ProcessRuntime, directory: Path, victim: subprocess.Popen[bytes]
) -> None:
    """A record whose pid now belongs to another process is that of an exited replica."""
    identity = Identity.of(victim.pid)
    former = replace(identity, start_time=identity.start_time - 1)
    record = Record("Server1", 1, former, "127.0.0.1:9")
    (directory / "Server1.json").write_text(json.dumps(asdict(record)))
    assert [Replica("Server1", 1, None, State.EXITED)] == list(runtime.list())
    for verb in (runtime.kill, runtime.pause, runtime.resume):
        with pytest.raises(WrongState):
            verb(NAME)
    runtime.create_or_replace(NAME, 1)
    runtime.remove(NAME, grace_s=0)
    (directory / "Server1.json").write_text(json.dumps(asdict(record)))
    runtime.remove(NAME, grace_s=1)
    assert (None, State.RUNNING) == (victim.poll(), identity.state())


def test_no_process_without_a_record(
    runtime: ProcessRuntime, monkeypatch: pytest.MonkeyPatch, directory: Path
) -> None:
    """A child whose record cannot be written ends at the gate, before it becomes a replica."""
    born = []

    def write(_: ProcessRuntime, record: Record) -> None:
        born.append(record.process)
        raise OSError("disk full")

    monkeypatch.setattr(ProcessRuntime, "_write", write)
    with pytest.raises(RuntimeRefused, match="disk full"):
        runtime.create_or_replace(NAME, 1)
    assert born[0].wait_exit(10)
    assert [] == list(runtime.list())
    assert "" == (directory / "Server1.log").read_text()


def test_a_replica_inherits_nothing(
    runtime: ProcessRuntime,
    read_record: Callable[[], Record],
    tmp_path: Path,
    ask: Callable[[str | None], str],
    wait_until: WaitUntil,
) -> None:
    """Its environment is two variables, its descriptors its own, and it leads its own session."""
    ours = os.open(tmp_path / "ours", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(ours, True)
    try:
        replica = runtime.create_or_replace(NAME, 1)
    finally:
        os.close(ours)
    wait_until(lambda: ask(replica.address))
    pid = read_record().process.pid
    environment = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    names = {variable.partition("=")[0] for variable in environment}
    assert {"SERVER_ID", "REPLICA_LISTEN_FD", "PWD"} == names, "PWD is the shell's"
    files = {os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()}
    assert str(tmp_path / "ours") not in files
    assert pid == os.getsid(pid)


def test_output_goes_to_the_log(
    runtime: ProcessRuntime,
    monkeypatch: pytest.MonkeyPatch,
    directory: Path,
    wait_until: WaitUntil,
) -> None:
    """What a replica prints as it fails can be read afterwards; removal takes the log along."""
    command = (sys.executable, "-c", "raise SystemExit('no such module')")
    monkeypatch.setattr(process, "REPLICA_COMMAND", command)
    runtime.create_or_replace(NAME, 1)
    log = directory / "Server1.log"
    wait_until(lambda: "no such module" in log.read_text())
    runtime.remove(NAME, grace_s=0)
    assert [] == list(directory.iterdir())


def test_a_crashed_replica_is_reaped(
    runtime: ProcessRuntime, read_record: Callable[[], Record], wait_until: WaitUntil
) -> None:
    """One that dies behind our back leaves no zombie, and is listed as exited."""
    runtime.create_or_replace(NAME, 1)
    pid = read_record().process.pid
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{pid}").exists())
    assert [Replica("Server1", 1, None, State.EXITED)] == list(runtime.list())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"hostname": "Server1"}', '{"process": 7}'])
def test_a_foreign_file_is_refused(runtime: ProcessRuntime, directory: Path, text: str) -> None:
    """A file that is no record is named instead of guessed at."""
    path = directory / "Server1.json"
    path.write_text(text)
    with pytest.raises(RuntimeRefused, match=str(path)):
        runtime.list()
    with pytest.raises(RuntimeRefused, match=str(path)):
        runtime.create_or_replace(NAME, 1)
    path.unlink()


def test_check_misses_the_directory(runtime: ProcessRuntime, directory: Path) -> None:
    """Without its directory the runtime cannot work, and says so."""
    directory.rmdir()
    with pytest.raises(RuntimeUnreachable, match=str(directory)):
        runtime.check()
