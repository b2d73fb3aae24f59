"""The form of a new run on screens of many sizes, and what it knows of the time that a run takes."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.piloting import in_event_loop, until
from tui_vae.config import RunConfig
from tui_vae.ui.app import TuiVae
from tui_vae.ui.new_run import forecast, trial
from tui_vae.ui.new_run.fields import Field, Fields
from tui_vae.ui.new_run.screen import NewRun


@pytest.mark.parametrize("size", [(160, 48), (200, 50), (118, 31), (120, 40), (80, 36), (300, 90)])
def test_every_field_is_on_the_first_screen_where_they_fit(tmp_path: Path, size: tuple[int, int]) -> None:
    @in_event_loop
    async def walk() -> None:
        app = TuiVae(tmp_path)
        async with app.run_test(size=size) as pilot:
            await pilot.press("n")
            await pilot.pause()
            room = app.screen.query_one(Fields).content_region
            cut = [field.option_name for field in app.screen.query(Field) if not room.contains_region(field.region)]
            assert not cut, cut
            editors = [field.query_one("Input, Choice").size.width for field in app.screen.query(Field)]
            assert min(editors) >= 15

    walk()


@in_event_loop
async def test_the_form_is_laid_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[object] = []
    monkeypatch.setattr(Fields, "on_resize", lambda self: sizes.append(self.size))
    app = TuiVae(tmp_path)
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("n")
        await pilot.pause(0.3)
        assert len(sizes) == 1, sizes


def test_the_newest_similar_run_tells_the_time() -> None:
    config = RunConfig(epochs=1)
    shape = forecast.shape_of(config.to_dict())

    def known(parameters: int, rate: float, device: str = "cpu") -> forecast.Throughput:
        return forecast.Throughput(device, parameters, rate, shape, 60_000)

    tiny, old, newest = known(20_000, 1e6), known(1_000_000, 10_000.0), known(1_094_992, 20_000.0)
    assert forecast.seconds_of(config, [tiny, newest, old]) == (3.0, "cpu")
    assert forecast.seconds_of(config, [known(1_094_992, 1e6, "cuda:0"), newest]) == (0.06, "cuda:0")
    large = known(50_000_000, 600.0)
    found = forecast.seconds_of(config, [tiny, large])
    assert found is not None and found[0] == pytest.approx(60_000 / 1e6 * 1_194_992 / 120_000)  # the more similar one


@in_event_loop
async def test_where_no_run_tells_it_a_second_of_training_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "REST_SECONDS", 0.0)
    monkeypatch.setattr("tui_vae.ui.keep_warm.start_warm", lambda: None)
    out = b'{"device": "cpu"}\n{"images_per_s": 20000.0}\n'

    class Process:
        returncode = 0

        async def communicate(self, given: bytes) -> tuple[bytes, None]:
            assert given == b"1.0\n"
            return out, None

    async def start(*argv: str, **options: object) -> Process:
        assert argv[-2] == "ours" and json.loads(argv[-1])["latent_dim"] == 32
        return Process()

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    app = TuiVae(tmp_path, warm=True)
    async with app.run_test(size=(160, 48)) as pilot:
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, NewRun)
        await until(pilot, lambda: "about 0:30 on cpu" in str(forecast.facts(form._config(), form._throughputs)))
    assert trial.read_trial(b'{"error": "no memory", "hint": ""}\n', RunConfig(), 1, 1) is None
