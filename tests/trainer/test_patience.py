"""Early stopping: a run with patience ends where the test loss falls no more, and can be trained on."""

from __future__ import annotations

from pathlib import Path

from tests.support.processes import events
from tests.support.training import LOOKS, Script, new_run, train_here
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.checkpoint_file import read_facts
from tui_vae.runs.history import read_history
from tui_vae.runs.summary import summarize
from tui_vae.runs.verify import verify_run


def test_a_run_without_progress_ends_with_the_reason_and_goes_on_when_asked(own_runs: Path) -> None:
    """In its fourth epoch β rises, and no loss after that is as low as those before."""
    directory = new_run(own_runs, epochs=40, patience=3)
    assert train_here(directory, Script(at={3 * LOOKS // 2 + 2: [protocol.Set(beta=1e4)]})) == 0
    epochs = events(directory, ev.EpochEvent)
    losses = [event.test.loss for event in epochs]
    best = min(range(len(losses)), key=lambda at: losses[at])
    assert len(epochs) - 1 - best == 3 and len(epochs) < 40
    history = read_history(directory.events)
    assert history.state is not None and history.state.state == "finished"
    assert history.state.reason == f"no lower test loss since epoch {best + 1}, and its patience is 3 epochs"
    summary = summarize(directory)
    assert (summary.epochs, summary.planned) == (len(epochs), len(epochs))
    assert train_here(directory, more_epochs=2) == 0  # as much patience as at first
    assert len(events(directory, ev.EpochEvent)) == len(epochs) + 2


def test_a_run_that_learns_does_all_its_epochs(own_runs: Path) -> None:
    directory = new_run(own_runs, epochs=4, patience=1)
    assert train_here(directory) == 0
    assert len(events(directory, ev.EpochEvent)) == 4
    state = read_history(directory.events).state
    assert state is not None and state.reason == ""


def test_best_and_patience_go_by_the_figure_that_was_asked_for(own_runs: Path) -> None:
    """Before the last evaluation β rises: the loss is high there, and the reconstructions are the best."""
    rising = {"epochs": 6, "objective": "mse", "schedule": "constant", "beta": 0.0}
    found = {}
    for figure in ("loss", "mse"):
        directory = new_run(own_runs, **{**rising, "best-by": figure})
        inbox = Script(at={3 * LOOKS - 2: [protocol.Set(beta=1e4)]})
        assert train_here(directory, inbox) == 0
        history = read_history(directory.events)
        assert history.best is not None
        values = [getattr(event.test, figure) for event in events(directory, ev.EpochEvent)]
        assert history.best.epoch == 1 + min(range(len(values)), key=values.__getitem__)
        facts = read_facts(directory.best)
        assert facts["evaluated"] == history.best.epoch and facts["best_loss"] == min(values)
        assert all(check.ok for check in verify_run(directory))
        found[figure] = history.best.epoch
    assert found["loss"] != found["mse"]
