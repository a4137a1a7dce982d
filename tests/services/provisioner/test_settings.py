"""The provisioner's settings: from the environment, checked, frozen."""

from pathlib import Path

import pytest
from provisioner.runtimes import make_runtime
from provisioner.settings import Settings
from pydantic import ValidationError

DOCKER = {"PROVISIONER_IMAGE": "lab/replica:1", "PROVISIONER_NETWORK": "lab-backend"}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)


def read(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """The docker runtime needs its image and network, and nothing else."""
    settings = read(monkeypatch, DOCKER)
    assert {
        "socket": Path("/run/ringlab/provisioner.sock"),
        "bind": "",
        "token": "",
        "lab": "ringlab",
        "runtime": "docker",
        "image": "lab/replica:1",
        "network": "lab-backend",
        "memory": "128m",
        "pids": 64,
        "docker_host": "unix:///var/run/docker.sock",
        "directory": Path("/var/lib/ringlab/replicas"),
    } == settings.model_dump()


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("PROVISIONER_SOCKET", "/tmp/s", "socket", Path("/tmp/s")),
        ("PROVISIONER_TOKEN", "t" * 16, "token", "t" * 16),
        ("PROVISIONER_LAB", "lab2", "lab", "lab2"),
        ("PROVISIONER_RUNTIME", "process", "runtime", "process"),
        ("PROVISIONER_MEMORY", "1g", "memory", "1g"),
        ("PROVISIONER_PIDS", "32", "pids", 32),
        ("PROVISIONER_DIRECTORY", "/tmp/d", "directory", Path("/tmp/d")),
        ("DOCKER_HOST", "tcp://127.0.0.1:2375", "docker_host", "tcp://127.0.0.1:2375"),
    ],
)
def test_each_field_has_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, expected: object
) -> None:
    """One name from the environment to the field."""
    settings = read(monkeypatch, {**DOCKER, variable: value})
    assert expected == getattr(settings, field)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PROVISIONER_IMAGE", ""),
        ("PROVISIONER_NETWORK", ""),
        ("PROVISIONER_RUNTIME", "podman"),
        ("PROVISIONER_LAB", "a lab"),
        ("PROVISIONER_LAB", ""),
        ("PROVISIONER_MEMORY", "much"),
        ("PROVISIONER_PIDS", "1"),
    ],
)
def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """A value that cannot work is refused at the start, by name."""
    with pytest.raises(ValidationError, match=r"(?i)" + variable.removeprefix("PROVISIONER_")):
        read(monkeypatch, {**DOCKER, variable: value})


@pytest.mark.parametrize(
    ("bind", "token", "complaint"),
    [
        ("0.0.0.0:5000", "", "at least 16 characters, got 0"),
        ("0.0.0.0:5000", "t" * 15, "at least 16 characters, got 15"),
        ("0.0.0.0", "t" * 16, "HOST:PORT with a port from 0 to 65535, got '0.0.0.0'"),
        ("0.0.0.0:65536", "t" * 16, "got '0.0.0.0:65536'"),
        (":5000", "t" * 16, "got ':5000'"),
    ],
)
def test_other_nodes_are_served_by_a_token_only(
    monkeypatch: pytest.MonkeyPatch, bind: str, token: str, complaint: str
) -> None:
    """Where there is a bind there is a long token, and an address that can be bound."""
    environment = DOCKER | {"PROVISIONER_BIND": bind, "PROVISIONER_TOKEN": token}
    with pytest.raises(ValidationError, match=complaint):
        read(monkeypatch, environment)
    secret = read(
        monkeypatch, environment | {"PROVISIONER_BIND": "[::]:1", "PROVISIONER_TOKEN": "s" * 16}
    )
    assert "s" * 16 not in repr(secret)


def test_settings_are_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read once stays."""
    settings = read(monkeypatch, DOCKER)
    with pytest.raises(ValidationError):
        settings.lab = "other"


@pytest.mark.parametrize("runtime", ["docker", "swarm", "process"])
def test_the_runtime_is_the_one_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runtime: str
) -> None:
    """make_runtime makes what the settings name, without calling it."""
    variables = {"PROVISIONER_RUNTIME": runtime, "PROVISIONER_DIRECTORY": str(tmp_path)}
    assert runtime == make_runtime(read(monkeypatch, DOCKER | variables)).name


def test_every_field_is_described() -> None:
    """Whoever configures the provisioner finds what each setting means."""
    assert [] == [name for name, field in Settings.model_fields.items() if not field.description]
