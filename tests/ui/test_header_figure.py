"""The one figure that matters: bits a pixel in the header, large where there is room, and how it stands to the best."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from tests.support.fake_run import figures_after, make_run
from tests.support.piloting import in_event_loop, opened, screen, seen
from tui_vae.runs.events import EpochEvent, EventLog
from tui_vae.runs.history import History
from tui_vae.ui.app import TuiVae
from tui_vae.ui.big_digits import big
from tui_vae.ui.header_figure import WIDTH, change, figure_text, newest_text


def test_big_figures_have_one_width_and_their_signs_differ() -> None:
    assert len({big(digit) for digit in "0123456789"}) == 10
    for text in ("6.742", "12.34", "0.001", "—"):
        upper, lower = big(text)
        assert len(upper) == len(lower) <= WIDTH
    assert [figure_text(value) for value in (6.7421, 12.3456, 0.5, None, float("nan"), 1e6, -1.0)] == [
        "6.742", "12.35", "0.500", "—", "—", "—", "—",
    ]  # fmt: skip


def epoch(number: int, after: float) -> EpochEvent:
    figures = figures_after(after)
    return EpochEvent(t=number, epoch=number, step=235 * number, seconds=1, images_per_s=1, train=figures, test=figures)


def test_the_change_is_to_the_best_epoch() -> None:
    history = History()
    assert change(history) == ("", "note") and newest_text(history) == "—"
    history.extend([epoch(1, 1), epoch(2, 4)])
    assert change(history) == ("best yet", "best")
    history.extend([epoch(3, 2)])
    collapsed = History()
    collapsed.extend([structs.replace(epoch(1, 1), test=structs.replace(figures_after(1), active_units=0))])
    assert change(collapsed) == ("best yet", "note")
    said, role = change(history)
    assert said.startswith("+0.") and said.endswith(" to epoch 2") and role == "note"


@in_event_loop
@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
async def test_the_figure_stands_in_the_header_at_every_width(tmp_path: Path, width: int) -> None:
    run = make_run(tmp_path, epochs=5)
    log = EventLog(run.events)
    log.write(epoch(6, 3))
    log.close()
    app = TuiVae(tmp_path, run)
    async with app.run_test(size=(width, 30)) as pilot:
        await opened(app, pilot)
        figure = newest_text(app.session.history) if app.session else ""
        upper, lower = big(figure)
        await seen(app, pilot, lower if width >= 100 else figure if width >= 60 else "4 Runs")
        first, second, *_ = screen(app).splitlines()
        assert "fashion-1" in first and "1 Train" in second
        if width >= 100:
            assert first.rstrip().endswith(upper.rstrip()) and second.rstrip().endswith(lower.rstrip())
        if width >= 80:
            assert "bits/px" in second and " to epoch 5" in second
