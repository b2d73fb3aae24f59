"""The overlaid curves of runs: colours that stay with a run, gaps, and a legend that fits."""

import math
import re
from pathlib import Path

import pytest

from tests.support.fake_run import make_run
from tests.support.piloting import in_event_loop, opened, seen
from tui_vae.runs.rate_distortion import rate_distortion
from tui_vae.runs.run_records import Ledger
from tui_vae.ui.app import TuiVae
from tui_vae.ui.charts.draw import GUTTER
from tui_vae.ui.glyphs import ASCII, UNICODE
from tui_vae.ui.runs.draw_overlay import MEASURES, Series, cut_to_shortest, draw_overlay
from tui_vae.ui.runs.draw_plane import Path as PlanePath
from tui_vae.ui.runs.draw_plane import draw_plane, path_of
from tui_vae.ui.runs.groups import Group
from tui_vae.ui.runs.marks import MOST, Marks
from tui_vae.ui.runs.overlay_chart import legend


def test_a_run_keeps_its_colour() -> None:
    marks, paths = Marks(), [Path(str(n)) for n in range(MOST + 2)]
    for path in paths[:3]:
        assert marks.toggle(path)
    marks.toggle(paths[1])
    marks.toggle(paths[3])
    assert [marks.slot(path) for path in paths[:4]] == [0, 1, 2, 3]
    marks.toggle(paths[1])
    assert marks.slot(paths[1]) == 1
    for path in paths[4:MOST]:
        assert marks.toggle(path)
    assert not marks.toggle(paths[MOST]) and len({marks.slot(path) for path in marks.marked}) == MOST
    marks.toggle(paths[0])
    assert marks.toggle(paths[MOST]) and len({marks.slot(path) for path in marks.marked}) == MOST
    marks.renamed(paths[2], Path("new"))
    assert marks.slot(Path("new")) == 2 and Path("new") in marks


def test_the_overlay_draws_every_series_and_survives_gaps() -> None:
    nan, inf = float("nan"), float("inf")
    wild = Series("wild", 1, ((1.0, nan), (2.0, 5.0), (3.0, inf), (4.0, 4.0)))
    calm = Series("calm", 0, tuple((float(n), 10 / n) for n in range(1, 2000)))
    for signs in (UNICODE, ASCII):
        for log in (False, True):
            picture = draw_overlay([calm, wild, Series("empty", 2, ())], 70, 12, signs, log)
            rows = ["".join(span.text for span in row) for row in picture.rows]
            assert [len(row) for row in rows] == [70] * 12 and picture.axis.high >= 1999
            roles = {span.role for row in picture.rows for span in row}
            assert {"series-0", "series-1"} <= roles and "series-2" not in roles
            assert signs is UNICODE or "".join(rows).isascii()
    cut = cut_to_shortest([calm, wild])
    assert cut[0].newest == 2.5 and draw_overlay(cut, 70, 12, UNICODE, shortest=True).axis.high == 4
    assert draw_overlay([], 70, 12, UNICODE).rows


def test_the_legend_shortens_before_it_vanishes() -> None:
    series = [Series("a-long-name", 0, ((1.0, 2.0),)), Series("another-one", 1, ((1.0, 3.0),))]
    whole = "".join(text for text, _ in legend(series, MEASURES[0], 60))
    assert "a-long-name 2.000" in whole and "another-one 3.000" in whole
    short = "".join(text for text, _ in legend(series, MEASURES[0], 18))
    assert 0 < len(short) <= 18 and legend(series, MEASURES[0], 8) == []


def test_a_run_is_a_path_in_the_plane_of_rate_and_distortion(tmp_path: Path) -> None:
    """Its epochs are where the log's figures say, and each line joins points of one ELBO."""
    records = []
    for number, name in enumerate(("one", "two", "three")):
        run = make_run(tmp_path, name, epochs=4 + number)
        ledger = Ledger(run, run.events.stat())
        ledger.read(run.events.stat())
        records.append(ledger.record(0.0))
    paths = [path_of(record, slot) for slot, record in enumerate(records)]
    for each, record in zip(paths, records, strict=True):
        assert len(each.points) == len(record.curve) and each.pixels == 784
        for (rate, distortion), figures in zip(each.points, record.curve, strict=True):
            assert rate == figures.kl
            assert (rate + distortion) / 784 / math.log(2) == pytest.approx(figures.elbo_bpd)
    sweep = path_of(Group("sweep", tuple(records), folded=True), 3)
    assert sweep.points == tuple(sorted(each.points[-1] for each in paths))
    for signs in (UNICODE, ASCII):
        picture = draw_plane(paths, 90, 24, signs)
        rows = ["".join(span.text for span in row) for row in picture.rows]
        assert [len(row) for row in rows] == [90] * 24 and (signs is UNICODE or "".join(rows).isascii())
        roles = {span.role for row in picture.rows for span in row}
        assert {"series-0", "series-1", "series-2", "grid", "label"} <= roles
        bits = [float(found) for row in rows for found in re.findall(r"([\d.]+) bits", row)]
        assert bits == sorted(bits, reverse=True) and len(bits) > 1  # a line further down is a better ELBO
        across, up = picture.axis, picture.scale
        for y, row in enumerate(rows):
            for match in re.finditer(r"([\d.]+) bits", row):
                rate = across.low + (match.end() - 1 - GUTTER + 0.5) / (90 - GUTTER - 1) * (across.high - across.low)
                expected = up.place(float(match[1]) * 784 * math.log(2) - rate)
                assert 1 - (y + 0.5) / 24 == pytest.approx(expected, abs=0.05)
    assert draw_plane([], 70, 12, UNICODE).rows and draw_plane(paths[:1], 40, 6, ASCII).rows


def test_a_run_whose_log_is_older_than_other_images_has_its_place_in_the_plane(tmp_path: Path) -> None:
    run = make_run(tmp_path, epochs=4)
    run.events.write_bytes(re.sub(rb'"shape":\[[\d,]+\],?', b"", run.events.read_bytes()))
    ledger = Ledger(run, run.events.stat())
    ledger.read(run.events.stat())
    path = path_of(ledger.record(0.0), 0)
    assert b"shape" not in run.events.read_bytes() and len(path.points) > 1 and path.pixels == 784


def test_no_marker_hides_a_part_of_a_label() -> None:
    def path(slot: int, *points: tuple[float, float]) -> PlanePath:
        return PlanePath("run", slot, points, pixels=784)

    first = path(0, (20.0, 3800.0), (60.0, 3600.0))
    for rate in range(22, 60, 2):
        for distortion in range(3605, 3800, 15):
            picture = draw_plane([first, path(1, (40.0, 3700.0), (rate, distortion))], 90, 24, UNICODE)
            spans = [span for row in picture.rows for span in row[1:]]
            labels = [span.text for span in spans if span.role == "label"]
            assert labels and all(re.fullmatch(r"( \d[\d.]* bits)+", label) for label in labels), labels
            assert "series-1" in {span.role for span in spans}


def test_what_is_not_known_or_not_finite_has_no_place_in_the_plane() -> None:
    assert rate_distortion(6.7, 60.0, 784) == pytest.approx((60.0, 6.7 * 784 * math.log(2) - 60))
    for bits, kl, pixels in ((None, 60.0, 784), (6.7, None, 784), (6.7, 60.0, None), (math.nan, 60.0, 784)):
        assert rate_distortion(bits, kl, pixels) is None


@in_event_loop
async def test_a_key_leads_from_train_to_the_plane_with_the_run_marked(tmp_path: Path) -> None:
    make_run(tmp_path, "other", epochs=4)
    app = TuiVae(tmp_path, make_run(tmp_path, "mine", epochs=4))
    async with app.run_test(size=(100, 24)) as pilot:
        await opened(app, pilot)
        await seen(app, pilot, "● test")
        await pilot.press("Y")
        shown = await seen(app, pilot, "distortion over rate (KL)")
        assert "1 marked" in shown and "● mine" in shown.partition("distortion over rate")[2]
        await pilot.press("1")
        await seen(app, pilot, "● test")
        await pilot.press("Y")  # what is marked stays so
        await seen(app, pilot, "1 marked")
