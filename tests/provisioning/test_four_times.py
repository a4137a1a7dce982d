"""The playbooks proved as each role is: check, apply, again, check again; and then destroy."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from labs import ROOT, play
from plays import changed, refusal

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

# The second run's bound is 20 s on a machine that does nothing else; tests run beside others.
SECOND_RUN_S = 60


def things_of(lab_name: str | None) -> list[Any]:
    """What the engine has that bears the lab's label; any lab's for None."""
    engine = docker.from_env()
    label = {"label": f"ringlab.lab={lab_name}" if lab_name else "ringlab.lab"}
    return [
        *engine.containers.list(all=True, filters=label),
        *engine.networks.list(filters=label),
        *engine.volumes.list(filters=label),
    ]


def images() -> list[Any]:
    """Images of labs, which they share."""
    return docker.from_env().images.list(all=True, filters={"label": "ringlab.image"})


def processes_of(directory: Path) -> list[str]:
    """Command lines of the processes that have to do with a lab's directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            told = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:  # somebody else's, or ended meanwhile
            continue
        if f"{directory}/".encode() in told + b"/":
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def test_check_makes_nothing(variables: dict[str, Any]) -> None:
    """--check before the first run says what would change, and changes nothing."""
    assert changed("site.yml", "--check", **variables) > 0
    assert not (ROOT / ".ringlab" / variables["lab_name"]).exists()


def test_apply_serves(variables: dict[str, Any]) -> None:
    """The first run ends with a lab that serves."""
    assert changed("site.yml", **variables) > 0
    answer = requests.get(f"http://127.0.0.1:{variables['lab_port']}/rep", timeout=10)
    assert {"N": 3, "replicas": ["Server1", "Server2", "Server3"]} == answer.json()["message"]


def test_again_changes_nothing(variables: dict[str, Any]) -> None:
    """The second run changes nothing, and is quick about it."""
    begin = time.monotonic()
    assert 0 == changed("site.yml", **variables)
    assert time.monotonic() - begin < SECOND_RUN_S


def test_check_again_would_change_nothing(
    variables: dict[str, Any], other_things: list[Any]
) -> None:
    """--check of a lab that is up reports no change, beside a lab of other images as well."""
    assert 0 == changed("site.yml", "--check", **variables)
    for thing in other_things:
        thing.reload()  # NotFound if it is gone


def test_auto_stays_with_the_runtime_that_is_up(variables: dict[str, Any]) -> None:
    """lab_runtime=auto keeps to where the lab is, also where the other one would be preferred."""
    output = play("site.yml", **{**variables, "lab_runtime": "auto"})
    assert f"{variables['lab_runtime']}: the lab is up in this runtime already" in output


def test_the_other_runtime_is_refused_while_the_lab_is_up(variables: dict[str, Any]) -> None:
    """Asking for the other runtime stops before anything is touched, and says what to do."""
    other = {"docker": "process", "process": "docker"}[variables["lab_runtime"]]
    assert "make down" in refusal("site.yml", **{**variables, "lab_runtime": other})


def test_inspect_finds_the_walls_in_place(variables: dict[str, Any]) -> None:
    """The playbook that checks what may touch what passes."""
    play("playbooks/inspect.yml", **variables)


def test_down_and_up_keep_the_placement(variables: dict[str, Any]) -> None:
    """make down keeps the state: the same keys go to the same replicas afterwards."""
    url = f"http://127.0.0.1:{variables['lab_port']}/ring"
    before = requests.get(url, timeout=10).json()
    play("playbooks/down.yml", **variables)
    assert changed("site.yml", "--check", **variables) > 0
    play("site.yml", **variables)
    assert (
        before["message"]["replicas"] == requests.get(url, timeout=10).json()["message"]["replicas"]
    )


def test_destroy_leaves_nothing_and_touches_nobody_else(
    variables: dict[str, Any], other_things: list[Any], other_process: subprocess.Popen[bytes]
) -> None:
    """destroy leaves nothing of the lab; a lab whose name begins alike loses nothing, and keeps
    the images that it shares with all."""
    lab_name = variables["lab_name"]
    play("playbooks/destroy.yml", **variables)

    directory = ROOT / ".ringlab" / lab_name
    assert not directory.exists()
    assert [] == processes_of(directory)
    if variables["lab_runtime"] == "docker":
        assert [] == things_of(lab_name)
    for thing in other_things:
        thing.reload()  # NotFound if it is gone
    assert other_process.poll() is None


def test_the_last_lab_takes_the_images_along(variables: dict[str, Any]) -> None:
    """Nobody needs them any more, now that the other one is gone; unless a user's lab is up."""
    play("playbooks/destroy.yml", **variables)
    if variables["lab_runtime"] == "docker":
        assert bool(things_of(None)) == bool(images())


def test_destroy_of_nothing_changes_nothing(variables: dict[str, Any]) -> None:
    """destroy can be repeated."""
    assert 0 == changed("playbooks/destroy.yml", **variables)
