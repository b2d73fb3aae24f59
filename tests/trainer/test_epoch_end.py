"""The end of an epoch: evaluations that are replayed, best weights copied at once, previews written on a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.processes import events, wait_until
from tests.support.steps import IMAGES, config, into, refuse, run_again
from tests.support.training import Script, new_run, train_here
from tui_vae.core.arithmetic import set_arithmetic
from tui_vae.core.evaluation.forward import reconstruct
from tui_vae.core.evaluation.metrics import Evaluation, evaluate
from tui_vae.core.evaluation.posteriors import PosteriorStatistics
from tui_vae.core.models.build import build_model
from tui_vae.core.objectives import make_objective
from tui_vae.core.seeds import epoch_order
from tui_vae.core.step.cuda_graph import Recorder
from tui_vae.runs import events as ev
from tui_vae.runs.previews import preview_files, write_preview
from tui_vae.trainer import preview_writer, repeated_evaluation
from tui_vae.trainer.batches import EpochOrders
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.repeated_evaluation import NO_CUDA_GRAPH, RepeatedEvaluation

without_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
Found = tuple[Evaluation, PosteriorStatistics]


def assert_equal(one: Found, other: Found) -> None:
    assert one[0] == other[0]
    for mine, theirs in zip(astuple(one[1]), astuple(other[1]), strict=True):
        assert torch.equal(mine, theirs)


class Evaluated:
    """A model that learns, evaluated anew and again and again."""

    def __init__(self, device: str, record: Recorder | None = None, **more: object) -> None:
        self.notes: list[str] = []
        self.answered = self.prepared = 0
        settings = config(**more)
        self.learner = Learner(settings, build_model(settings, (28, 28)), torch.device(device))
        self.images = IMAGES.to(device)
        self.sets = [self.images[:70], self.images[20:]]
        self.objective = make_objective(settings)
        self.repeated = RepeatedEvaluation(
            self.learner.model, self.sets, self.images[3:7], self.objective, 3, self.warn, record
        )

    def warn(self, what: str, why: str) -> None:
        into(self.notes)(what, why)

    def learn(self) -> None:
        self.learner.step(self.images[:16], 1e-3, 1.0)

    def answer(self) -> None:
        self.answered += 1

    def prepare(self) -> None:
        self.prepared += 1

    def anew(self, beta: float) -> list[Found]:
        return [evaluate(self.learner.model, each, self.objective, beta, 3) for each in self.sets]


RECIPES: list[dict[str, object]] = [{}, {"tc-weight": 3.0}, {"objective": "bce"}, {"norm": "batch"}, {"model": "conv"}]
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, without_cuda])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("more", RECIPES, ids=str)
def test_a_replayed_evaluation_finds_what_evaluate_finds_of_the_newest_weights(
    device: str, more: dict[str, object]
) -> None:
    set_arithmetic(torch.get_num_threads())  # as a trainer does: cuDNN's fastest convolutions are not always the same
    recorded = []

    def record(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
        recorded.append(body)
        return run_again(body, generator)

    ours = Evaluated(device, record if device == "cpu" else None, **more)
    before: list[tuple[Found, list[Tensor]]] = []
    for epoch in range(4):
        ours.learn()
        beta = 1.0 + epoch
        found = ours.repeated(beta, ours.answer, ours.prepare)
        for mine, expected in zip(found, ours.anew(beta), strict=True):
            assert_equal(mine, expected)
        assert torch.equal(ours.repeated.reconstructed, reconstruct(ours.learner.model, ours.images[3:7]).images)
        assert ours.prepared == epoch + 1 and ours.learner.model.training
        for kept, copies in before:  # a later replay overwrites nothing that somebody may still look at
            assert all(torch.equal(*pair) for pair in zip(astuple(kept[1]), copies, strict=True))
        before += [(each, [values.clone() for values in astuple(each[1])]) for each in found]
    replayed = device == "cpu" or "model" not in more  # a GPU's own time is what counts for convolutions
    assert ours.notes == [] and ours.answered == (2 + 3 if replayed else 4 * 2)  # once each, or after each batch
    assert device != "cpu" or len(recorded) == 1


@pytest.mark.parametrize("device", DEVICES)
def test_what_cannot_be_recorded_is_launched_kernel_by_kernel_and_said_once(device: str) -> None:
    ours = Evaluated(device, refuse)
    for _ in range(3):
        ours.learn()
        for mine, expected in zip(ours.repeated(1.0, ours.answer), ours.anew(1.0), strict=True):
            assert_equal(mine, expected)
    assert ours.notes == [f"{NO_CUDA_GRAPH}: operation not permitted when stream is capturing"]
    assert ours.answered == 3 * 2


def test_large_sets_are_not_recorded_and_their_noise_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(body: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
        raise AssertionError("recorded")

    monkeypatch.setattr(repeated_evaluation, "MOST_NOISE", 100)
    ours = Evaluated("cpu", never)
    for _ in range(3):
        for mine, expected in zip(ours.repeated(1.0), ours.anew(1.0), strict=True):
            assert_equal(mine, expected)


def test_a_run_whose_evaluations_are_replayed_logs_the_same(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged = []
    for name, record in (("usual", None), ("replayed", run_again)):
        monkeypatch.setattr(
            "tui_vae.trainer.run_setup.RepeatedEvaluation",
            partial(RepeatedEvaluation, record=record),
        )
        directory = new_run(own_runs, name=name, epochs=4)
        assert train_here(directory, Script()) == 0
        found = events(directory, ev.EpochEvent)
        assert len(found) == 4
        logged.append([(each.train, each.test, each.by_class) for each in found])
    assert logged[0] == logged[1]


@pytest.mark.parametrize("device", DEVICES)
def test_the_best_weights_stay_as_they_were_while_training_goes_on(device: str) -> None:
    learner = Evaluated(device, norm="batch").learner
    weights, copied = learner.weights(), learner.copied_weights()
    assert copied.keys() == weights.keys()
    before = {name: value.clone() for name, value in weights.items()}
    learner.step(IMAGES[:16].to(device), 1e-2, 1.0)
    for name, value in before.items():
        assert torch.equal(copied[name], value) and copied[name].shape == value.shape, name
    assert not all(torch.equal(learner.weights()[name], value) for name, value in before.items())


@pytest.mark.parametrize("device", DEVICES)
def test_a_prepared_order_is_the_order_of_its_epoch(device: str) -> None:
    orders = EpochOrders(4, IMAGES.to(device), torch.device(device))
    for prepared, taken in ((None, 0), (1, 1), (5, 2), (3, 3)):
        if prepared is not None:
            orders.prepare(prepared)
        order = orders.take(taken)
        assert torch.equal(order.cpu(), epoch_order(4, taken, len(IMAGES))) and order.device.type == device


def test_training_goes_on_while_a_preview_waits_for_the_disk(own_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = new_run(own_runs, **{"epochs": 3, "checkpoint-every": 1000})

    def slow(folder: Path, epoch: int, *rest: Any) -> str:
        if epoch == 1:
            wait_until(lambda: len(events(directory, ev.EpochEvent)) == 2)
        return write_preview(folder, epoch, *rest)

    monkeypatch.setattr(preview_writer, "write_preview", slow)
    assert train_here(directory) == 0
    assert [event.epoch for event in events(directory, ev.PreviewEvent)] == [1, 2, 3]
    assert [epoch for epoch, _ in preview_files(directory.files.previews)] == [1, 2, 3]
