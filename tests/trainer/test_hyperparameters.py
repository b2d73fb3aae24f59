"""Learning rate and β, step by step: schedules, warm-up, and changes while a run trains."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.processes import events
from tests.support.training import STEPS, Script, new_run, train_here
from tui_vae.config import MAX_LR
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history

ASK = [protocol.Set()]  # changes nothing, and is answered with the values in force


def course(directory: RunDirectory, changes: Mapping[int, protocol.Set] | None = None, more_epochs: int = 0) -> Any:
    """Learning rate and β of each coming step, as the trainer tells them after each step."""
    inbox = Script({look: [(changes or {}).get(look, ASK[0])] for look in range(1, 1000)})
    assert train_here(directory, inbox, more_epochs) == 0, directory.log
    by_step = {reply.step: (reply.lr, reply.beta) for reply in inbox.replies}
    return list(by_step), *zip(*by_step.values(), strict=True)


def one_cycle(share: float) -> float:
    cosine = 0.5 * (1 + math.cos(math.pi * (share / 0.1 if share < 0.1 else (share - 0.1) / 0.9)))
    return 1 - 0.96 * cosine if share < 0.1 else 4e-6 + (1 - 4e-6) * cosine


def test_every_stretch_follows_its_schedule_and_warm_up(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=7, **{"kl-warmup": 2, "beta": 4, "lr": 1e-3})
    steps, lr, beta = course(directory)
    assert steps == list(range(1, 22))
    assert lr == pytest.approx([1e-3 * one_cycle(step / 21) for step in steps])
    assert beta == pytest.approx([4 * min(1, step / 6) for step in steps])
    assert max(lr) > 0.99e-3

    steps, lr, beta = course(directory, more_epochs=4)
    assert steps == list(range(22, 34))
    assert lr == pytest.approx([1e-3 * one_cycle((step - 21) / 12) for step in steps])
    assert set(beta) == {4}
    assert [event.epoch for event in read_history(directory.events).epochs] == list(range(1, 12))


def test_a_change_takes_effect_at_once_and_the_schedule_goes_on_from_there_scaled(own_runs: Path) -> None:
    given = {"epochs": 4, "schedule": "cosine", "kl-warmup": 3, "lr": 1e-3}
    changes = {5: protocol.Set(lr=3e-4), 7: protocol.Set(beta=2)}  # the 5th look is the first evaluation, after step 3
    directory = new_run(own_runs, **given)
    steps, lr, beta = course(directory, changes)

    def cosine(step: int) -> float:
        return 0.5e-3 * (1 + math.cos(math.pi * step / 12))

    scale = 3e-4 / cosine(3)
    assert lr == pytest.approx([cosine(step) * (scale if step >= 3 else 1) for step in steps], abs=1e-12)
    change = 5  # the step after which the 7th look came
    assert beta == pytest.approx([min(1, step / 9) * (2 / (change / 9) if step >= change else 1) for step in steps])
    controls = [(event.command, event.value, event.step) for event in events(directory, ev.ControlEvent)]
    assert controls == [("set lr", 3e-4, 3), ("set beta", 2, change)]
    before = [event.before for event in events(directory, ev.ControlEvent)]
    assert before == pytest.approx([cosine(3), change / 9])


def test_a_factor_scales_what_is_in_force_at_its_step_whatever_came_before(own_runs: Path) -> None:
    """Three requests that come at once: each scales what the one before it has left."""
    directory = new_run(own_runs, epochs=4, schedule="cosine", lr=1e-3)
    up, down = protocol.Set(lr_factor=1.25), protocol.Set(lr_factor=0.8, beta_factor=0.5)
    far_up = protocol.Set(lr_factor=1000)
    inbox = Script({2: [up, up, up, down, far_up, far_up, up, protocol.Stop()]})
    assert train_here(directory, inbox) == 0
    replies = inbox.replies[:-1]
    scheduled = 0.5e-3 * (1 + math.cos(math.pi * 2 / 12))
    factors = [1.25, 1.25**2, 1.25**3, 1.25**2, 1000 * 1.25**2]
    expected = [*(scheduled * factor for factor in factors), MAX_LR, MAX_LR]
    assert [reply.lr for reply in replies] == pytest.approx(expected)
    assert [reply.beta for reply in replies] == [1, 1, 1, 0.5, 0.5, 0.5, 0.5]
    of_lr = [event for event in events(directory, ev.ControlEvent) if event.command == "set lr"]
    assert [event.value for event in of_lr] == pytest.approx(expected[:-1])  # the last changed nothing
    assert [event.before for event in of_lr] == pytest.approx([scheduled, *expected[:-2]])


def test_a_factor_scales_what_beta_rises_to_and_nothing_lowers_zero(own_runs: Path) -> None:
    """The first step of a cycle has a β of 0, and the next one hardly more."""
    given = {"epochs": 6, "kl-cycles": 3, "kl-warmup": 2, "beta": 4}
    directory = new_run(own_runs, **given)
    down, up = protocol.Set(beta_factor=0.8), protocol.Set(beta_factor=1.25)
    second_cycle = 2 * (STEPS + 2)  # the look between the evaluations of epoch 2, where β is 0
    inbox = Script({second_cycle: [down, up, up], second_cycle + 1: [down]})
    assert train_here(directory, inbox) == 0
    first = inbox.replies[:3]
    assert [(reply.beta, reply.rising_to) for reply in first] == [(0, 3.2), (0, 4), (0, 5)]
    assert inbox.replies[3].rising_to == 4 and 0 < inbox.replies[3].beta < 1
    told = [(event.before, event.value) for event in events(directory, ev.ControlEvent)]
    assert told[:3] == [(4, 3.2), (3.2, 4), (4, 5)]  # where β is 0, it tells what β rises to

    directory = new_run(own_runs, **{**given, "beta": 0})
    inbox = Script({second_cycle: [down, up, down], second_cycle + 1: [ASK[0]]})
    assert train_here(directory, inbox) == 0
    assert [reply.rising_to for reply in inbox.replies] == pytest.approx([0, protocol.FIRST_BETA, 0.08, 0.08])
    values = [event.value for event in events(directory, ev.ControlEvent)]
    assert values == pytest.approx([protocol.FIRST_BETA, 0.08])


def test_what_is_set_to_the_value_in_force_is_no_change_and_is_not_logged(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1, schedule="constant", lr=1e-3, beta=2)
    same = [protocol.Set(lr=1e-3), protocol.Set(beta=2), protocol.Set(lr_factor=1), protocol.Set(lr=1e-3, beta=2)]
    changes = [protocol.Set(lr=3e-4), protocol.Set(lr=3e-4, beta=2)]
    inbox = Script({1: [*same, *changes]})
    assert train_here(directory, inbox) == 0
    assert [reply.lr for reply in inbox.replies] == pytest.approx([1e-3] * 4 + [3e-4] * 2)
    assert [reply.beta for reply in inbox.replies] == [2] * 6
    (control,) = events(directory, ev.ControlEvent)
    assert (control.command, control.value, control.before) == ("set lr", 3e-4, pytest.approx(1e-3))


def test_a_value_and_a_factor_for_the_same_thing_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="a value and a factor"):
        protocol.decode_request(msgspec.msgpack.encode({"type": "Set", "lr": 1e-3, "lr_factor": 1.25}))


def test_a_change_of_beta_during_its_warm_up_says_what_it_will_rise_to(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=4, **{"kl-warmup": 3})
    inbox = Script({6: [protocol.Set(beta=2)], 15: [protocol.Set(lr=1e-3)]})
    assert train_here(directory, inbox) == 0
    early, late = inbox.replies
    assert early.beta == pytest.approx(2) and early.rising_to > 3
    assert (late.beta, late.rising_to) == (early.rising_to, None)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle", "constant"])
def test_a_change_in_the_very_last_moment_does_no_harm(own_runs: Path, schedule: str) -> None:
    """The schedule has come to its end, cosine's at 0; the change is for the epochs that may follow."""
    directory = new_run(own_runs, epochs=1, schedule=schedule)
    inbox = Script({STEPS + 1: [protocol.Set(lr=1e-3)], STEPS + 2: [protocol.Set(beta=0.5)]})
    assert train_here(directory, inbox) == 0
    assert events(directory, ev.StateEvent)[-1].state == "finished"
    steps, lr, _ = course(directory, more_epochs=3)
    assert len(steps) == 9
    assert 0 < max(lr) <= 2e-3 * (1 + 1e-9)


def test_both_sides_of_an_epoch_are_evaluated_with_the_same_beta(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=1, objective="mse")
    inbox = Script({STEPS + 1: [protocol.Set(beta=100)]})  # between the evaluations of test and train
    assert train_here(directory, inbox) == 0
    (event,) = events(directory, ev.EpochEvent)
    beta_test, beta_train = ((side.loss - side.recon) / side.kl for side in (event.test, event.train))
    assert beta_test == pytest.approx(beta_train)


def test_a_run_goes_on_with_a_lower_rate_from_its_first_step(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=2, schedule="constant", lr=1e-3)
    assert train_here(directory) == 0
    assert train_here(directory, more_epochs=1, lr_factor=0.1) == 0
    history = read_history(directory.events)
    assert [epoch.lr for epoch in history.epochs] == pytest.approx([1e-3, 1e-3, 1e-4])
    (change,) = history.controls
    assert (change.command, change.step) == ("set lr", 2 * STEPS) and change.value == pytest.approx(1e-4)
