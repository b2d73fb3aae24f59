"""The help names every key that moves in a list, and says what the signs on the screen mean."""

import pytest

from tests.support.fake_run import FakeProcess
from tests.support.piloting import in_event_loop, opened, screen, seen, until
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.header_figure import explained
from tui_vae.ui.help import HelpText


def words(app: TuiVae) -> str:
    """The words of the help, wherever its lines are broken."""
    return " ".join(" ".join(strip.text for help_ in app.screen.query(HelpText) for strip in help_._strips).split())


@pytest.mark.parametrize(("press", "opener"), [("", "describe a run"), ("w", "no warnings")])
def test_the_help_of_a_list_names_all_its_keys_in_few_lines(run: RunDirectory, press: str, opener: str) -> None:
    @in_event_loop
    async def walk() -> None:
        app = TuiVae(run.path.parent, run if press else None)
        async with app.run_test(size=(160, 60)) as pilot:
            if press:
                await opened(app, pilot)
                await seen(app, pilot, "● test")
                await pilot.press(press)
            await seen(app, pilot, opener)
            await pilot.press("?")
            shown = await seen(app, pilot, "↑ ↓ k j")
            assert "home end g G" in shown
            await pilot.press(*"line")
            lines = [line for line in (await seen(app, pilot, "home end g G")).split("\n") if " j " in line]
            assert len(lines) == 1

    walk()


@in_event_loop
async def test_the_help_says_what_the_figure_of_the_header_is_held_against(
    run: RunDirectory, live: FakeProcess
) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(160, 70)) as pilot:
        await opened(app, pilot)
        await seen(app, pilot, "● test")
        await pilot.press("?", *"bits/px")
        await until(pilot, lambda: "the one of the lowest test loss" in words(app))
        assert "“+0.012 to epoch 5”" in words(app)
    assert "the lowest test mse" in explained("mse")


@in_event_loop
async def test_signs_are_explained_as_they_are_drawn(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    for environment, wanted in (({}, "○ ● On the"), ({"NO_COLOR": "1"}, "the test curve is dashed")):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        app = TuiVae(run.path.parent, run)
        async with app.run_test(size=(160, 70)) as pilot:
            await opened(app, pilot)
            await pilot.press("?", *"training images")
            await until(pilot, lambda: wanted in words(app))  # noqa: B023


@pytest.mark.parametrize(("size", "columns", "rows"), [((160, 48), 76, 48), ((80, 24), 80, 10), ((30, 8), 30, 0)])
def test_what_the_help_does_not_cover_stays_as_it_was_each_time(
    run: RunDirectory, size: tuple[int, int], columns: int, rows: int
) -> None:
    def seen_beside(app: TuiVae) -> list[str]:
        return [line[:columns] for line in screen(app).split("\n")[1:rows]]  # without the clocks

    @in_event_loop
    async def walk() -> None:
        app = TuiVae(run.path.parent, run)
        async with app.run_test(size=size) as pilot:
            await opened(app, pilot)
            await pilot.pause(0.2)
            before = seen_beside(app)
            for _ in range(2):
                await pilot.press("?")
                await seen(app, pilot, "type to search")
                assert seen_beside(app) == before
                await pilot.press("escape")
                await until(pilot, lambda: "type to search" not in screen(app))

    walk()
