"""Habits of the fingers: one letter for one thing, vi's keys in every list, ways back, and ctrl+z."""

import os
import signal
import sys
from collections import defaultdict
from pathlib import Path

import psutil
import pytest
from textual.binding import Binding
from textual.widgets._toast import Toast

from tests.support.fake_run import FakeProcess, make_run
from tests.support.piloting import in_event_loop, opened, screen, seen, until
from tests.support.terminal import Terminal
from tui_vae.runs.directory import RunDirectory
from tui_vae.ui.app import TuiVae
from tui_vae.ui.browse.keys import BINDINGS as BROWSE
from tui_vae.ui.latent.keys import BINDINGS as LATENT
from tui_vae.ui.run_controls import RunControls
from tui_vae.ui.run_screen import RunScreen
from tui_vae.ui.runs.pane import RunsPane
from tui_vae.ui.start_screen import StartScreen
from tui_vae.ui.train.epoch_table import EpochTable
from tui_vae.ui.train.keys import BINDINGS as TRAIN

SHARED = {
    "z": {"zoom", "size"},  # what is looked at, larger or smaller
    "v": {"view", "compare"},  # the next view
    "f": {"follow", "freeze"},  # the newest, or what stands there
    "i": {"closer", "shortest"},  # a shorter stretch of the x axis
    "a": {"mark-a", "end-a"},
    "b": {"mark-b", "end-b"},
    "Y": {"figure-back", "plane"},  # from the first figure the one before is the plane
    "y": {"figure", "figures", "form"},  # the same in another form
}
"""Letters whose one meaning has several names, by the last parts of the commands' ids or their descriptions."""


def _letters(bindings: list[object]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for binding in bindings:
        assert isinstance(binding, Binding) and binding.id
        for key in binding.key.split(","):
            if len(key) == 1:
                found[key].add(binding.id.partition(".")[2])
    return found


def test_a_letter_means_one_thing_in_all_panes() -> None:
    everywhere = _letters([*RunControls.BINDINGS, *RunScreen.BINDINGS, *TuiVae.BINDINGS[1:]])
    panes = [_letters(list(each)) for each in (TRAIN, BROWSE, LATENT, RunsPane.BINDINGS, EpochTable.BINDINGS)]
    for letter in {letter for pane in panes for letter in pane}:
        meanings = {name for pane in panes for name in pane.get(letter, ())}
        assert letter not in everywhere, f"{letter} is {everywhere[letter]} in all panes, and {meanings} in one"
        vi = {"j": {"down"}, "k": {"up"}, "g": {"home", "first"}, "G": {"end", "last", "newest"}}
        allowed = vi.get(letter) or SHARED.get(letter)
        assert len(meanings) == 1 or meanings <= (allowed or set()), f"{letter}: {meanings}"


@in_event_loop
async def test_enter_in_runs_opens_train_and_0_leads_back_to_the_start(run: RunDirectory, live: FakeProcess) -> None:
    make_run(run.path.parent, "other", epochs=2)
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32)) as pilot:
        await opened(app, pilot)
        await pilot.press("4")
        await seen(app, pilot, "other")
        pane = app.screen.query_one(RunsPane)
        await until(pilot, lambda: len(pane.rows) == 2)
        await pilot.press("g" if pane.rows[0].name == "other" else "G", "enter")
        await until(pilot, lambda: app.session is not None and app.session.name == "other")
        await until(pilot, lambda: app.preferences.pane == "train")
        await pilot.press("0")
        await until(pilot, lambda: isinstance(app.screen, StartScreen))
        await pilot.press("G", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


@in_event_loop
async def test_toasts_stand_below_the_tabs_and_those_of_one_kind_are_one(run: RunDirectory, live: FakeProcess) -> None:
    app = TuiVae(run.path.parent, run)
    async with app.run_test(size=(120, 32), notifications=True) as pilot:
        await opened(app, pilot)
        for step in (1200, 1300, 1400):
            app.notify(f"Checkpoint saved at step {step:,}.")
            await pilot.pause()
        await until(
            pilot,
            lambda: [each.render().plain for each in app.screen.query(Toast)] == ["Checkpoint saved at step 1,400."],
        )
        (toast,) = app.screen.query(Toast)
        assert toast.region.y == 2 and toast.region.height == 1, "what is newest stands further down"
        assert "4 Runs" in screen(app)


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (120, 40)])
@pytest.mark.parametrize("turned", [False, True])
def test_a_long_toast_never_covers_the_newest_run(tmp_path: Path, size: tuple[int, int], turned: bool) -> None:
    @in_event_loop
    async def walk() -> None:
        for number in range(20):
            make_run(tmp_path, f"run-{number:02}", epochs=1, t=1e9 + 60 * number)
        app = TuiVae(tmp_path, RunDirectory(tmp_path / "run-19"))
        async with app.run_test(size=size, notifications=True) as pilot:
            await opened(app, pilot)
            await pilot.press("4")
            await until(pilot, lambda: "run-19" in screen(app).partition("state")[2])
            if turned:
                await pilot.press("!", "G")
            app.notify("One line after another. " * 40, title="A long one")
            await until(pilot, lambda: bool(app.screen.query(Toast)) and app.screen.query_one(Toast).region.height > 3)
            await pilot.pause(0.1)
            toast = app.screen.query_one(Toast).region
            lines = screen(app).split("\n")
            newest = next(y for y, line in enumerate(lines) if y > 1 and " run-19 " in line)
            assert not toast.y <= newest < toast.bottom
            await pilot.press("?")  # a toast is seen in front of what stands before the pane, too
            await until(pilot, lambda: bool(app.screen.query(Toast)) and app.screen.query_one(Toast).region == toast)
            await pilot.press("escape")
            await pilot.press("1")
            await until(pilot, lambda: app.screen.query_one(Toast).region.y == 2)

    walk()


@pytest.mark.skipif(not os.path.exists("/bin/bash"), reason="needs a shell with job control")
def test_ctrl_z_gives_the_terminal_back_and_fg_the_app() -> None:
    env = {"PS1": "shell$ ", "HISTFILE": ""}
    with Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], env=env) as terminal:
        terminal.until("shell$")
        terminal.press(f"{sys.executable} -m tui_vae --no-warm", "enter")
        terminal.until("describe a run")
        terminal.press("\x1a")
        terminal.until("Stopped")
        (app,) = psutil.Process(terminal.pid).children()
        assert app.status() == psutil.STATUS_STOPPED
        terminal.press("echo $((6 * 7))", "enter")
        terminal.until("42")
        terminal.press("fg", "enter")
        terminal.until(lambda text: "describe a run" in text and "42" not in text)
        terminal.press("q")
        terminal.until("shell$")  # over the rest of the app's screen, as pyte has no alternate one
        os.kill(terminal.pid, signal.SIGKILL)
