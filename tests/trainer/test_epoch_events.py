"""`kl_per_dim`, most of a long log, is thinned; the newest epoch is whole whenever training is not under way."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from msgspec import UNSET

from tests.support.fake_run import figures_after
from tests.support.processes import events
from tests.support.training import Script, new_run, train_here
from tui_vae.runs import epoch_details, protocol
from tui_vae.runs import events as ev
from tui_vae.runs.epoch_details import EpochDetails
from tui_vae.runs.history import read_history
from tui_vae.trainer import epoch_events
from tui_vae.trainer.epoch_events import EpochEvents, without_kl_per_dim


def event(epoch: int) -> ev.EpochEvent:
    kl = tuple(math.sqrt(2 + dimension) for dimension in range(32))
    found = msgspec.structs.replace(figures_after(epoch / 100), kl_per_dim=kl)
    return ev.EpochEvent(epoch=epoch, step=epoch, seconds=0.01, images_per_s=1e5, train=found, test=found)


def whole(path: Path) -> list[int]:
    return [each.epoch for each in ev.LogTail(path).read_all() if isinstance(each, ev.EpochEvent) and is_whole(each)]


def is_whole(each: ev.EpochEvent) -> bool:
    return bool(each.train.kl_per_dim) and bool(each.test.kl_per_dim)


def test_a_long_log_is_a_third_and_its_figures_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch_events, "ALL_WHOLE", 10)
    for name, thin in (("old", False), ("new", True)):
        log = ev.EventLog(tmp_path / name)
        written = EpochEvents(log, cast(Any, SimpleNamespace(test_labels=None, classes=())))
        for epoch in range(1, 501):
            written.write(event(epoch), cast(Any, None), epoch == 500) if thin else log.write(event(epoch))
    old, new = (tmp_path / name for name in ("old", "new"))
    assert whole(new) == [*range(1, 11), *([11] if 11 in whole(new) else []), 500]
    assert new.stat().st_size < 0.35 * old.stat().st_size
    times = [msgspec.structs.replace(each, t=0.0) for each in read_history(new).epochs]
    assert times == [msgspec.structs.replace(each, t=0.0) for each in read_history(old).epochs]


@pytest.mark.parametrize(
    ("request_", "state"), [(protocol.Stop(), "stopped"), (protocol.Pause(), "paused")], ids=["stop", "pause"]
)
def test_the_newest_epoch_of_a_run_that_does_not_train_is_whole(
    own_runs: Path, monkeypatch: pytest.MonkeyPatch, request_: protocol.AnyRequest, state: str
) -> None:
    monkeypatch.setattr(epoch_events, "ALL_WHOLE", 0)
    directory = new_run(own_runs, epochs=6)
    paused = [protocol.Stop()] if state == "paused" else []
    assert train_here(directory, Script({19: [request_]}, paused)) == 0
    logged = events(directory, ev.EpochEvent)
    assert not is_whole(logged[-2]) and is_whole(logged[-1])
    assert logged[-1].epoch == logged[-2].epoch == 3
    assert without_kl_per_dim(msgspec.structs.replace(logged[-1], t=0.0)) == msgspec.structs.replace(logged[-2], t=0.0)
    assert [each.epoch for each in read_history(directory.events).epochs] == [1, 2, 3]
    assert train_here(directory) == 0
    logged = events(directory, ev.EpochEvent)
    assert logged[-1].epoch == 6 and is_whole(logged[-1])


def test_what_is_logged_of_each_class_follows_from_the_images(own_runs: Path) -> None:
    directory, inbox = new_run(own_runs), Script({8: [protocol.TestErrors()]})
    assert train_here(directory, inbox) == 0
    first, last = events(directory, ev.EpochEvent)
    [errors] = inbox.replies
    labels, mse = np.frombuffer(errors.labels, np.uint8), np.frombuffer(errors.mse, "<f4").astype(float)
    assert errors.epoch == 1 and first.by_class is not UNSET and last.by_class is not UNSET
    expected = [mse[labels == label].mean() if (labels == label).any() else None for label in range(10)]
    assert first.by_class.mse == pytest.approx(expected, rel=1e-5)
    counts = np.bincount(labels, minlength=10)
    kl = np.array([value or 0.0 for value in first.by_class.kl])
    assert (kl * counts).sum() / counts.sum() == pytest.approx(first.test.kl, rel=1e-5)
    details = EpochDetails(directory.events)
    while details.read():
        pass
    assert [each.epoch for each in details.details] == [1, 2]
    assert list(details.details[0].class_kl) == pytest.approx(kl, rel=1e-6)
    assert list(details.details[1].kl_per_dim) == pytest.approx(last.test.kl_per_dim, rel=1e-6)


def test_of_many_epochs_the_details_are_thinned_and_void_ones_are_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(epoch_details, "MOST", 50)
    log = ev.EventLog(tmp_path / "log")
    for epoch in range(1, 302):
        log.write(event(epoch))
    details = EpochDetails(tmp_path / "log")
    details.read()
    assert [each.epoch for each in details.details] == list(range(8, 302, 8))
    facts = ev.DatasetFacts("fashion-mnist", "here", 60, 10)
    log.write(ev.RunEvent(name="a", config={}, device="cpu", dataset=facts, parameters=1, versions={}, step=100))
    log.write(event(101))
    log.write(event(104))
    details.read()
    assert [each.epoch for each in details.details] == [*range(8, 101, 8), 104]
