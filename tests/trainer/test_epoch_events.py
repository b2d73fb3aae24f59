"""`kl_per_dim`, most of a long log, is thinned; the newest epoch is whole whenever training is not under way."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from tests.support.fake_run import figures_after
from tests.support.processes import events
from tests.support.training import Script, new_run, train_here
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
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
        written = EpochEvents(log)
        for epoch in range(1, 501):
            written.write(event(epoch), epoch == 500) if thin else log.write(event(epoch))
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
