"""What a log adds up to, after crashes and resumes too."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.log_events import epoch_event, logged, run_event, step_event
from tui_vae.runs import events as ev
from tui_vae.runs.history import History, read_history
from tui_vae.runs.run_records import Ledger
from tui_vae.runs.summary import state_of, summarize


def test_after_a_crash_and_a_resume_each_step_has_its_last_value() -> None:
    history = History()
    history.extend([run_event(), *(step_event(step, 1.0) for step in range(5, 31, 5)), epoch_event(1), epoch_event(2)])
    history.extend([ev.CheckpointEvent(epoch=3, step=25, file="last.safetensors", best=False), epoch_event(3)])
    history.extend([run_event(step=12), step_event(15, 2.0), step_event(22, 2.0), epoch_event(2, 2.0)])
    assert list(history.steps["step"]) == [5, 10, 15, 22]
    assert list(history.steps["loss"]) == [1, 1, 2, 2]
    assert [(event.epoch, event.test.loss) for event in history.epochs] == [(1, 1), (2, 2)]
    assert history.checkpoint is None
    assert (history.step, history.total_steps) == (22, 100)


@given(steps=st.lists(st.integers(1, 40), max_size=60))
def test_curves_are_in_order_whatever_order_the_log_tells_them_in(steps: list[int]) -> None:
    history = History()
    last: dict[int, float] = {}
    for time_, step in enumerate(steps):
        history.apply(step_event(step, float(time_)))
        last = {known: value for known, value in last.items() if known < step} | {step: float(time_)}
    assert list(history.steps["step"]) == sorted(last)
    assert dict(zip(history.steps["step"], history.steps["loss"], strict=True)) == last
    assert len({len(history.steps[name]) for name in ("t", "epoch", "lr")}) == 1


history_events = st.one_of(
    st.builds(step_event, st.integers(1, 60), st.sampled_from([None, 1.0, 2.0])),
    st.builds(epoch_event, st.integers(1, 6), st.sampled_from([None, 1.0, 2.0, 3.0])),
    st.builds(run_event, st.integers(0, 60) | st.just(msgspec.UNSET)),
)


@given(events=st.lists(history_events, max_size=40))
def test_many_events_at_once_add_up_to_what_they_do_one_by_one(events: list[ev.AnyEvent]) -> None:
    at_once, one_by_one = History(), History()
    at_once.extend(events)
    for event in events:
        one_by_one.apply(event)
    assert at_once.epochs == one_by_one.epochs and at_once.gaps == one_by_one.gaps
    assert list(at_once.steps["step"]) == list(one_by_one.steps["step"])
    losses = [event.test.loss for event in at_once.epochs if event.test.loss is not None]
    best = next((event for event in at_once.epochs if event.test.loss == min(losses, default=None) is not None), None)
    assert at_once.best == best and one_by_one.best == best


logged_events = st.one_of(
    history_events,
    st.builds(ev.StateEvent, state=st.sampled_from(["training", "paused", "stopped", "finished", "failed"])),
)


@given(events=st.lists(logged_events, max_size=40))
def test_all_readers_of_a_log_agree_on_what_a_resume_cuts(
    tmp_path_factory: pytest.TempPathFactory, events: list[ev.AnyEvent]
) -> None:
    """The history of one run, the figures of the Runs pane and the line of `ls`, after any number of resumes."""
    directory = logged(tmp_path_factory.mktemp("runs"), *events)
    history, summary = read_history(directory.events), summarize(directory)
    facts = directory.events.stat()
    ledger = Ledger(directory, facts)
    while not ledger.is_up_to_date(facts):
        ledger.read(facts)
    record = ledger.record(0.0)

    assert [(each.epoch, each.step, each.loss) for each in record.curve] == [
        (event.epoch, event.step, event.test.loss) for event in history.epochs
    ]
    newest = history.epochs[-1] if history.epochs else None
    assert summary.epochs == record.epochs == (newest.epoch if newest else 0)
    assert summary.test_loss == (newest.test.loss if newest else None)
    assert (record.best and record.best.step) == (history.best and history.best.step)
    assert summary.state == record.state == state_of(directory, history.state)
    assert summary.planned == record.planned == (history.run.epochs if history.run else 0)
