"""What docs/python.md and docs/python.ipynb say is done as it stands there."""

import re
import shutil
from pathlib import Path

import pytest

from tests.support.datasets import needs_real

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the demo, as the project's, and the images that it was trained on."""
    shutil.copytree(ROOT / "checkpoints" / "demo", tmp_path / "checkpoints" / "demo")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUI_VAE_RUNS")
    monkeypatch.delenv("TUI_VAE_SYSTEM_DATA")
    return tmp_path


@needs_real
def test_the_page_on_python_does_what_it_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)  # noqa: S102
    assert names["run"].state == "finished"  # type: ignore[attr-defined]
    assert "epoch 1/1" in capsys.readouterr().out


@pytest.mark.slow
@needs_real
def test_the_notebook_runs_and_shows_pictures(folder: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    notebook = nbformat.read(ROOT / "docs" / "python.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells)  # as they were written, without a machine's results
    nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output["data"]["image/png"] for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 3 and len(set(pictures)) == 3
    lines = "".join(output.get("text", "") for output in outputs)
    assert "epoch 2/2" in lines and "mse  train" in lines
