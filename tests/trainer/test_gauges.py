"""Gradient norms and the machine's load in the log: right, rare, and without any trace in the weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.processes import events
from tests.support.training import TINY, new_run, same, train_here
from tui_vae.config import make_config
from tui_vae.core.models.build import build_model
from tui_vae.runs import events as ev
from tui_vae.runs.history import read_history
from tui_vae.trainer import gauges
from tui_vae.trainer.checkpoints import load_checkpoint
from tui_vae.trainer.learner import Learner
from tui_vae.ui.train.figures import FIGURES
from tui_vae.ui.train.run_curves import RunCurves


def test_gauges_are_logged_and_change_nothing(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = new_run(own_runs)
    assert train_here(plain) == 0
    monkeypatch.setattr(gauges, "EVERY", 0.0)
    monkeypatch.setattr("tui_vae.trainer.step_events.STEP_EVENTS_A_SECOND", 1e9)
    measured = new_run(own_runs)
    assert train_here(measured) == 0
    found = events(measured, ev.GaugeEvent)
    assert [each.step for each in found] == list(range(1, 7))
    for each in found:
        assert each.encoder_gradient > 0 and each.decoder_gradient > 0 and each.memory > 1e7
        assert each.gpu is None
    assert same(load_checkpoint(plain.last)[1], load_checkpoint(measured.last)[1])
    history = read_history(measured.events)
    wanted = [figure for figure in FIGURES if figure.name in ("decoder_gradient", "memory")]
    curves = RunCurves(wanted)
    curves.read(history)
    for figure, value in zip(wanted, (found[-1].decoder_gradient, found[-1].memory / 2**30), strict=True):
        steps = curves[figure].steps
        assert steps is not None
        read = steps.at(6.0)
        assert read is not None and read.raw == pytest.approx(value)


@pytest.mark.parametrize("objective", ["mse", "bce"])  # compiled, and by autograd
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_norms_are_those_of_autograd(objective: str, precision: str) -> None:
    config = make_config({**TINY, "objective": objective, "precision": precision, "optimizer": "adam"})
    torch.manual_seed(0)
    model = build_model(config, (1, 28, 28))
    learner = Learner(config, model, torch.device("cpu"))
    learner.step(torch.randint(0, 256, (64, 28, 28), dtype=torch.uint8), 1e-3, 1.0)
    encoder, decoder = learner.gradient_norms()
    assert encoder is not None and decoder is not None and encoder > 0 and decoder > 0
    expected = [
        torch.cat([part.grad.flatten() for name, part in model.named_parameters() if name.startswith(half)
                   and part.grad is not None]).norm()
        for half in ("encoder", "decoder")
    ]  # fmt: skip
    if precision == "float32":
        assert [encoder, decoder] == pytest.approx([float(each) for each in expected], rel=1e-4)


def test_the_first_step_is_told_at_once(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_vae.trainer.step_events.STEP_EVENTS_A_SECOND", 1e-9)
    directory = new_run(own_runs)
    assert train_here(directory) == 0
    assert [event.step for event in events(directory, ev.StepEvent)] == [1]
