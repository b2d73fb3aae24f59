"""The start screen: it starts a preset with one key, and lists the runs."""

import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from textual.widgets import OptionList

from tests.support.fake_run import make_run
from tests.support.launches import FakeLauncher
from tests.support.piloting import in_event_loop, opened, screen, seen, until
from tui_vae.config import make_config
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.ui import settings
from tui_vae.ui.app import TuiVae
from tui_vae.ui.new_run.fields import Field
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.run_screen import RunScreen
from tui_vae.ui.start.detail_view import DetailView
from tui_vae.ui.start_screen import StartScreen

DEMO = Path(__file__).parents[2] / "checkpoints" / "demo"


@in_event_loop
async def test_one_key_starts_the_default(tmp_path: Path, launcher: FakeLauncher) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        assert isinstance(app.screen, StartScreen)
        await pilot.press("enter")
        await until(pilot, lambda: app.session is not None and app.session.state == "training")
        assert isinstance(app.screen, RunScreen) and app.session is not None and app.session.name == "fashion-1"
        assert app.session.directory.read_config().epochs == 10


@in_event_loop
async def test_the_start_screen_opens_runs_newest_first(tmp_path: Path) -> None:
    for age, name in enumerate(("newest", "older", "demo")):
        directory = make_run(tmp_path, name, epochs=1)
        os.utime(directory.events, (1e9 - age, 1e9 - age))
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: options.option_count > 1)
        shown = [option.id for option in options.options if option.id and not option.id.startswith("train:")]
        assert shown == ["describe", "run:newest", "run:older", "run:demo"]
        await pilot.press("end", "up", "enter")
        await opened(app, pilot)
        assert app.session is not None and app.session.name == "older"


@in_event_loop
@pytest.mark.parametrize(("width", "columns"), [(80, "bits/px age"), (220, "epochs test loss mse bits/px age")])
async def test_a_run_with_a_long_name_stays_a_line_on_the_start_screen(
    tmp_path: Path, width: int, columns: str
) -> None:
    for number in range(3):
        make_run(tmp_path, f"sweep-latent-dim-{number}-beta-4", epochs=1)
    app = TuiVae(tmp_path)
    async with app.run_test(size=(width, 24)) as pilot:

        def heading_of(lines: list[str]) -> str:
            (heading,) = (line for line in lines if line.split()[:2] == ["run", "state"])
            return heading

        def shown() -> str:
            return " ".join(heading_of(screen(app).splitlines())[: 47 if width < 100 else 90].split()[2:])

        await seen(app, pilot, "eta-4")
        await until(pilot, lambda: shown() == columns)  # the rows have their width once they are laid out
        lines = [line[:90] for line in screen(app).splitlines()]
        heading = heading_of(lines)
        rows = lines[lines.index(heading) + 1 :][:3]
        assert all(row.startswith(" sweep-lat") and "eta-4" in row[:28] for row in rows)  # their ends tell them apart
        assert all(row[:47].rstrip().endswith(" s") for row in rows) or width > 100


@in_event_loop
async def test_a_run_that_is_deleted_while_the_start_screen_lists_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, stays = (make_run(tmp_path, name, epochs=1) for name in ("gone", "stays"))

    def deleted_once_listed(runs_dir: Path) -> list[RunDirectory]:
        found = list_runs(runs_dir)
        shutil.rmtree(gone.path)
        return found

    monkeypatch.setattr("tui_vae.ui.start_screen.list_runs", deleted_once_listed)
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        options = app.screen.query_one(OptionList)
        await until(pilot, lambda: any((option.id or "").startswith("run:") for option in options.options))
        assert [option.id for option in options.options][-1] == f"run:{stays.name}"
        assert not any("gone" in (option.id or "") for option in options.options)


@in_event_loop
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_start_screen_shows_what_the_entry_under_the_cursor_has_learnt(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    shutil.rmtree(make_run(tmp_path, "empty", epochs=1, preset="quick").previews)
    make_run(tmp_path, "narrow", epochs=1, latent_dim=2)  # not what the preset says, so that it does not stand for it
    shutil.copytree(DEMO, tmp_path / "demo")
    app = TuiVae(tmp_path)
    async with app.run_test(size=size) as pilot:
        options, view = app.screen.query_one(OptionList), app.screen.query_one(DetailView)
        await until(pilot, lambda: options.option_count > 8 and bool(view.detail.pairs))  # the demo's, at `default`
        assert view.detail.title == "default" and "on cpu" in view.detail.state[0]
        assert "demo" in view.detail.about_pairs
        assert "≈ " in await seen(app, pilot, "For small images of any kind") and blocks(view) > 150
        options.highlighted = options.get_option_index("run:empty")
        await until(pilot, lambda: view.detail.title == "empty")
        assert view.detail.curve and not view.detail.pairs
        options.highlighted = options.get_option_index("run:demo")
        await until(pilot, lambda: view.detail.title == "demo" and bool(view.detail.pairs))
        assert view.detail.figure is not None and "bits/px, epoch" in screen(app)
        assert blocks(view) > 150


@in_event_loop
async def test_the_start_screen_tells_what_is_new_since_last_time(tmp_path: Path) -> None:
    app = TuiVae(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: settings.read_preferences().seen > 0)
        assert "last time" not in screen(app)
    make_run(tmp_path / "runs", "good", epochs=5)
    make_run(tmp_path / "runs", "bad", state="failed", epochs=2)
    app = TuiVae(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        text = await seen(app, pilot, "since last time")
        (line,) = (line for line in text.splitlines() if "since last time" in line)
        assert "bad failed" in line and "good finished at 6." in line


@in_event_loop
async def test_news_wait_for_who_opens_the_app_on_a_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, "one", epochs=2)
    settings.write_preferences(msgspec.json.encode(settings.Preferences(seen=time.time() - 60)))
    app = TuiVae(tmp_path, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        app.action_turn_toning()  # preferences are written
        await until(pilot, lambda: settings.read_preferences().toning != "")
        assert time.time() - settings.read_preferences().seen > 50
        await pilot.press("0")
        assert "one finished" in await seen(app, pilot, "since last time")
        await until(pilot, lambda: time.time() - settings.read_preferences().seen < 50)


def blocks(view: DetailView) -> int:
    """How many cells show something."""
    lines = [view.render_line(y).text for y in range(view.size.height)]
    return sum(not sign.isspace() for line in lines for sign in line)


@in_event_loop
async def test_data_of_the_machine_are_offered_and_open_the_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: FakeLauncher
) -> None:
    monkeypatch.setenv("TUI_VAE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache" / "mnist" / "MNIST" / "raw").mkdir(parents=True)
    data = tmp_path / "cats and dogs"
    data.mkdir()
    for name, given in (("one", str(data)), ("two", str(tmp_path / "gone")), ("three", str(data))):
        create_run(tmp_path / "runs", make_config({"name": name, "dataset": given}))
    app = TuiVae(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        listed = app.screen.query_one(OptionList)
        await until(pilot, lambda: listed.option_count > 10)
        ids = [option.id for option in listed.options if (option.id or "").startswith("data:")]
        assert ids == [f"data:{data}", "data:mnist"]
        assert "train on cats and dogs" in await seen(app, pilot, "train on mnist")
        listed.highlighted = listed.get_option_index("data:mnist")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, NewRun))
        assert isinstance(app.screen, NewRun)
        await until(pilot, lambda: app.screen.query_one("#field-dataset", Field).text == "mnist")
