"""Events as a trainer logs them, with plain figures, and a run whose log holds them."""

from pathlib import Path
from typing import Any

import msgspec

from tui_vae.config import make_config
from tui_vae.runs import events as ev
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory


def metrics(loss: float | None, **figures: Any) -> ev.Metrics:
    """The figures of an evaluation like those of a `default` run, but for those that are given."""
    usual = {"recon": 27.0, "kl": 64.0, "mse": 0.0085, "accuracy": 0.95, "elbo_bpd": 6.7, "active_units": 20}
    return ev.Metrics(**{**usual, "kl_per_dim": (2.0,) * 32, **figures, "loss": loss})


def step_event(step: int, loss: float | None = 1.0, t: float = 0.0) -> ev.StepEvent:
    return ev.StepEvent(t=t, epoch=1 + step // 10, step=step, images=step * 5, loss=loss, recon=1, kl=1, lr=1, beta=1,
                        images_per_s=1)  # fmt: skip


def epoch_event(epoch: int, loss: float | None = 1.0, step: int | None = None) -> ev.EpochEvent:
    figures = ev.Metrics(loss, 2, 3, 0.25, 0.5, 6, 7, (1.0, 2.0))
    return ev.EpochEvent(epoch=epoch, step=step or epoch * 10, seconds=1, images_per_s=1, train=figures, test=figures)


def run_event(step: int | msgspec.UnsetType = 0, epochs: int = 10) -> ev.RunEvent:
    facts = ev.DatasetFacts("fashion-mnist", "here", 50, 10)
    return ev.RunEvent(name="run", config={}, device="cpu", dataset=facts, parameters=1, versions={}, step=step,
                       epochs=epochs, steps_per_epoch=10)  # fmt: skip


def logged(runs: Path, *events: ev.AnyEvent) -> RunDirectory:
    directory, _ = create_run(runs, make_config({}))
    directory.events.write_bytes(b"".join(map(ev.encode_line, events)))
    return directory
