"""The parts of the helper that ask nobody: prediction, verdict, timeline, figures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import lab
import pandas as pd
import pytest

from ring import PRESETS, RingFull

TABLES = json.loads((Path(__file__).parents[1] / "ring/golden/counts.json").read_text())["tables"]
ROWS = [
    pytest.param(preset, int(num_servers), expected, id=f"{preset}-{num_servers}")
    for table in TABLES
    for preset, row in table["counts"].items()
    for num_servers, expected in row.items()
]


# χ²


@pytest.mark.parametrize(
    ("chi_squared", "degrees", "p"),
    [
        # Upper 5 % and 1 % points: NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.4.
        pytest.param(3.841, 1, 0.05, id="1 degree, 5 %"),
        pytest.param(5.991, 2, 0.05, id="2 degrees, 5 %"),
        pytest.param(7.815, 3, 0.05, id="3 degrees, 5 %"),
        pytest.param(11.070, 5, 0.05, id="5 degrees, 5 %"),
        pytest.param(18.307, 10, 0.05, id="10 degrees, 5 %"),
        pytest.param(15.086, 5, 0.01, id="5 degrees, 1 %"),
        pytest.param(135.807, 100, 0.01, id="100 degrees, 1 %"),
    ],
)
def test_p_is_that_of_the_published_tables(chi_squared: float, degrees: int, p: float) -> None:
    """To the four digits that the tables leave."""
    assert p == pytest.approx(lab.chi_squared_p(chi_squared, degrees), rel=2e-3)


@pytest.mark.parametrize("chi_squared", [0.1, 2.0, 30.0, 500.0])
def test_p_with_two_degrees_is_an_exponential(chi_squared: float) -> None:
    """Q(1, x) = e^-x, small values included: nothing is subtracted on the way."""
    assert math.exp(-chi_squared / 2) == pytest.approx(lab.chi_squared_p(chi_squared, 2))


def test_p_at_the_ends() -> None:
    """No deviation is certain, an infinite one impossible, and one server leaves no freedom."""
    assert 1.0 == lab.chi_squared_p(0, 3)
    assert 0.0 == lab.chi_squared_p(math.inf, 3)
    assert 1.0 == lab.chi_squared_p(0, 0)


# Verdict


def test_equal_counts_agree_to_the_digit() -> None:
    """The stronger of the two judgements is said beside χ²."""
    verdict = lab.verdict({"A": 60, "B": 40}, {"A": 60, "B": 40})
    assert ("agree", 0.0, 1.0, True) == (
        verdict.word,
        verdict.chi_squared,
        verdict.p,
        verdict.exact,
    )
    assert "agree: χ²(1) = 0.0, p = 1; 100 of 100 answers, equal to the digit" == repr(verdict)


def test_a_few_astray_agree_but_not_to_the_digit() -> None:
    """χ² by hand: 2²/50 twice, 0.16."""
    verdict = lab.verdict({"A": 50, "B": 50}, {"A": 52, "B": 48})
    assert ("agree", False) == (verdict.word, verdict.exact)
    assert pytest.approx(0.16) == verdict.chi_squared


def test_another_placement_differs() -> None:
    """The seed's three counts are not even ones."""
    even = dict.fromkeys(("A", "B", "C"), 10_000 / 3)
    assert "differs" == lab.verdict(even, {"A": 3834, "B": 3073, "C": 3093}).word


def test_a_replica_that_nobody_predicted_differs() -> None:
    """Its predicted count is 0, so one answer from it is beyond all chance."""
    verdict = lab.verdict({"A": 50, "B": 50}, {"A": 50, "B": 49, "Stranger": 1})
    assert ("differs", 0.0) == (verdict.word, verdict.p)


def test_one_lost_answer_is_too_few() -> None:
    """However well the others fit."""
    verdict = lab.verdict({"A": 6000, "B": 4000}, {"A": 6000, "B": 3999})
    assert "too few answers" == verdict.word
    assert "9999 of 10000" in repr(verdict)


def test_small_predictions_are_too_few_unless_met() -> None:
    """Below 5 expected answers χ² says nothing; equality still does."""
    assert "too few answers" == lab.verdict({"A": 96, "B": 4}, {"A": 95, "B": 5}).word
    assert "agree" == lab.verdict({"A": 96, "B": 4}, {"A": 96, "B": 4}).word


def test_lost_requests_are_not_counted() -> None:
    """Neither those without an answer nor those with a bad one."""
    answers = pd.DataFrame(
        {"replica": ["Server10", "Server9", "Server9", None], "status": [200, 200, 503, 0]}
    )
    assert {"Server9": 1, "Server10": 1} == lab.counts(answers).to_dict()
    assert ["Server9", "Server10"] == list(lab.counts(answers).index)


# Prediction


@pytest.mark.parametrize(("preset", "num_servers", "expected"), ROWS)
def test_predictions_are_the_contracts_counts(
    preset: str, num_servers: int, expected: list[int]
) -> None:
    """10,000 ids from the contract's seed, servers in the order of their ids."""
    assert expected == lab.predict(lab.ids(), num_servers, preset).to_list()


def test_predictions_cover_every_preset() -> None:
    """The table above is not empty by accident."""
    assert set(PRESETS) <= {row.values[0] for row in ROWS}


def test_fields_are_called_as_in_the_admin_api() -> None:
    """What is sent with PUT /ring is what is predicted with."""
    fields = {"slots": 16, "virtual_nodes": 2, "key_hash": "identity", "probing": "quadratic"}
    config = lab.config("assignment", **fields)
    assert (16, 2, "identity", "quadratic", "assignment") == (
        config.num_slots,
        config.num_virtual_nodes,
        config.key_hash,
        config.probing,
        config.virtual_node_hash,
    )


def test_a_ring_without_room_is_refused() -> None:
    """As the lab does."""
    with pytest.raises(RingFull):
        lab.predict([1], 7, "seed-deployed")


def test_servers_have_the_ids_that_the_lab_gives() -> None:
    """K for ServerK while it is free, else the smallest that is."""
    names = ["Server3", "mail", "Server1", "Server03", "web"]
    assert {"Server3": 3, "mail": 1, "Server1": 2, "Server03": 4, "web": 5} == lab.server_ids(names)


def test_the_order_of_names_does_not_matter() -> None:
    """The lab builds by ids, and ServerK has its own."""
    ring = lab.build_ring(["Server3", "Server1", "Server2"], "assignment")
    assert lab.build_ring(3, "assignment").snapshot() == ring.snapshot()


def test_shares_are_those_of_the_arcs() -> None:
    """A ring for paper: slots 3, 1 and 4 of 8."""
    ring = lab.build_ring(3, slots=8, virtual_nodes=1)
    assert {"Server1": 2 / 8, "Server2": 5 / 8, "Server3": 1 / 8} == lab.shares(ring).to_dict()


def test_summary_by_hand() -> None:
    """Loads 2 and 4: mean 3, peak 4/3 of it, both 1 away from it."""
    expected = {"average": 3.0, "peak_to_mean": 4 / 3, "spread": 1 / 3}
    assert pytest.approx(expected) == lab.summary(pd.Series({"A": 2, "B": 4}))


def test_moves_by_hand() -> None:
    """One of Server1's keys goes to Server10; who kept a key is counted as well."""
    before = ["Server1", "Server1", "Server10", "Server2"]
    table = lab.moves(before, ["Server10", "Server1", "Server10", "Server2"])
    assert [[1, 0, 1], [0, 1, 0], [0, 0, 1]] == table.to_numpy().tolist()
    assert ["Server1", "Server2", "Server10"] == list(table.index) == list(table.columns)


# Timeline


def event(kind: str, time: float, hostname: str = "Server2") -> dict[str, Any]:
    return {"id": 1, "kind": kind, "time": time, "hostname": hostname}


@pytest.fixture
def answers() -> pd.DataFrame:
    """Server2 answers at 1 s, a stand-in at 3 s, Server2 again from 4.5 s on."""
    frame = pd.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "replica": ["Server2", "Server1", "Server2", "Server2"],
            "status": 200,
            "latency_s": 0.01,
            "since_start_s": [1.0, 3.0, 4.5, 5.0],
        }
    )
    frame.attrs["started_at"] = 1000.0
    return frame


def test_the_timeline_has_all_marks_in_order(answers: pd.DataFrame) -> None:
    """In seconds since the first request; other replicas' events are passed over."""
    events = [
        {"id": 1, "kind": "ring", "time": 1000.5},
        event("suspect", 1001.0, "Server1"),
        event("suspect", 1002.25),
        event("dead", 1002.5),
        event("alive", 1003.75),
        event("replaced", 1004.0),
    ]
    marks = lab.timeline(answers, events, "Server2", kill=1002.0)
    expected = {"kill": 2.0, "suspected": 2.25, "out": 2.5, "replaced": 4.0, "back": 4.5}
    assert expected == marks
    assert list(expected) == list(marks)


def test_the_timeline_shows_what_did_not_happen(answers: pd.DataFrame) -> None:
    """A frozen replica is never a suspect; one that is not replaced does not come back."""
    marks = lab.timeline(answers, [event("dead", 1003.5)], "Server2", freeze=1002.0)
    assert {"suspected", "replaced", "back"} == {mark for mark in marks if math.isnan(marks[mark])}


# Figures


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The SVG of each figure that was shown."""
    figures: list[str] = []
    monkeypatch.setattr(lab, "display", lambda svg: figures.append(svg.data))
    return figures


def frames() -> tuple[pd.DataFrame, pd.DataFrame]:
    pairs = [("identity", "sha256"), ("splitmix64", "sha256")]
    scaling = pd.DataFrame({n: lab.summary(pd.Series([n, 2, 3])) for n in (2, 3)}).T
    return scaling, pd.DataFrame({pair: {2: 1.5, 3: 1.2} for pair in pairs})


def draw_all(answers: pd.DataFrame) -> None:
    """Each kind of figure once; a measured replica is missing, and so is a mark."""
    scaling, peaks = frames()
    predicted = pd.Series({"Server1": 3, "Server2": 1})
    marks = {"freeze": 2.0, "suspected": math.nan, "out": 3.0}
    assert lab.plot_counts(predicted, pd.Series({"Server1": 4}), "counts") is None
    assert lab.plot_scaling(scaling, scaling, "scaling") is None
    assert lab.plot_peak_to_mean(peaks, peaks, "peaks") is None
    assert lab.plot_lines(scaling, scaling[["spread"]], "lines", xscale="log", xlabel="N") is None
    assert lab.plot_panels({"one": scaling, "two": scaling[["spread"]]}, "panels") is None
    assert lab.plot_timeline(answers, marks, "timeline") is None
    assert lab.draw_ring(lab.build_ring(3), key=7, title="ring") is None
    way = {"id": "<7>", "key": 7, "slot": 3, "replica": "B", "failover_order": ["B", "A"]}
    assert lab.draw_way(way) is None
    assert lab.plot_heartbeats(0.6) is None
    assert lab.plot_moves({"2 → 3": lab.moves("AABB", "ACBB")}, "moves") is None
    criteria = pd.DataFrame({"peak": [1.5, 1.0], "KB": [1234.5, 0.2]}, ["jump", "maglev"])
    assert lab.plot_criteria(criteria, "criteria", log=["KB"]) is None


def test_figures_are_shown_and_return_nothing(answers: pd.DataFrame, shown: list[str]) -> None:
    """nbval compares a cell's value, and a figure must not have one."""
    draw_all(answers)
    assert 11 == len(shown)
    assert {"{http://www.w3.org/2000/svg}svg"} == {ElementTree.fromstring(svg).tag for svg in shown}


def test_figures_are_the_same_for_the_same_data(answers: pd.DataFrame, shown: list[str]) -> None:
    """To the byte, so that stored ones change only with what they show; no date, no random id."""
    draw_all(answers)
    draw_all(answers)
    half = len(shown) // 2
    assert shown[:half] == shown[half:]


@pytest.mark.parametrize(
    ("one", "other"), [("27.493677", "27.493678"), ("-0.0078125", "-0.0078124")]
)
def test_figures_are_the_same_on_every_processor(one: str, other: str) -> None:
    """Where processors differ, in the last decimals of a coordinate, nothing is shown."""
    svg = '<path d="M {} 3.5" transform="scale(0.015625)"/>'
    assert lab._rounded(svg.format(one)) == lab._rounded(svg.format(other))
    assert "scale(0.015625)" in lab._rounded(svg)
    assert " 3.5" in lab._rounded(svg)


def test_a_server_has_one_colour_and_neighbours_differ() -> None:
    """In every figure; a name without a number has a stable one as well."""
    assert 6 == len({lab._colour(name) for name in lab.servers(6)})
    assert lab._colour("S3f9a01") == lab._colour("S3f9a01")


def ring_of(svg: str) -> str:
    return "".join(ElementTree.fromstring(svg).itertext())


def test_the_ring_shows_the_way_of_a_key() -> None:
    """Key 6 falls into slot 0 and meets Server2 in slot 1."""
    svg = lab.ring_svg(lab.build_ring(3, slots=16, virtual_nodes=2), key=6)
    assert "slot 0 → 1" in ring_of(svg)
    assert "Server2 18.8%" in ring_of(svg).replace("  ", " ")


def test_the_ring_shows_who_stands_in() -> None:
    """Without Server2 the same key goes on to slot 3, and its share is nobody's."""
    ring = lab.build_ring(3, slots=16, virtual_nodes=2)
    text = ring_of(lab.ring_svg(ring, key=6, live=["Server1", "Server3"])).replace("  ", " ")
    assert "slot 0 → 3" in text
    assert "Server2 0.0%" in text


def test_a_ring_of_one_server_is_one_band() -> None:
    """The arc goes all the way around, which a single arc of SVG cannot."""
    svg = lab.ring_svg(lab.build_ring(1, slots=8, virtual_nodes=1))
    assert "Server1 100.0%" in ring_of(svg).replace("  ", " ")
    assert 1 == svg.count('stroke-width="18"')
