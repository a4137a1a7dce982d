"""What is derived from the notebooks: the learners' copies, and the page of all."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import course
import nbformat
import pytest

SCRIPT = Path(course.__file__)
STORED = course.stored()


@pytest.fixture(scope="module")
def student(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make student` makes."""
    where = tmp_path_factory.mktemp("student")
    subprocess.run([sys.executable, SCRIPT, "student", where], check=True, capture_output=True)
    return where


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `make report` makes."""
    where = tmp_path_factory.mktemp("report") / "new" / "course.html"
    subprocess.run([sys.executable, SCRIPT, "report", where], check=True, capture_output=True)
    return where.read_text()


def test_learners_get_each_notebook_and_its_helper(student: Path) -> None:
    """A folder that stands alone, but for the package ring."""
    assert {*STORED, "lab.py"} == {path.name for path in student.iterdir()}


@pytest.mark.parametrize("name", STORED)
def test_a_learners_copy_gives_nothing_away(student: Path, name: str) -> None:
    """Neither a solution nor an output; all else is as it was."""
    copy = nbformat.read(student / name, as_version=4)
    nbformat.validate(copy)
    assert "SOLUTION" not in (student / name).read_text()
    for cell, original in zip(copy.cells, STORED[name].cells, strict=True):
        assert original.metadata == cell.metadata
        if cell.cell_type == "code":
            assert ([], None) == (cell.outputs, cell.execution_count)
        if "### BEGIN SOLUTION" in original.source:
            assert "raise NotImplementedError" in cell.source
        else:
            assert original.source == cell.source


@pytest.mark.parametrize("name", STORED)
def test_nbgrader_can_tell_what_to_grade(student: Path, name: str) -> None:
    """Its metadata, version 3: solutions are the learner's, checks are locked and have points."""
    copy = nbformat.read(student / name, as_version=4)
    marked = [cell.metadata.nbgrader for cell in copy.cells if "nbgrader" in cell.metadata]
    fields = {"cell_type", "grade", "grade_id", "locked", "schema_version", "solution", "task"}
    assert [] == [mark for mark in marked if fields - mark.keys()]
    assert {3} == {mark.schema_version for mark in marked}
    assert [mark.grade for mark in marked] == [mark.locked for mark in marked]
    assert [mark.grade for mark in marked] == [not mark.solution for mark in marked]
    assert [mark.grade for mark in marked] == ["points" in mark for mark in marked]
    grade_ids = [mark.grade_id for mark in marked]
    assert len(grade_ids) == len(set(grade_ids))


def test_the_page_has_all_notebooks_and_leads_to_each(page: str) -> None:
    """A table of contents, and behind it the notebooks with their figures."""
    for name, notebook in STORED.items():
        title = re.escape(notebook.cells[0].source.splitlines()[0].removeprefix("# "))
        assert re.search(rf'<a href="#{re.escape(name)}">{title}</a>', page)
        assert f'id="{name}"' in page
    figures = [
        output
        for notebook in STORED.values()
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if "image/svg+xml" in output.get("data", {})
    ]
    assert len(figures) <= page.count("data:image/svg+xml")


def test_the_page_fetches_nothing(page: str) -> None:
    """It can be read without a network."""
    assert [] == re.findall(r'<(?:script|link|img)\b[^>]*(?:src|href)="https?://[^"]*"', page)
