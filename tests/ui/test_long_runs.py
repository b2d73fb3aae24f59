"""A run of very many steps: its newest figures come first, all of it soon after, and no chart loses any of it."""

import asyncio
import os
import random
import signal
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from tests.support.fake_run import FakeProcess, make_run
from tests.support.piloting import in_event_loop, seen, until
from tui_vae.runs import events as ev
from tui_vae.runs import log_loader
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import History, read_history
from tui_vae.runs.log_loader import LogLoader
from tui_vae.ui.app import TuiVae
from tui_vae.ui.charts import bands, raster
from tui_vae.ui.charts.curves import Column
from tui_vae.ui.run_progress import epoch_now
from tui_vae.ui.session import RunSession
from tui_vae.ui.train.figures import MEASURES
from tui_vae.ui.train.pane import TrainPane
from tui_vae.ui.train.run_curves import RunCurves

STEPS = 14_000
"""As many as make a log of which the ends are read first."""


def step(number: int) -> ev.StepEvent:
    value = 500.0 if number == 7_001 else 30.0 + number % 7
    return ev.StepEvent(
        t=1e9 + number / 10, epoch=number // 235 + 1, step=number, images=number * 256, loss=value - 100.2,
        recon=value, kl=60.123456789, lr=0.00123456789, beta=1.0, images_per_s=26_000.123456789,
    )  # fmt: skip


@pytest.fixture
def long_run(tmp_path: Path) -> RunDirectory:
    run = make_run(tmp_path, "long", epochs=1, planned=100, state="training")
    with run.events.open("ab") as log:
        log.write(b"".join(ev.encode_line(step(number)) for number in range(236, STEPS + 1)))
    return run


@in_event_loop
async def test_the_ends_of_a_long_log_are_told_before_the_whole(long_run: RunDirectory) -> None:
    told: list[tuple[str, bool, int, int]] = []
    with FakeProcess(long_run, "train") as process:
        session = RunSession(long_run)

        def look() -> None:
            session.drawn.set()
            history = session.history
            told.append((session.state, session.partial, history.step, len(history.steps)))

        following = asyncio.create_task(session.follow(look))
        while not session.caught_up:
            await asyncio.sleep(0.01)
        process.log(step(STEPS + 1))
        while session.history.step == STEPS:
            await asyncio.sleep(0.01)
        following.cancel()
    state, partial, newest, known = told[0]
    assert (state, partial, newest) == ("training", True, STEPS) and known < STEPS / 3
    whole, afresh = session.history, read_history(long_run.events)
    assert not session.partial
    assert whole.steps.columns == afresh.steps.columns and whole.epochs == afresh.epochs
    assert whole.run == afresh.run and whole.steps["step"][-1] == STEPS + 1


@pytest.mark.parametrize("parts", [1, 3])
def test_reading_ahead_tells_the_same_in_pieces(
    long_run: RunDirectory, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a resume that tells a past anew, a number that is none, a torn line; what comes later is left for later."""
    first = read_history(long_run.events).run
    assert first is not None
    told: list[ev.AnyEvent] = [msgspec.structs.replace(first, step=STEPS - 500)]
    told += [msgspec.structs.replace(step(number), kl=None) for number in range(STEPS - 499, STEPS + 10)]
    with long_run.events.open("ab") as log:
        log.write(b"".join(map(ev.encode_line, told)) + b'{"kind":"step","t":1.0,"ep\n')
        log.write(b"".join(ev.encode_line(step(number)) for number in range(STEPS + 10, STEPS + 70_000)) + b'{"ki')
    monkeypatch.setattr(log_loader, "LONG_PART", long_run.events.stat().st_size // parts)
    monkeypatch.setattr(log_loader, "usable_core_numbers", lambda: range(parts))
    assert len(log_loader.part_starts(long_run.events)) == parts
    reading, history, pieces = LogLoader(long_run.events), History(), 0
    while batches := reading.next_batches():
        pieces += 1
        for batch in batches:
            history.apply_batch(batch)
    reading.close()
    afresh = read_history(long_run.events)
    assert pieces > 1 and reading.end == long_run.events.stat().st_size - len('{"ki')
    assert history.gaps == afresh.gaps
    for name, column in history.steps.columns.items():
        assert column.tobytes() == afresh.steps[name].tobytes(), name
    assert (history.run, history.state, history.epochs) == (afresh.run, afresh.state, afresh.epochs)


@in_event_loop
async def test_a_reader_that_dies_is_done_without(long_run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is what another reader tells of a later part taken, before what lies between is known."""
    monkeypatch.setattr(log_loader, "LONG_PART", long_run.events.stat().st_size // 2)
    monkeypatch.setattr(log_loader, "usable_core_numbers", lambda: range(2))
    reading = LogLoader(long_run.events)
    os.kill(reading._parts[0].process.pid, signal.SIGKILL)
    session = RunSession(long_run, reading)
    session.drawn.set()
    following = asyncio.create_task(session.follow(lambda: None))
    while not session.caught_up:
        await asyncio.sleep(0.01)
    following.cancel()
    assert session.history.steps.columns == read_history(long_run.events).steps.columns


@in_event_loop
async def test_a_long_run_that_died_is_known_for_it_at_once(long_run: RunDirectory) -> None:
    session = RunSession(long_run)
    following = asyncio.create_task(session.follow(lambda: None))
    while not session.partial:
        await asyncio.sleep(0.001)
    assert session.state == "crashed"
    following.cancel()


@in_event_loop
async def test_its_charts_hold_all_of_it(long_run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_vae.ui.train.pane.MOST_STEPS", 1000)  # so that it takes many a piece
    app = TuiVae(long_run.path.parent, long_run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: bool(app.screen.query(TrainPane)))
        pane = app.screen.query_one(TrainPane)
        recon = next(measure for measure in MEASURES if measure.name == "recon")
        await until(pilot, lambda: app.session is not None and app.session.caught_up)
        known = len(read_history(long_run.events).steps)
        await until(pilot, lambda: len(pane.curves._sources) > 0 and pane.curves._steps_read == known)
        steps = pane.curves[recon].steps
        assert steps is not None
        read = steps.at(7_001)
        assert read is not None and read.raw == 500.0
        await seen(app, pilot, "↑500")


@in_event_loop
async def test_the_status_line_tells_what_only_the_middle_of_a_long_log_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_vae.ui.status_line.REDRAW_SECONDS", 1e9)  # so that figures alone redraw nothing
    run = make_run(tmp_path, "resumed", epochs=1, planned=100)
    first = read_history(run.events).run
    assert first is not None
    told: list[ev.AnyEvent] = [step(number) for number in range(236, STEPS)]
    told.insert(STEPS // 2, msgspec.structs.replace(first, epochs=777, step=STEPS // 2))
    told.append(ev.StateEvent(state="finished"))
    with run.events.open("ab") as log:
        log.write(b"".join(map(ev.encode_line, told)))
    app = TuiVae(tmp_path, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await seen(app, pilot, "/777 ")


def test_an_epoch_too_short_for_a_report_of_its_steps_is_counted() -> None:
    history = History()
    epoch = ev.Metrics(1.0, 1.0, 1.0, 0.1, 0.9, 6.0, 3, (1.0,))
    history.extend([step(7), ev.EpochEvent(epoch=5, step=50, seconds=0.01, images_per_s=1.0, train=epoch, test=epoch)])
    assert epoch_now(history, running=True) == 5
    history.apply(step(1000))
    assert epoch_now(history, running=True) == 1000 // 235 + 1


def test_curves_read_in_pieces_are_those_read_at_once() -> None:
    history, at_once, in_pieces = History(), RunCurves(), RunCurves()
    history.extend(step(number) for number in range(1, 3001))
    assert at_once.read(history)
    rounds = 1
    while not in_pieces.read(history, 700):
        rounds += 1
    assert rounds == 5
    edges = [3000 * column / 100 for column in range(101)]
    for measure in MEASURES:
        one, other = at_once[measure].steps, in_pieces[measure].steps
        for left, right in zip(one.segments(edges) if one else [], other.segments(edges) if other else [], strict=True):
            assert [(column.x, column.low, column.high) for column in left] == [
                (column.x, column.low, column.high) for column in right
            ]
            assert [column.smooth for column in left] == pytest.approx([column.smooth for column in right])


def lit(rows: tuple[str, ...], dots: raster.Dots) -> set[tuple[int, int]]:
    """The dots that are drawn, counted from the left and from below."""
    places = {0x01: (0, 3), 0x02: (0, 2), 0x04: (0, 1), 0x40: (0, 0), 0x08: (1, 3), 0x10: (1, 2), 0x20: (1, 1),
              0x80: (1, 0)}  # fmt: skip
    found = set()
    for y, row in enumerate(reversed(rows)):
        for x, sign in enumerate(row):
            if dots.across == 1:
                found |= {(x, y)} if sign != raster.BLANK else set()
            elif sign != raster.BLANK:
                found |= {(2 * x + dx, 4 * y + dy) for bit, (dx, dy) in places.items() if (ord(sign) - 0x2800) & bit}
    return found


@pytest.mark.parametrize("dots", [raster.BRAILLE, raster.one_dot(".")])
def test_a_dense_curve_shows_every_extreme_and_has_no_holes(dots: raster.Dots) -> None:
    dice = random.Random(7)
    for _ in range(40):
        width, height = 30, 9
        across, down = width * dots.across, height * dots.down
        run, level = [], 0.5
        for x in range(across):
            level += dice.gauss(0, 0.1)
            if dice.random() < 0.8:
                spread = abs(dice.gauss(0, 0.2))
                run.append(Column(x, level - spread, level + spread, level))
        drawn = lit(bands.fill(bands.strokes([run], lambda y: y, down), width, height, dots), dots)
        columns: dict[int, set[int]] = {}
        for x, y in drawn:
            columns.setdefault(x, set()).add(y)
        inside = [column for column in run if column.low >= 0 and column.high <= 1]
        for column in inside:
            low, high = raster.dot_row(column.low, down), raster.dot_row(column.high, down)
            assert columns[column.x].issuperset(range(low, high + 1))
        for ys in columns.values():
            assert ys == set(range(min(ys), max(ys) + 1))
        for left, right in pairwise(inside):
            for x in range(left.x, right.x) if not [c for c in run if left.x < c.x < right.x] else ():
                assert min(columns[x + 1]) <= max(columns[x]) + 1 and max(columns[x + 1]) >= min(columns[x]) - 1


def test_a_log_is_followed_from_where_one_begins(long_run: RunDirectory) -> None:
    tail = ev.LogTail(long_run.events, long_run.events.stat().st_size)
    assert tail.read_all() == [] and tail.at_end()
    log = ev.EventLog(long_run.events)
    log.write(ev.ErrorEvent(t=1.0, message="it broke"))
    log.close()
    assert tail.read_all() == [ev.ErrorEvent(t=1.0, message="it broke")]
