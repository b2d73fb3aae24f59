"""The event log: written, torn, followed."""

import json
import math
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.log_events import epoch_event, step_event
from tui_vae.runs import events as ev
from tui_vae.runs.foreign_text import cleaned
from tui_vae.runs.history import read_history

numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, ev.LARGEST)
times = st.floats(0, 2e9)
metrics = st.builds(ev.Metrics, numbers, numbers, numbers, numbers, numbers, numbers, counts,
                    st.lists(numbers, max_size=3).map(tuple))  # fmt: skip
some_event = st.one_of(
    st.builds(ev.StateEvent, t=times, state=st.sampled_from(["loading", "training", "paused"]), reason=st.text()),
    st.builds(ev.StepEvent, t=times, epoch=counts, step=counts, images=counts, loss=numbers, recon=numbers, kl=numbers,
              lr=numbers, beta=numbers, images_per_s=numbers),
    st.builds(ev.EpochEvent, t=times, epoch=counts, step=counts, seconds=times, images_per_s=numbers, train=metrics,
              test=metrics),
    st.builds(ev.ControlEvent, t=times, command=st.text(), value=numbers, epoch=counts, step=counts),
    st.builds(ev.WarningEvent, t=times, message=st.text(), hint=st.text()),
)  # fmt: skip
noise = st.sampled_from([
    b"", b"\n", b'{"kind":"thought","t":1}\n', b'{"kind":"step","t":17', b"\xff\xfe\n", b'{"kind":"state"}\n', b"[]\n",
    b"null\n", b'{"kind":"state","t":1,"state":"dancing"}\n', b"\0\0\0\0\n", b'{"kind":7}\n',
])  # fmt: skip


@given(written=st.lists(st.tuples(some_event, noise), max_size=8), cuts=st.lists(st.integers(0, 4000), max_size=30))
@settings(max_examples=80)
def test_a_follower_gets_every_event_once_however_the_log_is_torn(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[Any, bytes]], cuts: list[int]
) -> None:
    """Written in arbitrary pieces, with lines of other versions and of crashes in between; nothing raises."""
    data = b"".join(
        ev.encode_line(event) + (junk if junk.endswith(b"\n") or not junk else junk + b"\n") for event, junk in written
    )
    path = tmp_path_factory.getbasetemp() / "pieces.jsonl"
    path.unlink(missing_ok=True)
    tail, seen = ev.LogTail(path), []
    seen += tail.read_all()
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        with path.open("ab") as log:
            log.write(data[start:end])
        seen += tail.read_all()
    assert seen == [cleaned(event) for event, _ in written]
    assert tail.read_all() == []


def test_a_log_is_followed_byte_by_byte_and_in_small_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.jsonl"
    tail, count = ev.LogTail(path), []
    line = ev.encode_line(ev.StateEvent(t=1, state="training"))
    for byte in line * 2:
        with path.open("ab") as log:
            log.write(bytes([byte]))
        count.append(len(tail.read()))
    assert [at + 1 for at, new in enumerate(count) if new] == [len(line), 2 * len(line)]
    monkeypatch.setattr(ev.LogTail, "CHUNK", 7)
    again = ev.LogTail(path)
    assert again.read() == []
    assert len(again.read_all()) == 2


def test_a_line_without_an_end_is_kept_once_however_long_it_grows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another copy of it with every chunk would take a time that grows with the square of its length."""
    monkeypatch.setattr(ev.LogTail, "CHUNK", 4096)
    path, chunks = tmp_path / "events.jsonl", 300
    reason = "x" * chunks * ev.LogTail.CHUNK
    path.write_bytes(ev.encode_line(ev.StateEvent(t=1, state="paused", reason=reason)))
    tail, needed = ev.LogTail(path), []
    tracemalloc.start()
    try:
        for _ in range(chunks):
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            assert tail.read() == []
            needed.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert max(needed) < 32 * ev.LogTail.CHUNK
    assert tail.end_of_line == 0
    assert [event.reason for event in tail.read_all() if isinstance(event, ev.StateEvent)] == [reason]
    assert tail.end_of_line == path.stat().st_size


def test_unknown_fields_are_skipped_and_each_event_has_kind_and_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    before = time.time()
    log = ev.EventLog(path)
    log.write(ev.CheckpointEvent(epoch=1, step=2, file="last.safetensors", best=False))
    written = json.loads(path.read_text())
    assert written.pop("t") >= before
    assert written == {"kind": "checkpoint", "epoch": 1, "step": 2, "file": "last.safetensors", "best": False}
    path.write_text(json.dumps({**written, "t": 3.5, "mood": {"good": [1]}}) + "\n")
    assert ev.LogTail(path).read_all() == [
        ev.CheckpointEvent(t=3.5, epoch=1, step=2, file="last.safetensors", best=False)
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null_in_the_log_and_nan_in_the_curves(tmp_path: Path, value: float) -> None:
    path = tmp_path / "events.jsonl"
    log = ev.EventLog(path)
    log.write(step_event(5, loss=value))
    log.write(epoch_event(1, loss=value))
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["loss"] is second["test"]["loss"] is None
    history = read_history(path)
    assert math.isnan(history.steps["loss"][0])
    assert history.epochs[0].test.loss is None
    assert history.best is None


def test_a_line_without_an_end_is_skipped_in_bounded_memory(tmp_path: Path) -> None:
    """A sparse file of 300 MB in one line, and events before and after it."""
    path = tmp_path / "events.jsonl"
    before, after = (ev.StateEvent(t=t, state="training") for t in (1.0, 2.0))
    path.write_bytes(ev.encode_line(before))
    with path.open("r+b") as log:
        start = log.seek(0, 2)
        log.truncate(start + (300 << 20))
    tail = ev.LogTail(path)
    tracemalloc.start()
    try:
        assert tail.read_all() == [before] and tail.end_of_line == start
        with path.open("ab") as log:
            log.write(b"\n" + ev.encode_line(after))
        assert tail.read_all() == [after]
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert tail.end_of_line == path.stat().st_size
