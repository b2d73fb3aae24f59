"""The charts as pure functions: no spike is lost, gaps stay gaps, labels are short, numbers keep their width."""

from __future__ import annotations

import math
import subprocess
import sys
from array import array
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tui_vae.ui import numbers
from tui_vae.ui.charts import raster, scales, x_axis
from tui_vae.ui.charts.curves import Curve
from tui_vae.ui.charts.draw import GUTTER, Chart, Control, Sources, View, draw_chart, place_labels, zigzag
from tui_vae.ui.charts.x_axis import Axis
from tui_vae.ui.glyphs import ASCII, UNICODE, Glyphs

values = st.floats(min_value=-1e6, max_value=1e6)
any_values = st.one_of(values, st.sampled_from([math.nan, math.inf, -math.inf]))
figures = st.one_of(st.none(), st.floats(1e-3, 99_999), st.floats(-99_999, -1e-3))


def curve(points: list[float], limit: int = 64, span: float = 0.0) -> Curve:
    made = Curve(span, limit)
    made.extend([float(step) for step in range(1, len(points) + 1)], points)
    return made


def to(end: float) -> Axis:
    """An axis of steps up to that one."""
    return Axis(0.0, end)


@given(st.lists(any_values, max_size=500), st.integers(1, 80), st.sampled_from([4, 16, 64]))
def test_extremes_survive_in_at_most_one_entry_a_column(points: list[float], width: int, limit: int) -> None:
    runs = curve(points, limit).segments(to(max(1, len(points))).edges(width))
    columns = [column for run in runs for column in run]
    finite = [value for value in points if math.isfinite(value)]
    assert len({column.x for column in columns}) == len(columns)
    assert all(0 <= column.x < width and column.low <= column.high for column in columns)
    if finite:
        assert min(column.low for column in columns) == min(finite)
        assert max(column.high for column in columns) == max(finite)
    else:
        assert not columns
    assert all(len(zigzag(run)) <= 2 * len(run) for run in runs)


@given(st.lists(values, min_size=1, max_size=300), st.integers(2, 64))
def test_a_bounded_curve_keeps_its_newest_value_and_its_means(points: list[float], limit: int) -> None:
    bounded = curve(points, limit * 2, 1e9)
    assert len(bounded) <= limit * 2
    read = bounded.at(len(points))
    assert read is not None and read.raw == points[-1]
    columns = [column for run in bounded.segments(to(len(points)).edges(3)) for column in run]
    if len(points) <= limit * 2:
        assert columns[-1].smooth == pytest.approx(points[-1])
    (whole,) = [column for run in bounded.segments([0.0, 2.0 * len(points)]) for column in run]
    assert min(points) - 1e-6 <= whole.smooth <= max(points) + 1e-6


def smoothed(xs: Sequence[float], ys: Sequence[float], span: float, edges: Sequence[float]) -> dict[int, float]:
    made = Curve(span, 1024, series=(array("d", xs), array("d", ys)))
    made.extend(xs, ys)
    return {column.x: column.smooth for run in made.segments(edges) for column in run}


@given(st.lists(values, min_size=60, max_size=60), st.sampled_from([2, 3, 4, 6, 12]))
def test_smoothing_runs_over_steps_and_not_over_reports(points: list[float], size: int) -> None:
    """A quicker machine reports fewer steps at once."""
    each = [float(step) for step in range(1, 61)]
    fewer = each[size - 1 :: size]
    means = [sum(points[at : at + size]) / size for at in range(0, 60, size)]
    edges = [step + 0.5 for step in range(61)]  # a column a step
    one, other = smoothed(each, points, 24.0, edges), smoothed(fewer, means, 24.0, edges)
    for step in range(24, 48, 12):
        assert one[step - 1] == pytest.approx(sum(points[step - 12 : step + 12]) / 24, abs=1e-6)
        assert other[step - 1] == pytest.approx(one[step - 1], abs=1e-6)


def test_a_smoothed_curve_is_not_late() -> None:
    steps = [float(step) for step in range(1, 101)]
    line = smoothed(steps, [200.0 - step for step in steps], 40.0, [step + 0.5 for step in range(101)])
    assert line[99] == 100.0  # the newest value is the raw one
    assert all(abs(value - (199.5 - column)) < 1.1 for column, value in line.items())


def test_a_gap_divides_a_curve() -> None:
    runs = curve([1.0, 2.0, math.nan, 4.0, 5.0]).segments(to(5).edges(10))
    assert [[column.low for column in run] for run in runs] == [[1.0, 2.0], [4.0, 5.0]]


@given(st.lists(st.tuples(st.integers(0, 99), st.floats(-3, 4)), max_size=30))
def test_clipping_leaves_nothing_outside(points: list[tuple[float, float]]) -> None:
    parts = raster.clip(points)
    assert all(0 <= y <= 1 for part in parts for _, y in part)
    assert {point for point in points if 0 <= point[1] <= 1} <= {point for part in parts for point in part}


def test_clipping_cuts_at_the_edges() -> None:
    assert raster.clip([(0, -1), (2, 1.0)]) == [[(1.0, 0.0), (2, 1.0)]]
    assert raster.clip([(0, 0.5), (1, 1.5), (2, 0.5)]) == [[(0, 0.5), (0.5, 1.0)], [(1.5, 1.0), (2, 0.5)]]
    assert raster.clip([(0, -1), (3, 2)]) == [[(1.0, 0.0), (2.0, 1.0)]]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 60, ["0", "20", "40", "60"]),
        (-1300, -100, ["−1000", "−500"]),
        (94.1, 95.2, ["94.5", "95.0"]),
        (0, 25_000, ["0", "10k", "20k"]),
        (0.008, 0.014, ["0.008", "0.010", "0.012", "0.014"]),
        (0, 1e-4, ["0", "5e-5", "1e-4"]),
        (1e-4, 3e-4, ["1e-4", "2e-4", "3e-4"]),
        (1e-4, 2e-4, ["1e-4", "1.5e-4", "2e-4"]),
        (1.1e-3, 1.2e-3, [".00110", ".00115", ".00120"]),
    ],
)
def test_ticks_are_round_and_short(low: float, high: float, expected: list[str]) -> None:
    assert [tick.label for tick in scales.ticks(low, high, 3)] == expected


@given(st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=60), st.integers(2, 6))
def test_a_linear_scale_holds_the_newest_and_labels_it_in_few_cells(points: list[float], count: int) -> None:
    scale = scales.linear(points, count, points[-1:])
    assert -1e-6 <= scale.place(points[-1]) <= 1 + 1e-6
    assert len(scale.ticks) <= 2 * count + 2
    assert all(len(tick.label) < GUTTER for tick in scale.ticks if abs(tick.value) >= 1e-2 or not tick.value)


def test_rare_extremes_do_not_squeeze_the_rest_but_are_named() -> None:
    scale = scales.linear([700.0, 300.0] + [30.0 + n % 7 for n in range(98)], 3)
    assert scale.high < 60
    assert scale.clipped == 700


@given(st.floats(1e-3, 1e7), st.floats(0, 1e7))
def test_the_x_axis_is_never_shorter_than_what_has_happened(now: float, total: float) -> None:
    end = scales.axis_end(now, total)
    assert now <= end <= max(2 * now * (1 + 1e-6), now)
    assert end == now or total == 0 or end <= total


def sources(points: list[float]) -> Sources:
    tests = [(float(step), points[step - 1]) for step in range(20, len(points) + 1, 20)]
    test = Curve()
    for point in tests:
        test.add(*point)
    found = Sources(curve(points, 1024, 9.0), Curve(), test)
    found.test_epochs.extend([x for x, _ in tests], [y for _, y in tests])
    return found


def text(chart: Chart) -> list[str]:
    return ["".join(span.text for span in row) for row in chart.rows]


@settings(max_examples=30)
@given(
    st.lists(any_values, max_size=120), st.integers(12, 90), st.integers(1, 20), st.booleans(),
    st.sampled_from([UNICODE, ASCII]),
)  # fmt: skip
@example([5e-324], 12, 1, True, UNICODE)
def test_every_chart_fills_its_cells(points: list[float], width: int, height: int, log: bool, signs: Glyphs) -> None:
    view = View(width, height, to(max(1.0, len(points))), log, cursor=len(points) / 2)
    chart = draw_chart(sources(points), [Control(5.0, "lr 1e-3")], view, signs)
    assert [len(row) for row in text(chart)] == [width] * height
    if not signs.braille:
        assert all(row.isascii() for row in text(chart))


def test_where_a_mark_has_no_room_for_its_label_it_has_its_first_word() -> None:
    marks = [Control(50.0, "paused 0:09"), Control(68.0, "saved")]
    top = text(draw_chart(sources([50.0] * 100), marks, View(60, 12, to(100.0)), UNICODE))[0]
    assert "┊paused" in top and "0:09" not in top and "┊saved" in top
    assert "┊paused 0:09" in text(draw_chart(sources([50.0] * 100), marks, View(120, 12, to(100.0)), UNICODE))[0]


def test_marks_in_one_place_name_the_newest_of_each_kind_and_values_that_were_set_first() -> None:
    marks = [
        Control(50.0, "lr 1e-3", True),
        Control(50.0, "saved"),
        Control(50.2, "lr 5e-4", True),
        Control(50.2, "β 2", True),
    ]

    def top(width: int) -> str:
        return text(draw_chart(sources([50.0] * 100), marks, View(width, 12, to(100.0)), UNICODE))[0]

    assert "┊lr 5e-4 · β 2 · saved" in top(60)
    assert "┊lr 5e-4 · β 2 " in top(44) and "saved" not in top(44)


def test_a_chart_draws_band_train_test_and_marks_of_controls() -> None:
    points = [50 * math.exp(-step / 30) + 20 + 5 * (step % 2) for step in range(100)]
    chart = draw_chart(sources(points), [Control(50.0, "β 2")], View(60, 12, to(100.0)), UNICODE)
    roles = {span.role for row in chart.rows for span in row}
    assert {"label", "band", "train", "test", "mark"} <= roles
    assert any("┊β 2" in row for row in text(chart))
    in_ascii = draw_chart(sources(points), [], View(60, 12, to(100.0)), ASCII)
    assert sum(row.count("@") for row in text(in_ascii)) == 4  # the first is above the scale


def dots_of(chart: Chart, *roles: str) -> set[tuple[int, int, int]]:
    """Row, column and bit of every Braille dot in these roles."""
    found: set[tuple[int, int, int]] = set()
    for y, row in enumerate(chart.rows):
        x = 0
        for span in row:
            for character in span.text:
                bits = ord(character) - 0x2800 if span.role in roles and ord(character) >= 0x2800 else 0
                found |= {(y, x, bit) for bit in range(8) if bits >> bit & 1}
                x += 1
    return found


def test_where_train_and_test_meet_neither_hides_the_other() -> None:
    points = [20 + 3 * math.sin(step / 9) for step in range(100)]
    both, alone = sources(points), sources(points)
    alone.test, alone.test_epochs = Curve(), type(alone.test_epochs)()
    no_train = Sources(None, Curve(), both.test, test_epochs=both.test_epochs)
    view = View(60, 12, to(100.0))
    drawn, train = draw_chart(both, [], view, UNICODE), draw_chart(alone, [], view, UNICODE)
    assert drawn.scale.low == train.scale.low and drawn.scale.high == train.scale.high
    assert dots_of(train, "train") <= dots_of(drawn, "train", "test")
    shown = draw_chart(no_train, [], view, UNICODE)
    if (shown.scale.low, shown.scale.high) == (drawn.scale.low, drawn.scale.high):
        assert dots_of(shown, "test") <= dots_of(drawn, "train", "test")


def test_the_gap_between_train_and_test_is_seen() -> None:
    found = sources([10.0 + step / 1000 for step in range(100)])
    for step in range(20, 101, 20):
        found.train.add(float(step), 10.0)
    found.test = Curve()
    found.test.extend([20.0, 40.0, 60.0, 80.0, 100.0], [10.0, 12.0, 14.0, 16.0, 18.0])
    chart = draw_chart(found, [], View(60, 12, to(100.0)), UNICODE)
    height = [sum(1 for y, x, _ in dots_of(chart, "gap") if x == column) for column in range(60)]
    assert sum(height[15:25]) < sum(height[45:55])


def test_the_steep_first_steps_do_not_flatten_the_rest() -> None:
    points = [600.0 / step + 20 - step / 100 for step in range(1, 101)]
    chart = draw_chart(sources(points), [], View(60, 12, to(100.0)), UNICODE)
    assert chart.scale.high < 60 and chart.scale.clipped == pytest.approx(620, rel=1e-3)
    assert draw_chart(sources(points[:8]), [], View(60, 12, to(100.0)), UNICODE).scale.high > 600  # too few to tell


def test_epochs_within_a_hair_of_an_endless_axis_are_one_marker() -> None:
    """As where a damaged log speaks of a step that no run will ever make."""
    for end in (1e9, 2.0**53, 1e300):
        chart = draw_chart(sources([50.0] * 100), [], View(60, 12, to(end)), ASCII)
        assert sum(row.count("@") for row in text(chart)) == 1


def test_a_spike_reaches_the_top_and_an_infinity_does_not() -> None:
    points = [10.0 + step % 3 for step in range(100)]
    calm = draw_chart(sources([*points, math.inf, math.nan]), [], View(60, 8, to(102.0)), UNICODE)
    assert calm.scale.high <= 13
    spiked = draw_chart(sources([*points[:50], 17.0, *points[50:]]), [], View(60, 8, to(101.0)), UNICODE)
    assert spiked.scale.high >= 17


def test_a_logarithm_of_what_is_not_positive_is_refused() -> None:
    view = View(60, 8, to(100.0), log=True)
    assert draw_chart(sources([float(n) for n in range(-5, 60)]), [], view, UNICODE).log_refused
    positive = draw_chart(sources([10.0**n for n in (3, 2, 1, 0)]), [], view, UNICODE)
    assert not positive.log_refused
    assert [tick.label for tick in positive.scale.ticks] == ["1", "10", "100", "1k"]


def test_a_logarithmic_axis_is_no_wider_than_its_values() -> None:
    """An accuracy between 95.2 and 96 % is no flat line on an axis that goes beyond 100 %."""
    narrow = scales.logarithmic([95.2, 96.0], 4)
    assert (narrow.low, narrow.high) == (95.2, 96.0) and len(narrow.ticks) >= 3
    flat = scales.logarithmic([2.0, 2.0], 4)
    assert flat.low < 2.0 < flat.high


@settings(max_examples=40)
@given(
    st.lists(any_values, min_size=20, max_size=60), st.integers(0, 59), st.integers(5, 40), st.integers(1, 40),
    st.sampled_from([0.0, 3.0, 30.0]),
)  # fmt: skip
def test_a_narrow_window_is_drawn_from_the_series_itself(
    points: list[float], first: int, length: int, width: int, span: float
) -> None:
    xs, ys = array("d", range(1, len(points) + 1)), array("d", points)
    made = Curve(span, 16, series=(xs, ys))
    made.extend(xs, ys)
    edges = Axis(float(first), float(first + length)).edges(width)
    columns = [column for run in made.segments(edges) for column in run]
    inside = [y for x, y in zip(xs, points, strict=True) if edges[0] <= x <= edges[-1] and math.isfinite(y)]
    assert len({column.x for column in columns}) == len(columns)
    if inside and sum(edges[0] <= x <= edges[-1] for x in xs) <= 2 * (width - 1):
        assert min(column.low for column in columns) <= min(inside)
        assert max(column.high for column in columns) >= max(inside)
    assert all(not math.isnan(column.smooth) for column in columns)
    middle = len(points) // 2
    read, reach = made.at(middle), int(min(span / 2, middle))
    assert read is not None and read.x == middle
    near = points[middle - reach : middle + reach] if reach else [points[middle - 1]]
    if all(map(math.isfinite, near)) and float(span / 2).is_integer():
        assert read.smooth == pytest.approx(sum(near) / len(near), rel=1e-6, abs=1e-3)


@given(st.floats(0, 1), st.lists(st.sampled_from([0.5, 2.0]), max_size=12), st.floats(-3, 3))
def test_looking_closer_keeps_its_place_and_panning_stays_inside(place: float, factors: list[float], by: float) -> None:
    limits = now = Axis(0.0, 400.0, x_axis.Linear(40.0), "epochs")
    around = now.step(place)
    for factor in factors:
        window = x_axis.zoomed(now, around, factor, limits)
        if window is None:
            now = limits
            continue
        assert limits.window.first - 1e-6 <= window.first < around + 1e-6 <= window.last + 2e-6
        closer = Axis(window.first / 40, window.last / 40, limits.unit, "epochs")
        if factor < 1:
            assert closer.place(around) == pytest.approx(now.place(around), abs=1e-6)
        now = closer
    moved = x_axis.panned(now, by, limits)
    assert moved.first >= -1e-6 and moved.last <= limits.window.last + 1e-6
    assert moved.last - moved.first == pytest.approx(now.window.last - now.window.first)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(80, ["0", "0:20", "0:40", "1:00", "1:20"]), (3 * 3600, ["0", "1:00:00", "2:00:00", "3:00:00"]),
     (9 * 86400, ["0", "2d 00h", "4d 00h", "6d 00h", "8d 00h"])],
)  # fmt: skip
def test_times_are_round(seconds: float, expected: list[str]) -> None:
    assert [tick.label for tick in scales.time_ticks(0, seconds, 5)] == expected


def test_a_path_becomes_braille_and_signs() -> None:
    assert raster.rasterize((((0, 0), (3, 0), (3, 7)),), 2, 2, raster.BRAILLE) == (" ⢸", "⣀⣸")
    rows = raster.rasterize((((0, 0), (4, 2)),), 5, 3, raster.one_dot("*"))
    assert rows[0].endswith("*") and "*" in rows[1] and rows[2].startswith("*")
    assert all(sum(row[column] == "*" for row in rows) == 1 for column in range(5))


def test_labels_of_the_x_axis_never_overlap() -> None:
    ticks = scales.ticks(0, 20_000, 10)
    placed = place_labels(Axis(0, 20_000, ticks=ticks), 40)
    assert all(start + len(label) < after for (start, label), (after, _) in pairwise(placed))
    assert placed[0] == (0, "0")


@given(figures)
def test_metrics_keep_their_width(value: float | None) -> None:
    assert len(numbers.metric(value)) == 7
    assert "-" not in numbers.metric(value)


@given(st.one_of(st.none(), st.floats(0, 1e12)))
@example(36_000.0)
def test_rates_and_durations_keep_their_width(value: float | None) -> None:
    assert len(numbers.short(value)) == 5
    assert len(numbers.duration(None if value is None else min(value, 1e9))) == 7
    assert len(numbers.ago(None if value is None else min(value, 1e8))) in (5, 6)
    assert len(numbers.short_seconds(None if value is None else min(value, 99_999))) == 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [(27.1234, "27.12"), (-1204.4, "−1204"), (0.0093, "0.0093"), (99.996, "100.0"), (9.99996, "10.00"), (0.0, "0.000"),
     (None, "—"), (math.nan, "—")],
)  # fmt: skip
def test_metrics_have_four_digits(value: float | None, expected: str) -> None:
    assert numbers.metric(value, 0) == expected


@pytest.mark.parametrize(("value", "expected"), [(2e-3, "0.002"), (3e-4, "3e-4"), (1.0, "1"), (1.25e-3, "0.00125")])
def test_settings_are_written_as_people_write_them(value: float, expected: str) -> None:
    assert numbers.setting(value) == expected


def test_panes_may_ask_for_plotext_at_the_same_time() -> None:
    code = """
import sys, threading
from tui_vae.ui.workarounds.plotext_import import import_plotext
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=import_plotext) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""  # where a thread's exception would be written
