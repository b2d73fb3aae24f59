"""How the header and the first line of `train` name the devices of a run."""

from pathlib import Path

import msgspec
import pytest

from tui_vae.cli.train_reporters import introduction
from tui_vae.runs.history import read_history
from tui_vae.ui import run_progress

LOG = Path(__file__).parents[2] / "checkpoints" / "demo" / "events.jsonl"


@pytest.mark.parametrize(
    ("device", "count", "header", "line"),
    [
        ("cuda:0", 1, "cuda:0 H200 ", "parameters on NVIDIA H200, "),
        ("cuda:0", 4, "cuda ×4 H200 ", "parameters on 4 × NVIDIA H200, "),
        ("cpu", 2, "cpu ×3 ", "parameters on 2 processes of NVIDIA H200, "),
    ],
)
def test_several_devices_are_counted(device: str, count: int, header: str, line: str) -> None:
    history = read_history(LOG)
    assert history.run is not None
    config = {**history.run.config, "devices": count}
    history.run = msgspec.structs.replace(
        history.run, device=device, device_name="NVIDIA H200", threads=3, config=config
    )
    assert run_progress.device(history).startswith(header)
    assert line in introduction(history.run)
