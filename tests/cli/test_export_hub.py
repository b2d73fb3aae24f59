"""A run as a folder of a model hub: what its card says is so, and its lines load the network."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.processes import SMALL, Trained, command, finish
from tui_vae import load_model, load_run
from tui_vae.cli import main
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hub(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub") / "done"
    assert main(["export", "done", "--runs-dir", trained.runs_dir, "--what", "hub", "--out", str(folder)]) == 0
    return folder


def run_the_cards_lines(folder: Path, then: str) -> str:
    """What the card's Python lines print with `then` behind them, in a process of their own in the folder."""
    (lines,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    done = subprocess.run([sys.executable, "-c", lines + then], cwd=folder, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_lines_of_the_card_load_the_network(trained: Trained, hub: Path) -> None:
    assert sorted(each.name for each in hub.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    said = run_the_cards_lines(
        hub, "import torch\nprint(model.training, model.decode(torch.ones(1, 8)).sum().item())\n"
    )
    training, total = said.split()
    meant = load_run("done", trained.runs_dir).model().decode(torch.ones(1, 8)).sum().item()
    assert training == "False" and float(total) == pytest.approx(meant, rel=1e-5)


def test_a_loaded_model_is_the_runs_and_leaves_random_numbers_alone(trained: Trained, hub: Path) -> None:
    torch.manual_seed(7)
    model = load_model(hub)
    drawn = torch.rand(3)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(3))
    for name, tensor in load_run("done", trained.runs_dir).model().state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor.cpu())


def test_no_folder_is_written_over_unasked_nor_named_like_a_file(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["export", "done", "--runs-dir", trained.runs_dir, "--what", "hub", "--out"]
    mine = tmp_path / "mine"
    mine.mkdir()
    assert main([*given, str(mine)]) == 0  # an empty one is nobody's work
    size = sum(each.stat().st_size for each in mine.iterdir())
    assert f"{mine}: hub of done, {size:,} bytes" in capsys.readouterr().out
    (mine / "README.md").write_text("hours of work")
    assert main([*given, str(mine)]) == 1 and (mine / "README.md").read_text() == "hours of work"
    assert "--force" in capsys.readouterr().err
    assert main([*given, str(mine), "--force"]) == 0 and "hours" not in (mine / "README.md").read_text()
    assert main([*given, str(tmp_path / "mine.zip")]) == 2 and not (tmp_path / "mine.zip").exists()
    assert "which is a folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main([*given, str(tmp_path / "file"), "--force"]) == 1 and "is no folder" in capsys.readouterr().err


def test_a_folder_is_written_whole_or_not_at_all(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_room(path: Path, data: bytes) -> None:
        if path.name == "model.safetensors":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path.write_bytes(data)

    monkeypatch.setattr("tui_vae.cli.export.write_atomic", no_room)
    given = ["export", "done", "--runs-dir", trained.runs_dir, "--what", "hub", "--force", "--out"]
    assert main([*given, str(tmp_path / "new")]) == 1
    assert f"cannot write {tmp_path / 'new'}: No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "README.md").write_text("of the weights that are there")
    assert main([*given, str(tmp_path / "mine")]) == 1
    assert [each.read_text() for each in tmp_path.rglob("*.*")] == ["of the weights that are there"]


def front(card: Path) -> dict[str, Any]:
    """The lines at the top of a card, by PyYAML, which the hub's own library reads them with."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    read: dict[str, Any] = yaml.safe_load(card.read_text().split("---\n")[1])
    return read


def test_the_cards_first_lines_have_the_figures_of_the_test_set(trained: Trained, hub: Path) -> None:
    lines = front(hub / "README.md")
    assert lines["library_name"] == "pytorch" and lines["datasets"] == ["zalando-datasets/fashion_mnist"]
    (entry,) = lines["model-index"]
    (result,) = entry["results"]
    last = json.loads(trained.stdout.splitlines()[-1])
    assert entry["name"] == "done" and result["dataset"]["split"] == "test"
    assert {each["type"]: each["value"] for each in result["metrics"]} == {
        name: last["test"][name] for name in ("elbo_bpd", "mse", "kl", "recon", "active_units")
    }


def test_the_figures_are_those_of_the_checkpoint(own_runs: Path, tmp_path: Path) -> None:
    given = ("--name", "kept", *SMALL, "--epochs", "3", "--keep", "every:1", "--train-limit", "500", "--json")
    code, out, err = finish(command("train", *given))
    assert code == 0, err
    second = json.loads(out.splitlines()[1])
    assert main(["export", "kept", "--what", "hub", "--checkpoint", "2", "--out", str(tmp_path / "hub")]) == 0
    card = (tmp_path / "hub" / "README.md").read_text()
    assert "## Figures after epoch 2" in card and f"{second['test']['mse']:.4g} |" in card
    assert json.loads((tmp_path / "hub" / "config.json").read_text())["epoch"] == 2


@pytest.mark.skipif(not find_spec("huggingface_hub"), reason="needs huggingface_hub")
def test_the_hubs_own_library_reads_the_card(hub: Path) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard.load(hub / "README.md").data
    assert data.pipeline_tag == "unconditional-image-generation" and data.model_name == "done"
    assert data.eval_results is not None and [each.metric_type for each in data.eval_results][:2] == ["elbo_bpd", "mse"]
    assert all(each.dataset_type == "zalando-datasets/fashion_mnist" for each in data.eval_results)


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("config.json", "{", "does not describe a network of tui-vae"),
        ("config.json", '{"shape": [1, 0, 28], "config": {}}', "does not describe a network of tui-vae"),
        ("config.json", '{"shape": [1, 28, 28], "config": {"model": "evil:Class"}}', "its author's own class"),
        ("config.json", '{"shape": [1, 28, 28], "config": {"latent-dim": "many"}}', "config.json: latent-dim"),
        ("config.json", '{"shape": [1, 28, 28], "config": {"latent-dim": 3}}', "does not fit the network"),
        (
            "config.json",
            '{"shape": [1, 28, 28], "config": [["latent-dim", 8]]}',
            "does not describe a network of tui-vae",
        ),
        ("config.json", "[" * 100_000, "does not describe a network of tui-vae"),
        ("config.json", '{"shape": [1, 1000000, 1000000], "config": {}}', "does not fit the network"),  # 2 PB
        ("config.json", f'{{"shape": [1, {10**30}, 1], "config": {{}}}}', "does not fit the network"),
        ("config.json", '{"shape": [3, 30000, 30000], "config": {"model": "conv"}}', "does not fit the network"),
        ("config.json", None, "cannot read"),
        ("model.safetensors", "no tensors", "is no whole safetensors file"),
        ("model.safetensors", None, "cannot read"),
    ],
)
def test_a_folder_that_is_no_model_is_one_sentence(
    hub: Path, tmp_path: Path, file: str, content: str | None, says: str
) -> None:
    for each in hub.iterdir():
        (tmp_path / each.name).write_bytes(each.read_bytes())
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(UserError) as told:
        load_model(tmp_path)
    assert says in str(told.value) and "\n" not in str(told.value)


OWN = """\
from torch import nn

class Mine(nn.Module):
    def __init__(self, shape, config):
        super().__init__()
        self.inner, self.outer = nn.Linear(784, 2 * config.latent_dim), nn.Linear(config.latent_dim, 784)

    def encode(self, x):
        mu, logvar = self.inner(x.flatten(1)).chunk(2, 1)
        return mu, logvar

    def decode(self, z):
        return self.outer(z).tanh()
"""


@pytest.mark.slow
def test_the_card_of_an_own_network_loads_its_class(own_runs: Path, tmp_path: Path) -> None:
    (tmp_path / "mine_vae.py").write_text(OWN)
    small = [*SMALL, "--epochs", "1", "--train-limit", "500"]
    made = finish(command("train", "--name", "own", "--model", "mine_vae:Mine", *small, cwd=tmp_path))
    assert made[0] == 0, made[2]
    told = finish(command("export", "own", "--what", "hub", "--out", tmp_path / "hub", cwd=tmp_path))
    assert told[0] == 0, told[2]
    (tmp_path / "hub" / "mine_vae.py").write_text(OWN)
    text = (tmp_path / "hub" / "config.json").read_text()
    assert str(tmp_path) not in text and "mine_vae:Mine" in text
    then = "import torch\nprint(*model.decode(torch.ones(1, 8)).flatten()[:5].tolist())\n"
    found = [float(each) for each in run_the_cards_lines(tmp_path / "hub", then).split()]
    run = load_run("own", RunDirectory(own_runs / "own").path.parent, trust=True)
    np.testing.assert_allclose(found, run.model().decode(torch.ones(1, 8))[0, :5].tolist(), rtol=1e-4)
    with pytest.raises(UserError):
        load_model(tmp_path / "hub")
