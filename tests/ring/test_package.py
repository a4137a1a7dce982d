"""The examples of the documentation are run."""

import doctest
from pathlib import Path

import pytest

import ring
from ring import haproxy

TOUR = Path(ring.__file__).parent / "README.md"


@pytest.mark.parametrize("module", [ring, haproxy], ids=lambda module: module.__name__)
def test_the_examples_of_a_module_run(module: object) -> None:
    """And give what they say."""
    results = doctest.testmod(module)  # type: ignore[arg-type]
    assert 0 == results.failed
    assert results.attempted


def test_the_tour_runs() -> None:
    """Each line of the library's page, from the first to the last."""
    results = doctest.testfile(str(TOUR), module_relative=False)
    assert 0 == results.failed
    assert results.attempted > 20


def test_every_public_name_is_there() -> None:
    """A name in __all__ can be imported."""
    assert [] == [name for name in ring.__all__ if not hasattr(ring, name)]
