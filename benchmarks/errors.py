"""What ends a benchmark before it has a result."""

from __future__ import annotations


class BenchmarkError(Exception):
    """What follows would be a figure of something else than was meant."""


class MissingCommand(BenchmarkError):
    """A program that is measured, or measured with, is not here and cannot be installed."""


class NotStarted(BenchmarkError):
    """A process ended, or did not listen in time; the message has the end of its log."""


class WrongAnswer(BenchmarkError):
    """A peer does not do what is measured: an answer was wrong, failed, or never came."""
