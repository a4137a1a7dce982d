"""The package as it is met first."""

import doctest

import ring


def test_the_example_of_the_package_runs() -> None:
    """What the docstring shows is what happens: three lines, no failure."""
    assert (0, 3) == doctest.testmod(ring)


def test_every_public_name_is_there() -> None:
    """A name in __all__ can be imported."""
    assert [] == [name for name in ring.__all__ if not hasattr(ring, name)]
