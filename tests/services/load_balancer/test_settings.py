"""Settings: from the command line, from the environment, and refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from load_balancer.settings import Settings, from_command_line, parse_address, parse_place
from pydantic import ValidationError

from ring import PRESETS


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The lines that bad arguments are answered with; the process would exit with 2."""
    with pytest.raises(SystemExit) as exit_:
        from_command_line(arguments)
    assert exit_.value.code == 2
    return capsys.readouterr().err.splitlines()


# Where they come from


def test_defaults_are_for_one_machine() -> None:
    """On loopback, with the default ring, and nobody to manage."""
    settings = from_command_line([])
    assert settings.bind_address == ("127.0.0.1", 5050)
    assert settings.ring().config == PRESETS["default"]
    assert (settings.provisioner_socket, settings.unmanaged_replicas) == (None, {})


def test_a_request_may_try_every_replica() -> None:
    """Three attempts were spent by three replicas that froze one after the other, each as the
    request came to it, while two others were alive."""
    settings = from_command_line([])
    assert settings.max_attempts >= settings.max_replicas


def test_command_line(tmp_path: Path) -> None:
    """Names with hyphens, values of their types."""
    settings = from_command_line(
        "--bind [::1]:6060 --pool-size 7 --heartbeat-interval-s 0.5 --preset assignment"
        f" --open-admin --state-file {tmp_path}".split()
    )
    assert settings.bind_address == ("::1", 6060)
    assert (settings.pool_size, settings.heartbeat_interval_s) == (7, 0.5)
    assert (settings.preset, settings.state_file, settings.open_admin) == (
        "assignment",
        tmp_path,
        True,
    )


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same names in capitals behind LOAD_BALANCER_; lists with commas."""
    for name, value in {
        "BIND": "0.0.0.0:5000",
        "OPEN_ADMIN": "true",
        "REPLICA": "A=127.0.0.1:1,B=[::1]:2",
        "ALLOWED_HOSTS": "lab.example,other",
        "SLOTS": "1024",
        "REPLACEMENT_NAME": "random",
    }.items():
        monkeypatch.setenv(f"LOAD_BALANCER_{name}", value)
    settings = from_command_line([])
    assert settings.bind_address == ("0.0.0.0", 5000)
    assert settings.unmanaged_replicas == {"A": ("127.0.0.1", 1), "B": ("::1", 2)}
    assert settings.allowed_hosts == ("lab.example", "other")
    assert settings.ring().config.num_slots == 1024
    assert settings.replacement_name == "random"


def test_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the environment, which wins over the default."""
    monkeypatch.setenv("LOAD_BALANCER_POOL_SIZE", "5")
    assert from_command_line([]).pool_size == 5
    assert from_command_line(["--pool-size", "6"]).pool_size == 6


def test_an_empty_list_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is no list of one empty name."""
    monkeypatch.setenv("LOAD_BALANCER_ALLOWED_HOSTS", "")
    assert from_command_line([]).allowed_hosts == ()


def test_replicas_are_repeatable() -> None:
    """In the order in which they are given."""
    settings = from_command_line(["--replica", "B=127.0.0.1:2", "--replica", "A=localhost:1"])
    expected = [("B", ("127.0.0.1", 2)), ("A", ("localhost", 1))]
    assert list(settings.unmanaged_replicas.items()) == expected


def test_settings_do_not_change() -> None:
    """They are read once."""
    with pytest.raises(ValidationError, match="frozen"):
        Settings().pool_size = 3  # type: ignore[misc]


def test_overrides_change_the_preset() -> None:
    """Field by field."""
    config = Settings(preset="assignment", virtual_nodes=5, probing="quadratic").ring().config
    assert (config.num_slots, config.num_virtual_nodes, config.probing) == (512, 5, "quadratic")


def test_help_tells_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """With its default."""
    with pytest.raises(SystemExit) as exit_:
        from_command_line(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.description
    assert "(default 256)" in text


# What is refused


@pytest.mark.parametrize(
    ("option", "value", "accepted"),
    [
        ("--bind", "5050", "HOST:PORT"),
        ("--bind", ":5050", "HOST:PORT"),
        ("--bind", "localhost:http", "HOST:PORT"),
        ("--bind", "localhost:65536", "0 to 65535"),
        ("--replica", "127.0.0.1:7001", "NAME=HOST:PORT"),
        ("--replica", "bad_name=127.0.0.1:7001", "hostname"),
        ("--replica", "a-=127.0.0.1:7001", "hostname"),
        ("--replica", "Server1=7001", "HOST:PORT"),
        ("--preset", "best", "assignment, seed-library, seed-deployed, default"),
        ("--slots", "0", "1..1048576"),
        ("--slots", "many", "integer"),
        ("--virtual-nodes", "65537", "1..65536"),
        ("--key-hash", "rot13", "splitmix64"),
        ("--virtual-node-hash", "md5", "sha256"),
        ("--probing", "cubic", "'linear', 'quadratic' or 'double'"),
        ("--heartbeat-interval-s", "0", "greater than 0"),
        ("--heartbeat-timeout-s", "-1", "greater than 0"),
        ("--heartbeat-fall", "0", "greater than or equal to 1"),
        ("--heartbeat-rise", "1.5", "integer"),
        ("--pool-size", "0", "greater than or equal to 1"),
        ("--replacement-name", "other", "'same' or 'random'"),
        ("--max-replicas", "x", "integer"),
        ("--workers", "0", "greater than or equal to 1"),
        ("--workers", "two", "integer"),
        ("--followers", "5051", "or a path with a /"),
        ("--follow", "localhost:65536", "0 to 65535"),
    ],
)
def test_bad_values_are_named(
    capsys: pytest.CaptureFixture[str], option: str, value: str, accepted: str
) -> None:
    """One line: what was given, and what is accepted."""
    (line,) = refusal(capsys, option, value)
    assert line.startswith("python -m load_balancer: error: ")
    assert f"got {value}" in line or f"{value.rpartition('=')[2]}'" in line
    assert accepted in line


def test_each_fault_has_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """All are told at once."""
    first, second = refusal(capsys, "--pool-size", "0", "--heartbeat-fall", "x")
    assert "heartbeat_fall" in first
    assert "pool_size" in second


def test_a_replica_is_given_once(capsys: pytest.CaptureFixture[str]) -> None:
    """A second address under the same name would be passed over."""
    (line,) = refusal(capsys, "--replica", "A=127.0.0.1:1", "--replica", "A=127.0.0.1:2")
    assert "--replica A is given twice" in line


def test_managed_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    """Either somebody else's servers, or the provisioner's."""
    (line,) = refusal(capsys, "--replica", "A=127.0.0.1:1", "--provisioner-socket", "/x")
    assert "exclude each other" in line


@pytest.mark.parametrize("bind", ["0.0.0.0:5050", "[::]:5050", "192.0.2.1:5050", "lab:5050"])
def test_beyond_loopback_a_token_is_wanted(bind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Or somebody who says that the port is not published."""
    (line,) = refusal(capsys, "--bind", bind)
    assert bind in line
    assert "--admin-token" in line
    assert from_command_line(["--bind", bind, "--admin-token", "x"]).admin_token == "x"
    assert from_command_line(["--bind", bind, "--open-admin"]).open_admin


@pytest.mark.parametrize("bind", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1"])
def test_on_loopback_no_token_is_wanted(bind: str) -> None:
    """Who is on this machine may."""
    assert from_command_line(["--bind", bind]).admin_token == ""


# Several data planes


@pytest.mark.parametrize("place", ["0.0.0.0:5051", "lab:5051"])
def test_followers_beyond_loopback_need_a_token(
    place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who follows gets the addresses of all replicas, and is believed about them."""
    (line,) = refusal(capsys, "--followers", place)
    assert place in line
    assert "--followers-token" in line
    assert from_command_line(["--followers", place, "--followers-token", "x"])
    for near in ("127.0.0.1:5051", "/run/ringlab/followers.sock"):
        assert from_command_line(["--followers", near]).followers == near


def test_a_follower_leaves_the_rest_to_who_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    """What it could not do is refused, all at once; beyond loopback it needs no admin token, for
    it has no admin API."""
    arguments = "--follow 10.0.0.7:5051 --workers 2 --replica A=127.0.0.1:1 --state-file /x"
    (line,) = refusal(capsys, *arguments.split())
    assert "--follow leaves --workers, --replica, --state-file to the control plane" in line
    assert from_command_line(["--follow", "10.0.0.7:5051", "--bind", "0.0.0.0:5050"]).follow


def test_workers_share_a_port_that_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Each would get one of its own."""
    (line,) = refusal(capsys, "--workers", "2", "--bind", "127.0.0.1:0")
    assert "--workers 2 share one port, got --bind 127.0.0.1:0" in line


def test_places() -> None:
    """A slash makes it a path."""
    assert Path("./x") == parse_place("./x")
    assert ("::1", 5051) == parse_place("[::1]:5051")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("localhost:0", ("localhost", 0)), ("[2001:db8::1]:65535", ("2001:db8::1", 65535))],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    """Names, IPv4, and IPv6 in brackets."""
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", ":", "host", "host:", "host:-1", "host:1.5", "host: 1"])
def test_what_is_no_address(text: str) -> None:
    """Is named."""
    with pytest.raises(ValueError, match="HOST:PORT") as error:
        parse_address(text)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"provisioner": "one=10.0.0.1"}, "expected HOST:PORT"),
        ({"provisioner": "10.0.0.1:5000"}, "--provisioner wants NAME=HOST:PORT"),
        ({"provisioner": "one=a:1,one=b:1"}, "--provisioner one is given twice"),
        ({"provisioner": "one=a:1", "drained": "two"}, "--drained two is no --provisioner's name"),
        (
            {"provisioner": "one=a:1", "provisioner_socket": "/s"},
            "--provisioner-socket and --provisioner exclude each other",
        ),
    ],
)
def test_nodes_that_cannot_be_called_are_refused(given: dict[str, str], complaint: str) -> None:
    """Each fault by the text that is wrong."""
    with pytest.raises(ValidationError, match=complaint):
        Settings(**given)


def test_nodes_have_names_and_addresses() -> None:
    """As many as are given, from one text or several."""
    settings = Settings(provisioner="one=10.0.0.1:5000,two=lab-provisioner-two:5000")
    expected = {"one": ("10.0.0.1", 5000), "two": ("lab-provisioner-two", 5000)}
    assert expected == settings.provisioners
