"""`bench` says when others keep the machine busy."""

import time
from collections import namedtuple
from types import SimpleNamespace

import psutil
import pytest

from tui_vae.cli import busy

Times = namedtuple("Times", "user nice system idle iowait irq softirq steal guest guest_nice")


def test_work_of_others_is_what_ours_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = {"clock": 100.0, "busy": 50.0, "own": 10.0}
    monkeypatch.setattr(time, "monotonic", lambda: now["clock"])
    monkeypatch.setattr(busy, "busy_seconds", lambda: now["busy"])
    child = SimpleNamespace(cpu_times=lambda: SimpleNamespace(user=now["own"], system=1.0), children=lambda **_: [])
    monkeypatch.setattr(busy, "psutil", SimpleNamespace(Process=lambda pid: child, Error=psutil.Error))
    others = busy.OtherWork([1])
    now.update(clock=110.0, busy=66.0, own=20.0)  # of 16 core seconds in 10 s, ten were ours
    assert others.cores() == pytest.approx(0.6)
    now.update(busy=60.0)
    assert others.cores() == 0


def test_only_cores_that_may_be_used_count_and_waiting_is_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    core = Times(5.0, 1.0, 2.0, 100.0, 7.0, 0.5, 0.5, 1.0, 2.0, 0.0)
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: [core, core, core])
    monkeypatch.setattr(busy, "usable_core_numbers", lambda: frozenset({0, 2}))
    assert busy.busy_seconds() == pytest.approx(2 * (5 + 1 + 2 + 0.5 + 0.5 + 1))


def test_what_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy, "usable_core_numbers", lambda: frozenset({0, 1}))
    assert busy.busy_words(0.1, None) == "" and busy.busy_words(0.1, 2.0) == ""
    assert busy.busy_words(1.4, None).startswith("this machine is busy: others used 1.4 of 2 cores, so")
    assert "the GPU for 83 % of the time" in busy.busy_words(0.0, 83.0)
    assert busy.others_on_gpu("cpu", 1) is None
