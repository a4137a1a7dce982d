"""Who is measured: each one a process that balances by X-Request-ID, with consistent hashing, over
three replicas, keeps its connections to them (but the student's), and writes no access log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from benchmarks.data_plane.cases import LARGE, SMALL, Case
from benchmarks.data_plane.processes import Process, free_ports, running

CONFIGS = Path(__file__).with_name("configs")
NGINX, HAPROXY, OURS, STUDENT = "nginx", "HAProxy", "ringlab", "student's"
# Ours, otherwise: without its counters, and with twenty live pages that look on.
VARIANTS = UNCOUNTED, WATCHED = "ringlab, uncounted", "ringlab, watched"


def can_do(name: str, case: Case) -> bool:
    """The student's balancer cannot keep the rate at which the others are compared; what ours costs
    otherwise shows where a request costs least."""
    if name in VARIANTS:
        return case.name == "small-32"
    return not (name == STUDENT and case.rate_hz)


@dataclass(frozen=True)
class Peer:
    """One that answers on a port of loopback."""

    name: str
    port: int
    process: Process


@contextmanager
def origin(folder: Path) -> Iterator[list[int]]:
    """The ports of three replicas, which are one HAProxy that answers by itself."""
    ports = free_ports(3)
    (folder / "small").write_bytes(SMALL)
    (folder / "large").write_bytes(LARGE)
    values = {"small": folder / "small", "large": folder / "large"}
    config = _written("origin.cfg", folder, ports, values)
    with running(["haproxy", "-db", "-f", str(config)], port=ports[0], log=folder / "origin.log"):
        yield ports


@contextmanager
def peer(name: str, replica_ports: Sequence[int], folder: Path) -> Iterator[Peer]:
    """The peer of that name while the block runs, in front of these replicas."""
    (port,) = free_ports(1)
    command = COMMANDS[name](port, replica_ports, folder)
    with running(command, port=port, log=folder / f"{name}.log") as process, ExitStack() as stack:
        if name == WATCHED:
            watchers = [sys.executable, "-m", "benchmarks.data_plane.watchers", str(port)]
            stack.enter_context(running(watchers, log=folder / "watchers.log"))
        yield Peer(name, port, process)


def _nginx(port: int, replica_ports: Sequence[int], folder: Path) -> list[str]:
    config = _written("nginx.conf", folder, replica_ports, {"port": port, "folder": folder})
    return ["nginx", "-e", "stderr", "-c", str(config)]


def _haproxy(port: int, replica_ports: Sequence[int], folder: Path) -> list[str]:
    config = _written("haproxy.cfg", folder, replica_ports, {"port": port})
    return ["haproxy", "-db", "-f", str(config)]


def _ours(
    port: int, replica_ports: Sequence[int], folder: Path, module: str = "load_balancer"
) -> list[str]:
    replicas = enumerate(replica_ports, start=1)
    return [
        *(sys.executable, "-m", module, f"--bind=127.0.0.1:{port}"),
        *(f"--replica=Server{number}=127.0.0.1:{at}" for number, at in replicas),
    ]


def _uncounted(port: int, replica_ports: Sequence[int], folder: Path) -> list[str]:
    return _ours(port, replica_ports, folder, module="benchmarks.data_plane.uncounted")


def _student(port: int, replica_ports: Sequence[int], folder: Path) -> list[str]:
    addresses = [f"127.0.0.1:{at}" for at in replica_ports]
    return [sys.executable, "-m", "benchmarks.data_plane.student", str(port), *addresses]


COMMANDS: dict[str, Callable[[int, Sequence[int], Path], list[str]]] = {
    NGINX: _nginx,
    HAPROXY: _haproxy,
    OURS: _ours,
    UNCOUNTED: _uncounted,
    WATCHED: _ours,
    STUDENT: _student,
}


def _written(
    template: str, folder: Path, replica_ports: Sequence[int], values: Mapping[str, object]
) -> Path:
    """The template with its values filled in, as a file."""
    replicas = {f"replica_{number}": port for number, port in enumerate(replica_ports, start=1)}
    text = Template((CONFIGS / template).read_text()).substitute(replicas, **values)
    path = folder / template
    path.write_text(text)
    return path
