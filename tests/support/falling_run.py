"""The log of a whole run whose curves fall, event by event. `log_events` has single events of plain figures."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tests.support.log_events import metrics
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory

START = 1_000_000.0
"""The time of the first event, in seconds since the epoch."""

STEPS_AN_EPOCH = 40


def run_event(epochs: int = 10, step: int = 0) -> ev.RunEvent:
    return ev.RunEvent(
        t=START, name="demo", config={}, device="cpu", threads=2, precision="float32", parameters=1, versions={},
        dataset=ev.DatasetFacts("fashion-mnist", "sample", 60_000, 10_000), epochs=epochs,
        steps_per_epoch=STEPS_AN_EPOCH, step=step,
    )  # fmt: skip


def step_event(step: int, seconds: float, value: float | None = None) -> ev.StepEvent:
    recon = 20 + 80 * math.exp(-step / 60) if value is None else value
    return ev.StepEvent(
        t=START + seconds, epoch=(step - 1) // STEPS_AN_EPOCH + 1, step=step, images=step * 256, loss=recon - 100,
        recon=recon, kl=30.0 + step / 100, lr=2e-3, beta=1.0, images_per_s=26_400.0,
    )  # fmt: skip


def epoch_event(epoch: int) -> ev.EpochEvent:
    train, test = (
        metrics(loss, recon=loss + 127.1, kl=61.2, mse=0.0091, accuracy=0.953, elbo_bpd=6.74, active_units=28)
        for loss in (-101.0, -100.0 + 1 / epoch)
    )
    return ev.EpochEvent(
        t=START + epoch * 4, epoch=epoch, step=epoch * STEPS_AN_EPOCH, seconds=4.0, images_per_s=26_400.0,
        train=train, test=test,
    )  # fmt: skip


def trained(epochs: int, state: ev.RunState | None = None) -> Iterator[ev.AnyEvent]:
    """The events of a run that has trained so many of ten epochs and then ended in this state."""
    yield run_event()
    yield ev.StateEvent(t=START, state="loading", reason="importing PyTorch")
    yield ev.StateEvent(t=START, state="training")
    for step in range(1, epochs * STEPS_AN_EPOCH + 1):
        yield step_event(step, step / 10)
        if step == 60:
            yield ev.ControlEvent(t=START + 6, command="set beta", value=2.0, epoch=2, step=60)
        if step % STEPS_AN_EPOCH == 0:
            yield epoch_event(step // STEPS_AN_EPOCH)
    if state is not None:
        yield ev.StateEvent(t=START + epochs * 4, state=state)


def write(run: RunDirectory, events: Iterator[ev.AnyEvent] | list[ev.AnyEvent]) -> None:
    log = ev.EventLog(run.events)
    for event in events:
        log.write(event)
    log.close()
