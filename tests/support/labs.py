"""A running lab, as a client and as a vandal see it; and the playbooks that make one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import requests

ROOT = Path(__file__).parents[2]
NAMES = ["Server1", "Server2", "Server3"]


def eventually(condition: Callable[[], Any], *, within_s: float, every_s: float = 0.02) -> Any:
    """The first truthy value of `condition()`; AssertionError if there is none in time."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {condition}"
        time.sleep(every_s)
    return value


class Lab:
    """A lab that runs, as a client and as a vandal see it."""

    def __init__(self, name: str, runtime: str, port: int) -> None:
        self.name = name
        self.runtime = runtime
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._folder = ROOT / ".ringlab" / name

    # The client

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, self.url + path, timeout=60, **options)

    def replicas(self) -> list[str]:
        return self.call("GET", "/rep").json()["message"]["replicas"]

    def reset(self) -> None:
        """Three replicas and the default ring, as each test finds them."""
        eventually(self.answers, within_s=30)
        # The ring first: a small one may have no room for those who come before others go.
        assert 200 == self.call("PUT", "/ring", json={"preset": "default"}).status_code
        assert 200 == self.call("PUT", "/rep", json={"hostnames": NAMES}).status_code

    def answers(self) -> bool:
        try:
            return self.call("GET", "/rep").ok
        except requests.ConnectionError:
            return False

    # The vandal, behind the load balancer's back

    def kill_replica(self, hostname: str) -> None:
        if self.runtime == "docker":
            self._container("replica", hostname).kill()
        else:
            os.kill(self._record(hostname)["process"]["pid"], signal.SIGKILL)

    def freeze_replica(self, hostname: str) -> None:
        if self.runtime == "docker":
            self._container("replica", hostname).pause()
        else:
            os.kill(self._record(hostname)["process"]["pid"], signal.SIGSTOP)

    def kill_service(self, service: str) -> None:
        """SIGKILL to the process itself: `docker kill` would count as an operator's stop."""
        os.kill(self.running_pid(service), signal.SIGKILL)

    def running_pid(self, service: str) -> int:
        """As soon as the service is up."""
        return eventually(lambda: self.service_pid(service), within_s=20)

    def service_pid(self, service: str) -> int:
        """0 while the service is down."""
        if self.runtime == "docker":
            container = docker.from_env().containers.get(f"{self.name}-{service}")
            return container.attrs["State"]["Pid"]
        status = subprocess.run(
            [
                sys.executable,
                "-m",
                "supervisor.supervisorctl",
                "-c",
                str(ROOT / ".ringlab" / self.name / "supervisord.conf"),
                "pid",
                service.replace("-", "_"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        return int(status.stdout) if status.stdout.strip().isdigit() else 0

    def _container(self, role: str, hostname: str) -> Any:
        (container,) = docker.from_env().containers.list(
            all=True,
            filters={
                "label": [
                    f"ringlab.lab={self.name}",
                    f"ringlab.role={role}",
                    f"ringlab.hostname={hostname}",
                ]
            },
        )
        return container

    def _record(self, hostname: str) -> dict[str, Any]:
        (path,) = self._folder.rglob(f"{hostname}.json")
        return json.loads(path.read_text())


def restart_engine(lab_name: str) -> None:
    """SIGTERM to the engine, which ends all containers, and then playbooks/engine.yml. Only if that
    started it, and nothing but this lab runs there; AssertionError otherwise."""
    others = [
        container.name
        for container in docker.from_env().containers.list(ignore_removed=True)
        if container.labels.get("ringlab.lab") != lab_name
    ]
    assert [] == others, f"the engine runs others' containers: {others}"
    pid = int(Path("/var/run/docker.pid").read_text())
    ours = Path("/var/run/docker-ssd.pid")
    assert ours.exists(), "the engine was started by somebody else"
    assert pid == int(ours.read_text())
    os.kill(pid, signal.SIGTERM)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), within_s=60)
    play("playbooks/engine.yml", lab_name=lab_name, lab_port=0)


def play(playbook: str, **variables: object) -> str:
    """Runs a playbook and returns what it printed; fails with that if it fails."""
    ansible_playbook = str(Path(sys.executable).parent / "ansible-playbook")
    run = subprocess.run(
        [ansible_playbook, playbook, "-e", json.dumps(variables)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == run.returncode, run.stdout + run.stderr
    return run.stdout


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ProcessLab(Lab):
    """Provisioner and load balancer as processes on a free port; the playbooks have tests of their
    own."""

    def __init__(self, folder: Path, name: str, **settings: str) -> None:
        super().__init__(name, "process", free_port())
        self._folder = folder
        self._environment = os.environ | {
            "PROVISIONER_RUNTIME": "process",
            "PROVISIONER_SOCKET": str(folder / "provisioner.sock"),
            "PROVISIONER_DIRECTORY": str(folder / "replicas"),
            "LOAD_BALANCER_BIND": f"127.0.0.1:{self.port}",
            "LOAD_BALANCER_PROVISIONER_SOCKET": str(folder / "provisioner.sock"),
            "LOAD_BALANCER_STATE_FILE": str(folder / "state.json"),
            **settings,
        }
        self._services: dict[str, subprocess.Popen[bytes]] = {}
        for module in ("provisioner", "load_balancer"):
            self.start(module)

    def start(self, module: str) -> None:
        command = [sys.executable, "-m", module]
        self._services[module] = subprocess.Popen(command, env=self._environment)

    def signal(self, module: str, number: signal.Signals) -> None:
        """What is killed has ended when this returns."""
        self._services[module].send_signal(number)
        if number == signal.SIGKILL:
            self._services[module].wait(timeout=20)

    def close(self) -> None:
        for service in reversed(self._services.values()):
            service.terminate()
            service.wait(timeout=20)
        _kill_replicas(self._folder / "replicas")


@contextmanager
def process_lab_in(folder: Path, name: str, **settings: str) -> Iterator[ProcessLab]:
    """With these settings in its environment, while the block runs."""
    lab = ProcessLab(folder, name, **settings)
    try:
        yield lab
    finally:
        lab.close()


def _kill_replicas(records: Path) -> None:
    """Replicas outlive their provisioner, by design."""
    for path in records.glob("*.json"):
        try:
            os.kill(json.loads(path.read_text())["process"]["pid"], signal.SIGKILL)
        except ProcessLookupError:
            continue
