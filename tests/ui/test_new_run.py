"""The form of a new run: it checks while one types, follows the preset, and forecasts the run."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input, Label, Static

from tests.support.fake_run import FakeProcess
from tests.support.launches import FakeLauncher
from tests.support.piloting import in_event_loop, notifications, opened, until
from tui_vae.config import RunConfig, make_config, options, text_of
from tui_vae.core.models.build import build_model
from tui_vae.core.models.vae import count_parameters
from tui_vae.errors import UsageError, UserError
from tui_vae.runs.data_found import completions
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.runs.events import ErrorEvent, StateEvent
from tui_vae.ui.app import TuiVae
from tui_vae.ui.messages import StartRun
from tui_vae.ui.new_run import forecast
from tui_vae.ui.new_run.fields import Choice, Field, Fields
from tui_vae.ui.new_run.screen import NewRun
from tui_vae.ui.start_screen import StartScreen


@in_event_loop
async def test_the_form_checks_fills_and_starts(tmp_path: Path, launcher: FakeLauncher) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        await until(pilot, lambda: form._field is not None)
        await pilot.press(*"my-run", "down", *["right"] * 4)  # the name, then the preset
        await pilot.pause()
        assert form.query_one("#field-hidden Input", Input).value == "256"
        latent = form.query_one("#field-latent-dim Input", Input)
        latent.focus()
        await pilot.press(*"0")
        reason = str(form.query_one("#field-latent-dim .about", Label).content)
        assert "at least 1" in reason and form.query_one("#field-latent-dim").has_class("-wrong")
        await pilot.press("enter")  # refused
        assert form.is_current
        await pilot.press("backspace", *"7")
        await pilot.pause()
        assert str(form.query_one("#command", Static).content) == (
            f"tui-vae train --preset seed --name my-run --latent-dim 7 --runs-dir {tmp_path}"
        )
        assert ("parameters", "408,094") in forecast.facts(form._config(), form._throughputs)
        await pilot.press("ctrl+y")
        assert app.clipboard == f"tui-vae train --preset seed --name my-run --latent-dim 7 --runs-dir {tmp_path}"
        await pilot.press("enter")
        await until(pilot, lambda: bool(launcher.started))
        config = launcher.started[0][0].read_config()
        assert (config.name, config.preset, config.latent_dim, config.objective) == ("my-run", "seed", 7, "mse")


@in_event_loop
async def test_the_form_is_whole_in_a_small_terminal(run: RunDirectory) -> None:
    """Every field can be reached, is seen when it is, and the frame tells how much is out of sight."""
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        fields = form.query_one(Fields)
        await until(pilot, lambda: "more" in str(fields.border_subtitle))
        reached = []
        for _ in options():
            assert form._field is not None
            reached.append(form._field.option_name)
            await until(
                pilot, lambda: form._field is not None and fields.content_region.contains_region(form._field.region)
            )
            assert form._field.option.help in str(form.query_one("#explain", Static).content)
            await pilot.press("down")
        assert reached == list(options())
        assert "parameters" in str(form.query_one("#forecast", Static).content)


@in_event_loop
async def test_values_that_make_no_sense_together_are_told_before_the_start(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(given: Mapping[str, Any]) -> RunConfig:
        if given.get("beta") == "3":
            raise UsageError("beta 3 is out of fashion")
        return make_config(given)

    monkeypatch.setattr("tui_vae.ui.new_run.screen.make_config", make)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        form.query_one("#field-beta Input", Input).value = "3"
        await until(pilot, lambda: "out of fashion" in str(form.query_one("#command", Static).content))
        await pilot.press("enter")
        await until(pilot, lambda: any("out of fashion" in message for message in notifications(app)))
        assert form.is_current


@in_event_loop
async def test_the_form_tells_what_the_preset_has_not(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        await until(pilot, lambda: form._field is not None)
        await pilot.press(*run.name)
        await pilot.pause()
        assert "already" in str(form.query_one("#command", Static).content)  # told before the start, not after it
        await pilot.press("enter")
        assert form.is_current
        await pilot.press("ctrl+r")
        objective = form.query_one("#field-objective", Field)
        objective.query_one(Choice).focus()
        await pilot.press("m")  # of mse
        await pilot.pause()
        changed = [field.option_name for field in form.query(Field) if field.has_class("-changed")]
        assert changed == ["objective"] and objective.text == "mse"
        about = str(form.query_one("#explain", Static).content)
        assert "preset default: sigma" in about and all(choice in about for choice in objective.option.choices)
        await pilot.press("ctrl+r")
        await pilot.pause()
        assert form._config() == make_config({}) and not form.query("Field.-changed")
        form.query_one("#field-data-dir Input", Input).focus()
        await pilot.press(*"nowhere")
        await pilot.pause()
        assert "no folder" in form.query_one("#field-data-dir", Field).reason


@pytest.mark.parametrize("model", ["mlp", "conv"])
@pytest.mark.parametrize("norm", options()["norm"].choices)
@pytest.mark.parametrize(
    ("data", "shape"),
    [({}, (1, 28, 28)), ({"dataset": "mnist", "channels": "3"}, (3, 28, 28)), ({"image-size": "64x40"}, (1, 64, 40)),
     ({"image-size": 256, "channels": "3"}, (3, 256, 256)), ({"image-size": "9x130"}, (1, 9, 130))],
)  # fmt: skip
def test_the_form_counts_the_parameters_that_the_network_has(
    model: str, norm: str, data: dict[str, object], shape: tuple[int, int, int]
) -> None:
    config = make_config({"model": model, "norm": norm, "hidden": "30,20", "latent-dim": 3, **data})
    assert forecast.parameters_of(config) == count_parameters(build_model(config, shape))


def test_steps_are_those_of_the_data_where_they_are_known(tmp_path: Path) -> None:
    assert forecast.train_images(make_config({"dataset": "emnist-letters"})) == 124_800
    assert forecast.train_images(make_config({"dataset": "emnist-letters", "train-limit": 500})) == 500
    own = make_config({"dataset": str(tmp_path), "latent-dim": 7})
    assert forecast.train_images(own) is None and "steps" not in forecast.summary(own, [])
    assert dict(forecast.facts(own, []))["steps"] == "told when it starts"
    shape = forecast.shape_of(make_config({"dataset": str(tmp_path)}).to_dict())
    such = forecast.Throughput("cpu", 9, 100.0, shape, 640)
    assert forecast.train_images(own, [such]) == 640  # another network, the same data
    assert "steps: 20, 2 an epoch" in forecast.summary(own, [such])


def test_forecasts(run: RunDirectory) -> None:
    assert forecast.parameters_of(RunConfig()) == 1_094_992
    assert forecast.parameters_of(make_config({"preset": "seed"})) == 418_104
    known = forecast.read_throughputs(run.path.parent)
    assert forecast.seconds_of(RunConfig(device="cuda"), known) is None
    expected = forecast.seconds_of(RunConfig(epochs=10), known)  # an epoch took 2.6 s
    assert expected is not None and expected[0] == pytest.approx(26, rel=0.01) and expected[1] == "cpu"
    tiny = forecast.Throughput("cpu", 1_094_992, 0.1, forecast.shape_of(RunConfig().to_dict()), 3)
    assert forecast.seconds_of(RunConfig(epochs=10), [tiny, *known]) == expected
    own = replace(RunConfig(), model="own:Net")  # nobody's arithmetic: known from the first run of its kind
    assert forecast.parameters_of(own, known) is None and forecast.seconds_of(own, known) is None
    assert "when it starts" in forecast.summary(own, known)
    such = [forecast.Throughput("cpu", 5_000_000, 1000.0, forecast.shape_of(own.to_dict())), *known]
    assert forecast.parameters_of(own, such) == 5_000_000 and forecast.seconds_of(own, such) == (600.0, "cpu")
    assert (
        forecast.summary(RunConfig(), known)
        == "1,094,992 parameters · 4.4 MB, a checkpoint 13.1 MB · about 0:26 on cpu"
    )


@in_event_loop
async def test_the_form_keeps_what_was_asked_for_when_the_preset_changes(tmp_path: Path) -> None:
    app = TuiVae(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        form = NewRun(tmp_path, make_config({"preset": "seed", "latent-dim": 5, "name": "before"}))
        await app.push_screen(form)
        fields = {field.option_name: field for field in form.query(Field)}
        given = {name: field.text for name, field in fields.items()}
        assert (given["preset"], given["latent_dim"], given["hidden"]) == ("seed", "5", "256")
        assert given["name"] in ("", "auto")
        fields["preset"].query_one(Choice).focus()
        await pilot.press(*["left"] * 4)
        await until(pilot, lambda: fields["preset"].text == "default")
        await pilot.pause()
        wanted = make_config({"latent-dim": 5})
        assert {name: field.text for name, field in fields.items()} == {**given, **{
            name: text_of(name, getattr(wanted, name)) for name in fields if name != "name"}}  # fmt: skip


@in_event_loop
async def test_the_data_are_completed_and_refused_before_a_run_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: FakeLauncher
) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "page.gz").write_bytes(b"<html>")
    monkeypatch.chdir(tmp_path)
    assert completions("km") == ["kmnist"] and completions("pic") == ["pictures"]
    assert completions(f"{tmp_path}/p") == [f"{tmp_path}/page.gz", f"{tmp_path}/pictures"]
    app = TuiVae(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        field = form.query_one("#field-dataset", Field)
        typed = field.query_one(Input)
        typed.focus()
        typed.value = "pi"
        await until(pilot, lambda: typed._suggestion == "pictures")
        await pilot.press("end", "right")
        assert typed.value == "pictures" and not field.reason
        typed.value = "nowhere/at/all"
        await pilot.pause()
        assert field.reason == f"there is no file or folder {tmp_path}/nowhere/at/all"
        typed.value = "page.gz"
        await pilot.press("enter")
        await until(pilot, lambda: any("is a web page, not data" in message for message in notifications(app)))
        await until(pilot, lambda: isinstance(app.screen, NewRun) and app.screen._field is not None)
        assert not launcher.started and not list_runs(tmp_path / "runs")


@in_event_loop
async def test_what_the_data_or_the_trainer_refuse_comes_back_as_a_form_and_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: FakeLauncher
) -> None:
    seen = threading.Event()

    def refuse(config: RunConfig, progress: Callable[[str], None], began: object) -> None:
        progress("decoding images, 3 of 9")
        seen.wait(20)
        raise UserError("the data are no data", "give others")

    monkeypatch.setattr("tui_vae.ui.opening.check_data", refuse)
    monkeypatch.setattr("tui_vae.ui.opening.PROGRESS_SECONDS", 0.5)
    (tmp_path / "x").mkdir()
    app = TuiVae(tmp_path / "runs")
    async with app.run_test(size=(120, 40)) as pilot:
        app.post_message(StartRun(make_config({"dataset": str(tmp_path / "x"), "name": "mine", "latent-dim": 5})))
        await until(pilot, lambda: "Decoding images, 3 of 9" in notifications(app))
        seen.set()
        await until(pilot, lambda: isinstance(app.screen, NewRun) and app.screen._field is not None)
        await until(pilot, lambda: "the data are no data; give others" in notifications(app))
        form = app.screen
        assert isinstance(form, NewRun)
        assert {name: form.query_one(f"#field-{name}", Field).text for name in ("name", "latent-dim", "dataset")} == {
            "name": "mine", "latent-dim": "5", "dataset": str(tmp_path / "x")}  # fmt: skip
        monkeypatch.setattr("tui_vae.ui.opening.check_data", lambda config, progress, began: None)
        await pilot.press("enter")
        await until(pilot, lambda: bool(launcher.processes))
        process = launcher.processes.pop()
        process.log(ErrorEvent(message="one image a step", hint="another batch size", refused=True))
        process.log(StateEvent(state="failed"))
        process.die()
        await until(pilot, lambda: isinstance(app.screen, NewRun) and app.screen._field is not None)
        await until(pilot, lambda: "one image a step; another batch size" in notifications(app))
        assert not list_runs(tmp_path / "runs") and app.session is None
        assert app.screen.query_one("#field-name", Field).text == "mine"
        await pilot.press("escape")
        assert isinstance(app.screen, StartScreen)


@in_event_loop
async def test_a_run_is_queued_behind_the_one_that_trains(
    run: RunDirectory, live: FakeProcess, launcher: FakeLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = threading.Event()  # the look around is slow: the question must not wait for it, nor answer without it
    monkeypatch.setattr("tui_vae.ui.new_run.screen.read_throughputs", lambda _: known.wait(60) and [])
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        await until(pilot, lambda: form._field is not None)
        await pilot.press(*"next", "ctrl+t")
        await until(pilot, lambda: bool(launcher.started))
        await until(pilot, lambda: "next is queued: it begins when fashion-1 has ended." in notifications(app))
        known.set()
        assert [each.name for each in launcher.after] == ["fashion-1"]
        assert app.session is not None and app.session.name == "fashion-1", "the run that trains stays on the screen"
