"""Runs the course's notebooks to be stored, and derives from them what is handed out.

course.py execute NOTEBOOK     runs it on the lab (RINGLAB_URL) and stores its outputs in place
course.py student DIRECTORY    the learners' copies: no solutions, no outputs; nbgrader reads them
course.py report FILE          one HTML page of all notebooks as they were executed
"""

from __future__ import annotations

import argparse
import re
import shutil
from copy import deepcopy
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat import NotebookNode

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
# nbgrader's marks; what is between them makes way for a line at the first one's indentation.
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION", re.DOTALL | re.MULTILINE)


def stored() -> dict[str, NotebookNode]:
    """Name -> notebook, walkthroughs before experiments."""
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    return {path.name: nbformat.read(path, as_version=4) for path in paths}


def execute(path: Path) -> None:
    """Runs all cells in a new kernel. CellExecutionError if one fails; then nothing is stored."""
    notebook = nbformat.read(path, as_version=4)
    metadata = deepcopy(notebook.metadata)
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(notebook, timeout=600, record_timing=False, resources=resources).execute()
    for cell in notebook.cells:
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            # A progress bar that has gone writes there all the same.
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    notebook.metadata = metadata  # execution adds this machine's versions, of no concern to others
    nbformat.write(notebook, path)


def stub(source: str) -> str:
    """A cell without its solution."""
    return SOLUTION.sub(r"\1raise NotImplementedError", source)


def student_copy(notebook: NotebookNode) -> NotebookNode:
    """Without solutions; and without outputs, which would give the predictions away."""
    copy = deepcopy(notebook)
    for cell in copy.cells:
        if cell.cell_type == "code":
            cell.source, cell.outputs, cell.execution_count = stub(cell.source), [], None
    return copy


def one_page(notebooks: dict[str, NotebookNode]) -> str:
    """All of them in one HTML document, one after the other, behind a table of contents."""
    titles = {name: _title(notebook) for name, notebook in notebooks.items()}
    contents = "\n".join(f"- [{title}](#{name})" for name, title in titles.items())
    cells = [nbformat.v4.new_markdown_cell(f"# ringlab: the course\n\n{contents}")]
    for name, notebook in notebooks.items():
        cells += [nbformat.v4.new_markdown_cell(f'<a id="{name}"></a>'), *notebook.cells]
    metadata = next(iter(notebooks.values())).metadata
    page = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    # The page shall not fetch anything: there are neither formulas nor widgets in it.
    exporter = HTMLExporter(mathjax_url="", require_js_url="", mermaid_js_url="")
    body, _ = exporter.from_notebook_node(page, {"metadata": {"name": "ringlab"}})
    return str(body)


def _title(notebook: NotebookNode) -> str:
    """The first heading."""
    return str(re.search(r"^# (.*)", notebook.cells[0].source, re.MULTILINE)[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=["execute", "student", "report"])
    parser.add_argument("where", type=Path)
    arguments = parser.parse_args()
    where = arguments.where
    if arguments.what == "execute":
        execute(where)
        return
    notebooks = stored()
    if arguments.what == "student":
        where.mkdir(parents=True, exist_ok=True)
        for name, notebook in notebooks.items():
            nbformat.write(student_copy(notebook), where / name)
        shutil.copy(NOTEBOOKS / "lab.py", where)
    else:
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(one_page(notebooks))
    print(f"{len(notebooks)} notebooks are in {where}")


if __name__ == "__main__":
    main()
