"""What wrk printed, understood."""

from __future__ import annotations

import pytest

from benchmarks.data_plane.load import Load, parse
from benchmarks.errors import WrongAnswer

# wrk 4.1.0, debian/4.1.0-3+b2, with load.lua
OUTPUT = """\
Running 1s test @ http://127.0.0.1:40001/home
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.58ms    0.52ms   8.31ms   88.23%
    Req/Sec    19.12k     1.10k   20.70k    70.00%
  19010 requests in 1.00s, 3.21MB read
Requests/sec:  19001.52
Transfer/sec:      3.21MB
{"requests": 19010, "duration_us": 1000447, "p50_us": 1577, "p99_us": 3240, "p999_us": 5286, \
"errors": {"connect": 0, "read": 0, "write": 0, "status": 0, "timeout": 0}}
"""


def test_figures_are_read_in_our_units() -> None:
    """Seconds and milliseconds, of wrk's microseconds."""
    expected = Load(requests=19010, duration_s=1.000447, p50_ms=1.577, p99_ms=3.24, p999_ms=5.286)
    assert expected == parse(OUTPUT)


@pytest.mark.parametrize("what", ["connect", "read", "write", "status", "timeout"])
def test_one_failed_request_is_too_many(what: str) -> None:
    """A run in which anything failed has no figures; the error says what, and how often."""
    with pytest.raises(WrongAnswer, match=f"{what}: 7"):
        parse(OUTPUT.replace(f'"{what}": 0', f'"{what}": 7'))


@pytest.mark.parametrize(
    "output", ["", OUTPUT.partition("{")[0], OUTPUT.replace('"requests": 19010', '"requests": 0')]
)
def test_a_run_without_answers_has_no_figures(output: str) -> None:
    """Neither silence nor a summary of nothing is taken for a result."""
    with pytest.raises(WrongAnswer):
        parse(output)
