"""Groups of runs: one row with mean and spread, a band in the chart, and tags by which they are found."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from tests.support.fake_run import make_run
from tests.support.piloting import in_event_loop, screen, seen, until
from tui_vae.errors import UsageError
from tui_vae.runs import events as ev
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history
from tui_vae.runs.tags import Tags, group_name, parse_tags, read_tags, write_tags
from tui_vae.ui.app import TuiVae
from tui_vae.ui.runs.groups import Group
from tui_vae.ui.runs.overlay_chart import OverlayChart
from tui_vae.ui.runs.pane import RunsPane


def shifted(runs_dir: Path, name: str, by: float, seed: int = 0, latent_dim: int = 32) -> RunDirectory:
    """A run whose bits are higher by so many."""
    run = make_run(runs_dir, name, epochs=3, planned=3, seed=seed, latent_dim=latent_dim)
    lines = []
    for line in run.events.read_bytes().splitlines(keepends=True):
        event = ev.parse_line(line)
        if isinstance(event, ev.EpochEvent):
            test = {**{field: getattr(event.test, field) for field in event.test.__struct_fields__}}
            test["elbo_bpd"] = (event.test.elbo_bpd or 0) + by
            fields = {field: getattr(event, field) for field in event.__struct_fields__}
            line = ev.encode_line(ev.EpochEvent(**{**fields, "test": ev.Metrics(**test)}))
        lines.append(line)
    run.events.write_bytes(b"".join(lines))
    return run


def bits(run: RunDirectory) -> float:
    best = read_history(run.events).best
    assert best is not None and best.test.elbo_bpd is not None
    return best.test.elbo_bpd


@in_event_loop
async def test_seeds_of_one_recipe_are_one_row_with_mean_and_spread_and_a_band(tmp_path: Path) -> None:
    seeds = [shifted(tmp_path, f"wide-seed-{seed}", by, seed=seed) for seed, by in ((1, 0.0), (2, 0.3), (3, 0.6))]
    other = shifted(tmp_path, "alone", 0.0, latent_dim=8)
    app = TuiVae(tmp_path, other)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("4")
        await seen(app, pilot, "▸ wide ×3")
        pane = app.screen.query_one(RunsPane)
        shown = screen(app)
        assert "wide-seed-1" not in shown, "the runs are folded into the row"
        values = [bits(run) for run in seeds]
        assert f"{statistics.fmean(values):.3f}±{statistics.stdev(values):.3f}" in shown
        await pilot.press("g" if isinstance(pane.rows[0], Group) else "G", *"yyyy")
        chart = app.screen.query_one(OverlayChart)
        await until(pilot, lambda: chart._state is not None and bool(chart._state.series))
        assert chart._state is not None and chart._state.series[0].spreads
        roles = {segment.style for strip in chart.draw() or [] for segment in strip if segment.text.strip()}
        assert chart.style("band") in roles, "the band is drawn"
        await pilot.press("enter")
        await seen(app, pilot, "wide-seed-2")
        assert [row.name for row in pane.rows if not isinstance(row, Group)].count("wide-seed-1") == 1
        await pilot.press("D")
        await until(pilot, lambda: any("a group of runs" in each.message for each in app._notifications))
    again = TuiVae(tmp_path, other)
    async with again.run_test(size=(160, 40)) as pilot:
        await pilot.press("4")
        await seen(again, pilot, "wide-seed-2")


@in_event_loop
async def test_different_runs_of_a_group_have_no_mean_and_say_what_they_differ_in(tmp_path: Path) -> None:
    runs = [shifted(tmp_path, f"s-{width}", by, latent_dim=width) for width, by in ((2, 0.6), (8, 0.3), (32, 0.0))]
    for run in runs:
        write_tags(run, Tags((), "sweep"))
    other = shifted(tmp_path, "alone", 0.9, seed=3)
    app = TuiVae(tmp_path, other)
    async with app.run_test(size=(160, 40)) as pilot:
        await pilot.press("4")
        await seen(app, pilot, "▸ sweep ×3")
        pane = app.screen.query_one(RunsPane)
        values = [bits(run) for run in runs]
        shown = screen(app)
        assert f"{min(values):.3f}…{max(values):.3f}" in shown and "±" not in shown
        await pilot.press("g" if isinstance(pane.rows[0], Group) else "G")
        await seen(app, pilot, "lowest … highest of the 3 that have finished; they differ in latent-dim")
        assert "config, where they differ" in await seen(app, pilot, "2, 8, 32")
        chart = app.screen.query_one(OverlayChart)
        await pilot.press(*"yyyy")
        await until(pilot, lambda: chart._state is not None and chart._state.measure.name == "elbo_bpd")
        assert chart._state is not None
        (series,) = chart._state.series
        assert series.points[-1][1] + series.spreads[-1] == pytest.approx(max(values))
        assert series.points[-1][1] - series.spreads[-1] == pytest.approx(min(values))
        await pilot.press("m", "G" if isinstance(pane.rows[0], Group) else "g", "m")
        assert "2, 8, 32" in await seen(app, pilot, "2 marked")


@in_event_loop
async def test_tags_are_kept_found_and_put_runs_into_a_group(tmp_path: Path) -> None:
    one, two = make_run(tmp_path, "one", epochs=2), make_run(tmp_path, "two", epochs=2)
    make_run(tmp_path, "three", epochs=2)
    for number in range(2):  # as a stranger may have named one
        write_tags(make_run(tmp_path, f"odd-{number}", epochs=1), Tags((), "a/../b"))
    write_tags(two, Tags(("good",), "paper"))
    app = TuiVae(tmp_path, one)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("4")
        await seen(app, pilot, "three")
        await pilot.press("#", *"good, first @paper", "enter")
        await until(pilot, lambda: read_tags(one) == Tags(("good", "first"), "paper"))
        await seen(app, pilot, "▸ paper ×2")
        await seen(app, pilot, "▸ a/../b ×2")
        pane = app.screen.query_one(RunsPane)
        await pilot.press("/", *"first", "enter")
        await until(pilot, lambda: [row.name for row in pane.rows] == ["one"])


def test_tags_are_words_and_a_damaged_file_has_none(tmp_path: Path) -> None:
    run = make_run(tmp_path, "run", epochs=1)
    for wrong in ('a"b', "@one @two", "x" * 41, " ".join(map(str, range(30)))):
        with pytest.raises(UsageError):
            parse_tags(wrong)
    assert parse_tags("b a, b @g") == Tags(("b", "a"), "g")
    write_tags(run, Tags(("größe",), "g"))
    assert read_tags(run) == Tags(("größe",), "g")
    write_tags(run, Tags())
    assert not run.tags.exists()
    run.tags.write_bytes(b'tags = ["ok", 3, "\x1b[2J"]\ngroup = 7\n')
    assert read_tags(run) == Tags()
    run.tags.write_text('tags = ["ok", 3, "\\u001b[2J"]\ngroup = 7\n')
    assert read_tags(run) == Tags(("ok",), "")


@pytest.mark.parametrize(
    ("names", "group"),
    [
        (("wide-seed-1", "wide-seed-2"), "wide"),
        (("a1", "b2"), "a1"),
        (("a-1", "a-2"), "a"),
        (("net.1", "net.12"), "net"),
    ],
)
def test_a_group_is_called_after_what_its_names_share(names: tuple[str, ...], group: str) -> None:
    assert group_name(names) == group
