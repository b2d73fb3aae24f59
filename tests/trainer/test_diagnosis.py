"""Diagnosis: what goes wrong is told once, with what to try; a healthy run is told nothing; nothing broken is saved."""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.log_events import metrics
from tests.support.processes import events
from tests.support.training import WILD, Killed, Script, new_run, train_here
from tui_vae.config import PRESETS, make_config
from tui_vae.core.data import datasets
from tui_vae.core.evaluation.metrics import pixel_variance
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint
from tui_vae.trainer.diagnose_epochs import SymptomReporter
from tui_vae.trainer.learner import Learner
from tui_vae.trainer.symptoms import CURED, FIRST_JUDGED_STEP, IN_A_ROW, LOST, PATIENCE, Diagnosis

DEMO = Path(__file__).parents[2] / "checkpoints" / "demo" / "events.jsonl"
VARIANCE = 0.087


def epoch(number: int, train: float | None, test: float | None, beta: float = 1.0, **figures: Any) -> ev.EpochEvent:
    return ev.EpochEvent(epoch=number, step=FIRST_JUDGED_STEP * number, seconds=1.0, images_per_s=1.0, beta=beta,
                         train=metrics(train, **figures), test=metrics(test, **figures))  # fmt: skip


def told(epochs: Iterable[ev.EpochEvent], decoded: float | None = 0.08) -> list[tuple[int, str]]:
    """At which epoch which symptom is told; the same where a diagnosis continues from what a checkpoint holds of it."""
    diagnosis, kept = Diagnosis(lambda: VARIANCE), "{}"
    found: list[tuple[int, str]] = []
    for each in epochs:
        findings = diagnosis.observe(each, lambda: decoded)
        continued = Diagnosis(lambda: VARIANCE, json.loads(kept))
        assert continued.observe(each, lambda: decoded) == findings
        kept = json.dumps(continued.state())
        found += [(each.epoch, finding.symptom) for finding in findings]
    return found


# -- Histories ---------------------------------------------------------------------------------------------------------


def test_the_demo_is_healthy() -> None:
    epochs = read_history(DEMO).epochs
    assert len(epochs) == 10
    assert told(epochs, decoded=None) == []


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=40),
    st.floats(1, 500), st.floats(-1500, 1500), st.floats(0, 0.5),
)  # fmt: skip
def test_a_loss_that_falls_with_noise_is_healthy(dice: list[float], fall: float, end: float, gap: float) -> None:
    """Of either sign and any size, with training below test by any share; the noise below 1% of the fall."""
    epochs = []
    for number, noise in enumerate(dice, start=1):
        left = fall * math.exp(-number / 6)
        test = end + left + 0.01 * fall * math.exp(-1 / 6) * (noise - 0.5) * (number > 1)
        epochs.append(epoch(number, test - gap * (fall - left), test))
    assert told(epochs) == []


def test_a_warm_up_and_a_change_of_beta_are_no_symptoms() -> None:
    warm_up = [epoch(n, 30 + 60 * min(1, n / 10) - n / 9, 31 + 60 * min(1, n / 10) - n / 10, min(1, n / 10),
                     kl=500 / n, recon=30 + 3 * n) for n in range(1, 21)]  # fmt: skip
    assert told(warm_up) == []
    healthy = [epoch(n, 90 - n, 92 - n) for n in range(1, 8)]
    dearer = [epoch(n, 400 - n, 420 - n / 2, 100, recon=220, kl=2) for n in range(8, 16)]
    freer = [epoch(n, 20 - n / 9, 22 - n / 10, 0, recon=15, kl=700) for n in range(16, 30)]
    assert told(healthy + dearer + freer) == []


def test_divergence_is_told_at_once_and_alone() -> None:
    healthy = [epoch(n, -900 - n, -890 - n) for n in range(1, 6)]
    assert told([*healthy, epoch(6, None, None, recon=None, kl=None, mse=None, active_units=0)]) == [(6, "diverging")]
    for loss in (math.nan, math.inf):  # as the trainer has it, where the log has None
        assert told([*healthy, epoch(6, loss, loss)]) == [(6, "diverging")]
    assert told([*healthy, epoch(6, 3e9, 3e9, kl=3e9)]) == [(6, "diverging")]
    assert told([*healthy, epoch(6, -500, -490, recon=140)]) == [(6, "diverging")]
    assert told([*healthy, epoch(6, -850, -840, recon=31), epoch(7, -907, -897)]) == []  # a spike


def test_collapse_is_told_once_when_it_lasts_and_again_when_it_comes_back() -> None:
    collapsed: dict[str, Any] = {"active_units": 0, "kl": 0.001, "mse": VARIANCE, "recon": 272}
    states = [collapsed] * 6 + [{}] * CURED + [collapsed] + [{}] + [collapsed] * 4
    found = told(epoch(n, 300 - n, 300 - n, **state) for n, state in enumerate(states, start=1))
    back = 6 + CURED + 1 + 1
    assert found == [(IN_A_ROW, "posterior collapse"), (back + IN_A_ROW, "posterior collapse")]


def test_few_active_dimensions_are_told_and_some_idle_ones_are_not() -> None:
    for active, expected in ((32, 0), (20, 0), (11, 0), (10, 1), (1, 1)):
        found = told(epoch(n, 300 - n, 300 - n, active_units=active) for n in range(1, 8))
        assert [symptom for _, symptom in found] == ["inactive dimensions"] * expected


def test_nothing_is_said_of_what_has_hardly_begun() -> None:
    untaught = metrics(500.0, active_units=0, mse=0.2)
    early = [
        ev.EpochEvent(epoch=n, step=n, seconds=1.0, images_per_s=1.0, beta=1.0, train=untaught, test=untaught)
        for n in range(1, FIRST_JUDGED_STEP)
    ]
    assert told(early, decoded=0.0) == []


def test_a_decoder_is_dead_where_all_its_pictures_are_the_same() -> None:
    blurred = [epoch(n, 300 - n / 9, 300 - n / 9, mse=0.15) for n in range(1, 8)]  # as a sigmoid on [-1, 1] makes them
    assert told(blurred, decoded=0.02) == []
    assert told(blurred, decoded=1e-6) == [(IN_A_ROW, "dead decoder")]

    def unasked() -> float:
        raise AssertionError("a sharp decoder costs nothing to look at")

    assert not Diagnosis(lambda: VARIANCE).observe(epoch(1, 1.0, 1.0, mse=0.02), unasked)


def test_overfitting_is_told_after_some_epochs_of_it() -> None:
    falling = [epoch(n, 100 - n, 101 - n) for n in range(1, 12)]  # from 100 to 90: 10 gained
    start, best = len(falling) + 1, 90.0
    risen = [epoch(n, 100 - n, best + 0.1 * (n - 11)) for n in range(start, start + 12)]
    ((when, symptom),) = told(falling + risen)
    assert symptom == "overfitting"
    assert when >= 11 + PATIENCE
    assert best + 0.1 * (when - 2 - 11) > best + LOST * 10  # all of the last three epochs are above that
    both = [epoch(n, 90 + n, best + 0.1 * (n - 11)) for n in range(start, start + 12)]
    assert told(falling + both) == []  # training gets worse, too: that is another illness
    level = [epoch(n, 100 - n, best + LOST * 5 * (n % 2)) for n in range(start, start + 30)]
    assert told(falling + level) == []


# -- Symptoms that come and go -----------------------------------------------------------------------------------------

COLLAPSED: dict[str, Any] = {"active_units": 0, "kl": 0.001, "mse": VARIANCE, "recon": 272}
COMES_AND_GOES = [COLLAPSED] * IN_A_ROW + [{}] * CURED


class Flapping:
    """A reporter of symptoms, epochs of a second by a clock of its own, and what the reporter has written when."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.epochs = 1e6, 0
        self.written: list[tuple[float, str]] = []
        monkeypatch.setattr("tui_vae.trainer.timers.time", SimpleNamespace(monotonic=lambda: self.now))
        directory: Any = SimpleNamespace(files=SimpleNamespace(events=path / "events.jsonl"))
        images = torch.zeros(2, 28, 28)
        images[1] = 0.4
        run: Any = SimpleNamespace(test=images, train=images, model=None)
        progress: Any = SimpleNamespace(diagnosis={}, log_size=0)
        log: Any = SimpleNamespace(write=lambda event: self.written.append((self.now, event.message)))
        directory.files.events.touch()
        self.reporter = SymptomReporter(directory, log, run, progress)

    def train(self, seconds: float, *states: dict[str, Any]) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += 1
            self.epochs += 1
            figures = states[self.epochs % len(states)]
            self.reporter.epoch_ended(epoch(self.epochs, 300.0, 300.0, **figures))


def test_a_symptom_that_comes_and_goes_for_an_hour_is_told_a_few_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Flapping(tmp_path, monkeypatch)
    run.train(3600, *COMES_AND_GOES)
    times = [at for at, _ in run.written]
    assert 4 <= len(times) <= 7
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps[0] >= 60 and all(after > 1.9 * before for before, after in pairwise(gaps))
    run.train(2 * 3600, {})
    run.train(10, *COMES_AND_GOES)
    run.train(70, *COMES_AND_GOES)
    assert len(run.written) == len(times) + 2  # after a long health it is told as soon as at first


def test_what_is_there_when_its_quiet_time_ends_or_training_stands_still_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Flapping(tmp_path, monkeypatch)
    run.train(10, *COMES_AND_GOES)
    assert len(run.written) == 1
    run.train(100, COLLAPSED)  # it comes to stay
    assert [round(at - run.written[0][0]) for at, _ in run.written] == [0, 60]
    run.train(CURED, {})
    run.train(IN_A_ROW, COLLAPSED)
    assert len(run.written) == 2
    run.reporter.before("training")
    assert len(run.written) == 2
    for _ in range(2):
        run.reporter.before("paused")
        assert len(run.written) == 3
    assert f"after epoch {run.epochs} " in run.written[-1][1]
    run.train(CURED, {})
    run.reporter.before("finished")
    assert len(run.written) == 3


# -- Real runs ---------------------------------------------------------------------------------------------------------


def warnings(directory: RunDirectory) -> list[str]:
    return [event.message.partition(":")[0] for event in events(directory, ev.WarningEvent) if event.hint
            and not event.message.startswith("training on")]  # fmt: skip


OFTEN = ("default", "seed")
"""Presets that are looked at in every run of the tests: one of each optimizer."""


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=[] if name in OFTEN else [pytest.mark.long]) for name in PRESETS]
)
def test_every_preset_is_healthy(own_runs: Path, preset: str) -> None:
    given = {"device": "cpu", "threads": 1, "precision": "float32", "preset": preset, "train-limit": 800,
             "test-limit": 200, "batch-size": 16, "epochs": 5}  # fmt: skip
    directory, _ = create_run(own_runs, make_config(given))
    assert train_here(directory) == 0
    last = events(directory, ev.EpochEvent)[-1]
    assert last.step == 250 > FIRST_JUDGED_STEP
    assert warnings(directory) == []


def forget_diagnosis(directory: RunDirectory) -> None:
    """Make the checkpoint one of an older version."""
    progress, tensors = load_checkpoint(directory.last)
    save_checkpoint(directory.last, replace(progress, diagnosis=None, log_size=0), tensors)


@pytest.mark.parametrize("older", [False, True])
def test_collapse_under_a_huge_beta_is_told_once_even_after_a_resume(own_runs: Path, older: bool) -> None:
    directory = new_run(own_runs, **{"beta": 1000, "batch-size": 20, "epochs": 11})
    assert train_here(directory) == 0
    assert warnings(directory) == ["posterior collapse"]
    if older:
        forget_diagnosis(directory)
    assert train_here(directory, more_epochs=3) == 0
    assert warnings(directory) == ["posterior collapse"]
    assert events(directory, ev.EpochEvent)[-1].epoch == 14


def test_a_run_that_ends_collapsed_is_told_so_however_short_it_was(own_runs: Path) -> None:
    directory = new_run(own_runs, **{"beta": 1e5, "batch-size": 50, "epochs": 8})
    assert train_here(directory) == 0
    assert events(directory, ev.EpochEvent)[-1].step < FIRST_JUDGED_STEP
    assert warnings(directory) == ["posterior collapse"]


def test_a_warning_that_a_crash_has_not_lost_with_its_epoch_is_not_told_again(own_runs: Path) -> None:
    """A checkpoint in epoch 9, the warning at its end, and a kill before the next checkpoint."""
    directory = new_run(own_runs, **{"beta": 1000, "batch-size": 20, "epochs": 11, "checkpoint-every": 1e6})
    looks = 500 // 20 + 2  # an epoch
    with pytest.raises(Killed):
        train_here(directory, Script({8 * looks + 3: [protocol.Checkpoint()]}, kill_at=9 * looks + 1))
    assert warnings(directory) == ["posterior collapse"]
    assert train_here(directory) == 0
    assert warnings(directory) == ["posterior collapse"]
    assert [event.epoch for event in events(directory, ev.EpochEvent)] == [*range(1, 10), 9, 10, 11]


def test_a_resume_reads_only_what_the_log_tells_since_the_checkpoint(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = new_run(own_runs, epochs=1)
    step = ev.StepEvent(epoch=1, step=1, images=1, loss=1, recon=1, kl=1, lr=1e-3, beta=1, images_per_s=1)
    directory.events.write_bytes(ev.encode_line(step) * 2000)  # as many as a long run has
    assert train_here(directory) == 0
    parse, parsed = ev.parse_lines, 0

    def count(data: bytes) -> list[ev.AnyEvent]:
        nonlocal parsed
        parsed += len(data)
        return parse(data)

    monkeypatch.setattr(ev, "parse_lines", count)
    whole = directory.events.stat().st_size
    assert train_here(directory, more_epochs=1) == 0
    assert 0 < parsed < whole / 50
    forget_diagnosis(directory)
    assert train_here(directory, more_epochs=1) == 0
    assert parsed > whole


def test_too_few_images_for_too_long_overfit(own_runs: Path) -> None:
    directory = new_run(own_runs, **{"train-limit": 40, "batch-size": 20, "hidden": "128", "latent-dim": 16,
                                     "epochs": 60, "lr": 3e-3, "schedule": "constant"})  # fmt: skip
    assert train_here(directory) == 0
    assert "overfitting" in warnings(directory)
    (message,) = [each for each in events(directory, ev.WarningEvent) if each.message.startswith("overfitting")]
    best = read_history(directory.events).best
    assert best is not None
    assert f"from epoch {best.epoch} " in message.message
    assert f"epoch {best.epoch}" in message.hint


def test_a_decoder_whose_units_are_dead_is_told_once_even_after_a_resume(own_runs: Path) -> None:
    """Rectifiers pushed far below zero get no gradient any more. The images' encodings still differ."""
    directory = new_run(
        own_runs,
        **{"batch-size": 20, "epochs": 9, "beta": 0, "activation": "relu", "norm": "none", "optimizer": "adam"},
    )
    assert train_here(directory) == 0
    assert warnings(directory) == []
    progress, tensors = load_checkpoint(directory.last)
    (bias,) = [name for name, value in tensors.items() if "decoder" in name and value.shape == (24,)]
    tensors[bias].fill_(-1e4)
    save_checkpoint(directory.last, progress, tensors)
    for _ in range(2):
        assert train_here(directory, more_epochs=3) == 0
        assert warnings(directory) == ["diverging", "dead decoder"]


def finite(path: Path) -> bool:
    return all(bool(torch.isfinite(value.float()).all()) for value in load_checkpoint(path)[1].values())


def test_a_run_that_diverges_from_the_start_ends_and_says_what_to_do(own_runs: Path) -> None:
    directory = new_run(own_runs, name="wild", epochs=9, lr=10, **WILD)
    assert train_here(directory) == 1
    state, error = events(directory, ev.StateEvent)[-1], events(directory, ev.ErrorEvent)[-1]
    assert state.state == "failed"
    assert "diverged in epoch 1" in error.message
    assert error.hint.endswith(f"tui-vae train --config {directory.config} --name=wild-2 --lr 1")
    assert not directory.last.exists()
    assert not directory.best.exists()
    assert len(events(directory, ev.EpochEvent)) == 1


def test_where_muon_diverges_both_rates_are_to_be_lower(own_runs: Path) -> None:
    directory = new_run(own_runs, name="wild", epochs=9, **{**WILD, "optimizer": "muon", "muon-lr": 10, "lr": 10})
    assert train_here(directory) == 1
    (error,) = events(directory, ev.ErrorEvent)
    assert error.hint.endswith(f"tui-vae train --config {directory.config} --name=wild-2 --lr 1 --muon-lr 1")


def test_a_run_that_diverges_later_goes_on_from_its_last_whole_checkpoint(own_runs: Path) -> None:
    directory = new_run(own_runs, name="wild", epochs=9, lr=1e-3, **WILD)
    assert train_here(directory, Script({9: [protocol.Set(lr=10)]})) == 1
    assert events(directory, ev.ErrorEvent)[-1].hint.endswith("tui-vae resume wild --lr-factor 0.1")
    broken = events(directory, ev.EpochEvent)[-1]
    assert broken.test.loss is None
    progress, _ = load_checkpoint(directory.last)
    assert 0 < progress.step < broken.step
    assert finite(directory.last)
    assert train_here(directory) == 0
    assert events(directory, ev.StateEvent)[-1].state == "finished"
    assert finite(directory.last)
    assert all(epoch.test.loss is not None for epoch in read_history(directory.events).epochs)


@pytest.mark.parametrize("request_", [protocol.Checkpoint(), protocol.Stop(), protocol.Pause()], ids=type)
def test_nothing_that_is_asked_of_broken_weights_puts_them_into_a_checkpoint(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, request_: protocol.AnyRequest
) -> None:
    directory = new_run(own_runs, **{"epochs": 4, "checkpoint-every": 0})
    step, steps = Learner.step, iter(range(1, 99))

    def broken_at_the_eighth(learner: Learner, *arguments: Any) -> None:
        step(learner, *arguments)
        if next(steps) == 8:
            next(learner.model.parameters()).data[0] = math.nan

    monkeypatch.setattr(Learner, "step", broken_at_the_eighth)
    inbox = Script({12: [request_]})  # 2 epochs with 2 evaluations each, and 2 steps
    assert train_here(directory, inbox) == 1
    (refusal,) = inbox.replies
    assert isinstance(refusal, protocol.Failure)
    assert "diverged in epoch 3" in refusal.message
    assert events(directory, ev.StateEvent)[-1].state == "failed"
    assert load_checkpoint(directory.last)[0].step == load_checkpoint(directory.best)[0].step == 6
    assert finite(directory.last) and finite(directory.best)


def test_the_variance_of_a_pixel_is_the_error_of_the_mean_picture() -> None:
    images = datasets.load(test_limit=300).test_images
    p = images.reshape(300, -1) / 255.0
    expected = ((p - p.mean(axis=0)) ** 2).mean()
    assert pixel_variance(torch.from_numpy(images)) == pytest.approx(expected, rel=1e-5)
    assert pixel_variance(torch.from_numpy(images) / 255) == pytest.approx(expected, rel=1e-5)
