"""The how-to for notebooks, in a real one: each paragraph of its program is a cell."""

from __future__ import annotations

import pytest

from tests.pages import blocks

pytestmark = pytest.mark.extra

REASON = "needs nbclient and ipykernel: pip install '.[notebook]'"


def test_sessions_stay_open_from_cell_to_cell() -> None:
    nbformat = pytest.importorskip("nbformat", reason=REASON)
    nbclient = pytest.importorskip("nbclient", reason=REASON)
    pytest.importorskip("ipykernel", reason=REASON)
    block = blocks("how-to/asyncio.md")[0]
    cells = [nbformat.v4.new_code_cell(paragraph) for paragraph in block.source.split("\n\n")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"stream"}
    block.check("".join(output.text for output in outputs if output.name == "stdout"))
    assert len([cell for cell in notebook.cells if cell.outputs]) == 1
