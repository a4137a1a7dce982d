"""Every stored notebook is one that was run, whole, and says nothing about where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
MAX_BYTES = 500_000
# A path, an address or a port of the machine that it was run on.
TRACES = re.compile(r"/(home|root|tmp|usr|work)/|127\.0\.0\.1|localhost|:\d{4,5}\b")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def is_compared(cell: Any) -> bool:
    return "nbval-ignore-output" not in tags(cell)


def text(output: Any) -> str:
    """What a reader sees, pictures apart."""
    data = {key: value for key, value in output.get("data", {}).items() if "image" not in key}
    return "\n".join([output.get("text", ""), *map(str, data.values())])


def test_the_course_is_complete() -> None:
    """An empty folder would pass all that follows."""
    expected = ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "A1", "A2", "A3", "A4"]
    assert expected == [path.stem.partition("-")[0] for path in NOTEBOOKS]


@each_notebook
def test_it_was_run_once_from_top_to_bottom(path: Path) -> None:
    """nbval lets a cell pass that was never run."""
    cells = code_cells(path)
    assert list(range(1, len(cells) + 1)) == [cell.execution_count for cell in cells]


@each_notebook
def test_it_asks_for_the_kernel_that_every_installation_has(path: Path) -> None:
    """Not for one of the machine that it was written on."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert "python3" == notebook.metadata.kernelspec.name


@each_notebook
def test_no_output_is_an_error(path: Path) -> None:
    """Nor a warning on stderr."""
    outputs = [output for cell in code_cells(path) for output in cell.outputs]
    assert "error" not in {output.output_type for output in outputs}
    assert "stderr" not in {output.get("name") for output in outputs}


@each_notebook
def test_outputs_tell_nothing_of_the_machine(path: Path) -> None:
    """They are compared on others."""
    outputs = [text(output) for cell in code_cells(path) for output in cell.outputs]
    assert [] == [output for output in outputs if TRACES.search(output)]


@each_notebook
def test_it_is_small(path: Path) -> None:
    """A repository keeps every version of it."""
    assert path.stat().st_size < MAX_BYTES


@each_notebook
def test_the_numbers_of_each_figure_are_printed_and_compared(path: Path) -> None:
    """What is drawn is also said, right behind it, where a change is seen."""
    cells = code_cells(path)
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if any("image/svg+xml" in output.get("data", {}) for output in cell.outputs):
            assert after is not None, cell.source
            assert is_compared(after) or not is_compared(cell), cell.source


@each_notebook
def test_a_cell_that_is_not_compared_is_followed_by_one_that_is(path: Path) -> None:
    """Each run of exempt cells ends in a compared one that prints what holds on every machine."""
    cells = code_cells(path)
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        if not is_compared(cell):
            assert after is not None, cell.source
            assert not is_compared(after) or after.outputs or "assert" in after.source, cell.source


@each_notebook
def test_the_learner_predicts_first(path: Path) -> None:
    """There is a cell for a number of one's own."""
    assert any("prediction" in tags(cell) for cell in code_cells(path))


@each_notebook
def test_a_notebook_that_uses_the_lab_leaves_it_as_it_was(path: Path) -> None:
    """It connects in its first cell, which restores, and restores in its last."""
    cells = code_cells(path)
    if any("lab.connect()" in cell.source for cell in cells):
        assert "lab.connect()" in cells[0].source
        assert "ringlab.restore()" in cells[-1].source
