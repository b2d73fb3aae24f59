"""The start screen: it starts a preset with one key, and lists the runs."""

import os
import shutil
from pathlib import Path

import pytest
from textual.widgets import OptionList

from tests.support.fake_run import make_run
from tests.support.launches import FakeLauncher
from tests.support.piloting import in_event_loop, opened, seen, until
from tui_vae.config import make_config
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.ui.app import TuiVae
from tui_vae.ui.images.pairs import ImagePairs
from tui_vae.ui.new_run.fields import Field
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.run_screen import RunScreen
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
@pytest.mark.parametrize(("width", "columns"), [(80, "epochs mse bits/px"), (120, "epochs test loss mse bits/px")])
async def test_a_run_with_a_long_name_stays_a_line_on_the_start_screen(
    tmp_path: Path, width: int, columns: str
) -> None:
    for number in range(3):
        make_run(tmp_path, f"sweep-latent-dim-{number}-beta-4", epochs=1)
    app = TuiVae(tmp_path)
    async with app.run_test(size=(width, 24)) as pilot:
        lines = (await seen(app, pilot, "sweep-latent-dim-2-beta-4")).splitlines()
        (heading,) = (line for line in lines if line.split()[:2] == ["run", "state"])
        assert " ".join(heading.split()[2:]) == columns
        rows = lines[lines.index(heading) + 1 :][:3]
        assert all("sweep-latent-dim-" in row and row.rstrip().endswith(" ago") for row in rows)


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
async def test_the_start_screen_shows_what_the_run_under_the_cursor_has_learnt(tmp_path: Path) -> None:
    shutil.rmtree(make_run(tmp_path, "empty", epochs=1).previews)
    shutil.copytree(DEMO, tmp_path / "demo")
    app = TuiVae(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        options, images = app.screen.query_one(OptionList), app.screen.query_one(ImagePairs)
        await until(pilot, lambda: options.option_count > 4)
        assert not blocks(images)
        options.highlighted = options.get_option_index("run:demo")
        await until(pilot, lambda: blocks(images) > 0)
        options.highlighted = options.get_option_index("run:empty")
        await until(pilot, lambda: not blocks(images))


def blocks(images: ImagePairs) -> int:
    """How many cells of a strip hold half an image or more."""
    lines = [images.render_line(y).text for y in range(images.size.height)]
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
