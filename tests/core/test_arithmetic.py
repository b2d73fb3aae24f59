"""What a run records as float32 is computed in float32, whatever a user's own model tells PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.processes import command, events, finish
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import EpochEvent

MODEL = dedent(
    """
    import json
    import torch
    from torch import nn

    {lines}

    class Ours(nn.Module):
        def __init__(self, shape, config):
            super().__init__()
            {lines_inside}
            self.inwards = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.Flatten(), nn.Linear(4 * 13 * 13, 8))
            self.outwards = nn.Linear(4, 28 * 28)

        def encode(self, x):
            if self.training:
                switches = dict(
                    threads=torch.get_num_threads(), products=torch.get_float32_matmul_precision(),
                    convolutions_tf32=torch.backends.cudnn.allow_tf32, dtype=str(torch.get_default_dtype()),
                    deterministic=torch.backends.cudnn.deterministic, conv=torch.backends.mkldnn.conv.fp32_precision
                    if hasattr(torch.backends, "fp32_precision") else "ieee",
                )
                with open({place!r}, "w") as file:
                    json.dump(switches, file)
            return self.inwards(x).chunk(2, dim=1)

        def decode(self, z):
            return torch.tanh(self.outwards(z)).view(-1, 1, 28, 28)
    """
)
LINES = """
torch.set_float32_matmul_precision("medium")
torch.backends.cudnn.allow_tf32 = True
torch.backends.cudnn.benchmark = True
torch.set_num_threads(3)
torch.set_default_dtype(torch.float64)
if hasattr(torch.backends, "fp32_precision"):
    torch.backends.fp32_precision = "tf32"
    torch.backends.mkldnn.conv.fp32_precision = "bf16"
"""


def last_epoch(runs: Path, folder: Path, lines: str, inside: str = "pass") -> tuple[EpochEvent, dict[str, object]]:
    folder.mkdir()
    (folder / "ours.py").write_text(MODEL.format(lines=lines, lines_inside=inside, place=str(folder / "switches.json")))
    options = ("--device", "cpu", "--threads", 1, "--precision", "float32", "--train-limit", 300, "--test-limit", 100,
               "--batch-size", 100, "--latent-dim", 4, "--epochs", 1)  # fmt: skip
    code, out, err = finish(command("train", "--model", "ours:Ours", "--name", folder.name, *options, cwd=folder))
    assert code == 0, out + err
    return events(RunDirectory(runs / folder.name), EpochEvent)[-1], json.loads((folder / "switches.json").read_text())


@pytest.mark.parametrize("where", ["in the module", "in the constructor"])
def test_a_model_that_lowers_the_precision_gets_the_recorded_one(own_runs: Path, tmp_path: Path, where: str) -> None:
    plain, switches = last_epoch(own_runs, tmp_path / "plain", "")
    assert switches == {
        "threads": 1, "products": "highest", "convolutions_tf32": False, "dtype": "torch.float32",
        "deterministic": True, "conv": "ieee",
    }  # fmt: skip
    constructor = 'torch.set_float32_matmul_precision("medium"); torch.backends.cudnn.allow_tf32 = True'
    lines = (LINES, "pass") if where == "in the module" else ("", constructor)
    lowered, switches_then = last_epoch(own_runs, tmp_path / "lowered", *lines)
    assert switches_then == switches
    assert lowered.test == plain.test
