"""What is printed and stored of a measurement: a page of tables, and all runs as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from benchmarks.data_plane.aims import AIMS
from benchmarks.data_plane.cases import CASES
from benchmarks.data_plane.peers import COMMANDS, NGINX
from benchmarks.data_plane.summary import FIGURES, Run, medians, paired_ratio

# Figure → head of its column; those with a ratio have it in the next one.
COLUMNS = {
    "cpu_us": "CPU per request, µs",
    "requests_per_s": "requests/s",
    "p50_ms": "p50, ms",
    "p99_ms": "p99, ms",
    "p999_ms": "p99.9, ms",
}
WITH_RATIO = ("cpu_us", "requests_per_s", "p99_ms")


def page(runs: Sequence[Run], conditions: Mapping[str, object]) -> str:
    """Markdown: what was aimed at, and a table for each case that was run."""
    parts = [
        "# The data plane, measured",
        "Written by `make bench`; `benchmarks/README.md` tells what is measured, and how.",
        "; ".join(f"{name}: {value}" for name, value in conditions.items()) + ".",
        "## Aims",
        _table(["", "ratio", "aim", ""], _aims(runs)),
    ]
    for name in dict.fromkeys(run.case for run in runs):
        title = CASES[name].title
        parts += [f"## {title[0].upper()}{title[1:]}", _table(_heads(), _rows(runs, name))]
    return "\n\n".join(parts) + "\n"


def as_json(runs: Sequence[Run], conditions: Mapping[str, object]) -> str:
    """Conditions, medians with their paired ratios to nginx, and every run."""
    summary = {
        case: {
            peer: {"median": medians(runs, case, peer), "ratio_to_nginx": _ratios(runs, case, peer)}
            for peer in _peers(runs, case)
        }
        for case in dict.fromkeys(run.case for run in runs)
    }
    content = {
        "conditions": conditions,
        "aims": [asdict(aim) | {"ratio": aim.ratio(runs)} for aim in AIMS],
        "summary": summary,
        "runs": [asdict(run) for run in runs],
    }
    return json.dumps(_rounded(content), indent=1) + "\n"


def _aims(runs: Sequence[Run]) -> list[list[str]]:
    rows = []
    for aim in AIMS:
        ratio = aim.ratio(runs)
        verdict = "" if ratio is None else "reached" if aim.is_reached(ratio) else "missed"
        rows.append([aim.title, _number(ratio), aim.bound, verdict])
    return rows


def _heads() -> list[str]:
    heads = [""]
    for figure, head in COLUMNS.items():
        heads += [head, "× nginx"] if figure in WITH_RATIO else [head]
    return heads


def _rows(runs: Sequence[Run], case: str) -> list[list[str]]:
    rows = []
    for peer in _peers(runs, case):
        values, ratios = medians(runs, case, peer), _ratios(runs, case, peer)
        row = [peer]
        for figure in COLUMNS:
            row.append(_number(values[figure]))
            row += [_number(ratios[figure])] if figure in WITH_RATIO else []
        rows.append(row)
    return rows


def _peers(runs: Sequence[Run], case: str) -> list[str]:
    """Those that were measured, in the order in which all are named."""
    return [peer for peer in COMMANDS if any((run.case, run.peer) == (case, peer) for run in runs)]


def _ratios(runs: Sequence[Run], case: str, peer: str) -> dict[str, float | None]:
    return {figure: paired_ratio(runs, case, figure, of=peer, to=NGINX) for figure in FIGURES}


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown that is aligned as it stands, too: the first column left, numbers right."""
    lines = [list(heads), *map(list, rows)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    padded = [
        [
            row[0].ljust(widths[0]),
            *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True)),
        ]
        for row in lines
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [padded[0], rule, *padded[1:]])


def _number(value: float | None) -> str:
    """Three digits that count, without exponents: 0.0512, 1.3, 24,300."""
    if value is None:
        return "–"
    if value >= 100:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def _rounded(value: object) -> object:
    """Floats to six digits that count: what is beyond is noise, and would fill the file."""
    match value:
        case float():
            return None if value in (float("inf"), float("-inf")) else float(f"{value:.6g}")
        case dict():
            return {key: _rounded(each) for key, each in value.items()}
        case list() | tuple():
            return [_rounded(each) for each in value]
    return value
