"""The overlaid curves of runs: colours that stay with a run, gaps, and a legend that fits."""

from pathlib import Path

from tui_vae.ui.glyphs import ASCII, UNICODE
from tui_vae.ui.runs.draw_overlay import MEASURES, Series, cut_to_shortest, draw_overlay
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
