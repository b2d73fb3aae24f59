"""Runs on data that have nothing to teach, or one of something: figures stay sound, and the log says why."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.given_data import blobs, dataset, give
from tests.support.processes import events
from tests.support.training import TINY, train_here
from tui_vae.cli import main
from tui_vae.cli.show import ImageSource
from tui_vae.config import make_config
from tui_vae.config.own_code import allow
from tui_vae.errors import UserError
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.summary import summarize

SIDE = 8


def trained(runs: Path, code: int = 0, **given: Any) -> RunDirectory:
    directory, _ = create_run(runs, make_config({**TINY, "name": "own", "batch-size": 32, **given}))
    assert train_here(directory) == code
    return directory


def warnings(directory: RunDirectory) -> list[str]:
    return [event.message for event in events(directory, ev.WarningEvent)]


@pytest.mark.parametrize("level", [0, 77])
@pytest.mark.parametrize("objective", ["sigma", "mse"])
def test_images_that_are_all_the_same_have_figures_and_are_said_to_be_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int, objective: str
) -> None:
    images = np.full((2000, SIDE, SIDE), level, np.uint8)
    give(monkeypatch, dataset(images, images[:50]))
    directory = trained(tmp_path, objective=objective, epochs=20, lr=2e-2)
    for epoch in events(directory, ev.EpochEvent):
        for figures in (epoch.train, epoch.test):
            assert figures.elbo_bpd is not None and figures.elbo_bpd > 0.25
            assert figures.loss is not None and math.isfinite(figures.loss)
    assert [message for message in warnings(directory) if "alike" in message] == warnings(directory)
    assert len(warnings(directory)) == 1
    assert events(directory, ev.StateEvent)[-1].state == "finished"


def one_class(count: int) -> NDArray[np.uint8]:
    return blobs(count, SIDE, SIDE, 1)


@pytest.mark.parametrize(("train", "test", "options"), [
    (65, 1, {"tc-weight": 5}), (64, 251, {"tc-weight": 5}), (1, 1, {"tc-weight": 5}), (2, 1, {}),
    (64, 1, {"norm": "batch"}), (65, 1, {"free-bits": 0.1, "model": "conv"}),
])  # fmt: skip
def test_sets_and_batches_of_one_image_train_and_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], train: int, test: int,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """The total correlation of one image is 0 in training and in evaluation; the variance over one image is 0, which
    is no collapse."""
    give(monkeypatch, dataset(one_class(train), one_class(test), classes=1))
    directory = trained(tmp_path, **options)
    if test == 1:
        assert not [message for message in warnings(directory) if "collapse" in message]
        assert summarize(directory).health == read_history(directory.events).health("finished") == ()
    last = events(directory, ev.EpochEvent)[-1]
    assert all(figures.loss is not None and math.isfinite(figures.loss) for figures in (last.train, last.test))
    source = ImageSource(directory, None)
    for request, kind in (
        (protocol.Map(), protocol.LatentMap), (protocol.TestErrors(), protocol.Errors),
        (protocol.Sample(count=3), protocol.Samples), (protocol.Reconstruct(indices=[0, 0]), protocol.Reconstructions),
    ):  # fmt: skip
        assert not isinstance(source.ask(request, kind), protocol.Failure)
    where = ["--runs-dir", str(tmp_path)]
    for what, name in (("grid", "a.png"), ("samples", "b.png"), ("reconstructions", "c.npz"), ("timelapse", "d.gif")):
        assert main(["export", "own", *where, "--what", what, "--out", str(tmp_path / name)]) == 0
    capsys.readouterr()
    assert main(["eval", "own", *where, "--iwae", "2", "--json"]) == 0
    assert math.isfinite(json.loads(capsys.readouterr().out)["iwae"]["nats"])


def test_a_step_of_one_image_is_refused_before_training_where_it_would_be_normalized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(monkeypatch, dataset(one_class(65), one_class(5)))
    directory = trained(tmp_path, code=1, norm="batch")
    assert "batch normalization needs two" in events(directory, ev.ErrorEvent)[-1].message
    assert not events(directory, ev.EpochEvent)


OWN = """
import torch
from torch import nn

class Ours(nn.Module):
    def __init__(self, shape, config):
        super().__init__()
        self.inwards = nn.Linear(shape[0] * shape[1], 2 * config.latent_dim)
        self.outwards = nn.Linear(config.latent_dim, shape[0] * shape[1])

    def encode(self, x):
        return self.inwards(x.flatten(1)).chunk(2, dim=1)

    def decode(self, z):
        return FINISH(self.outwards(z))
"""


@pytest.mark.parametrize(
    ("finish", "told"), [("torch.sigmoid", "lie in 0"), ("torch.tanh", ""), ("255 * torch.sigmoid", "…")]
)
def test_an_own_model_whose_images_are_on_another_scale_is_told_of_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finish: str, told: str
) -> None:
    module = f"scale_{finish.replace('.', '_').replace(' * ', '_')}"
    (tmp_path / f"{module}.py").write_text(OWN.replace("FINISH", finish))
    images = one_class(300)
    give(monkeypatch, dataset(images, images[:40]))
    given: dict[str, Any] = {"model": f"{module}:Ours", "model-dir": str(tmp_path), "objective": "mse", "lr": 1e-4}
    allow(make_config(given))
    directory = trained(tmp_path / "runs", **given)
    found = [message for message in warnings(directory) if "black is −1" in message]
    assert len(found) == bool(told) and all(told in message for message in found)


def test_the_frechet_distance_of_one_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[1] = 9
    give(monkeypatch, dataset(images, images[:1]))
    directory = trained(tmp_path)
    monkeypatch.setattr("tui_vae.core.evaluation.classifier.small.train", None)  # half a minute, for nothing
    with pytest.raises(UserError, match="two images at least"):
        main(["eval", "own", "--runs-dir", str(directory.path.parent), "--frechet", "--debug"])
