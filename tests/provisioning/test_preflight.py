"""What cannot work stops before anything is made, with one line that says what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from labs import free_port
from plays import refusal

# They start no lab, but ansible-playbook itself takes seconds.
pytestmark = pytest.mark.lab


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        yield stranger.getsockname()[1]


def test_a_taken_port_is_refused(taken_port: int) -> None:
    """A port where somebody else listens is named, and the way out."""
    output = refusal(
        "site.yml",
        lab_name="ringlab-refused",
        lab_port=taken_port,
        lab_runtime="process",
    )
    assert f"Port {taken_port} on 127.0.0.1 is taken" in output
    assert "make up PORT=" in output


def test_an_address_beyond_loopback_needs_a_token() -> None:
    """Without lab_admin_token, nothing is published that others can reach."""
    output = refusal(
        "site.yml",
        lab_name="ringlab-refused",
        lab_port=free_port(),
        lab_bind_address="0.0.0.0",
    )
    assert "lab_admin_token" in output


@pytest.mark.parametrize("lab_name", ["cache", "Big", "a_b", "-a", "a" * 40])
def test_a_name_that_cannot_be_a_labels_is_refused(lab_name: str) -> None:
    """A lab's name goes into names of containers and directories."""
    output = refusal("site.yml", lab_name=lab_name, lab_port=free_port())
    assert "lab_name must be" in output
