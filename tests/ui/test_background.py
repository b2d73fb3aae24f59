"""The terminal's background: its answer is heard and is no key, and theme and images follow it."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.color import Color, ColorSystem
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver
from textual.events import Key, Paste
from textual.message import Message

from tests.support.fake_run import make_run
from tests.support.piloting import in_event_loop, opened, until
from tests.support.terminal import Terminal
from tests.support.vision import contrast
from tui_vae.ui import background, settings, theme
from tui_vae.ui.app import TuiVae
from tui_vae.ui.background import BackgroundReport
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.images.renderer import FULL, Depth, ImageRenderer, Toning
from tui_vae.ui.workarounds.terminal_end import prepare_input

WHITE, BLACK = "\x1b]11;rgb:ffff/ffff/ffff\x1b\\", "\x1b]11;rgb:12/12/12\x07"


def heard(*reads: str, pause: float = 0.0) -> list[Message]:
    prepare_input()
    parser = vars(linux_driver)["XTermParser"]()
    messages: list[Message] = []
    for data in reads:
        messages += parser.feed(data)
        time.sleep(pause)
        messages += parser.tick()
    return messages


def waited(parser: Any, seconds: float) -> list[Message]:
    """What a parser says after so long without anything to read."""
    time.sleep(seconds)
    return list(parser.tick())


def keys(messages: list[Message]) -> list[str]:
    return [message.key for message in messages if isinstance(message, Key)]


def reports(messages: list[Message]) -> list[bool]:
    return [message.light for message in messages if isinstance(message, BackgroundReport)]


def test_an_answer_is_heard_whole_or_in_pieces_and_is_no_key() -> None:
    messages = heard("a" + WHITE + "b", BLACK, WHITE[:9], WHITE[9:], "\x1b[A")
    assert reports(messages) == [True, False, True]
    assert keys(messages) == ["a", "b", "up"]
    assert reports(heard("\x1b]11;rgba:ffff/ffff/dddd/ffff\x1b\\")) == [True]
    assert heard("\x1b]11;no colour\x1b\\") == []


def test_keys_that_begin_like_an_answer_stay_keys() -> None:
    prepare_input()
    parser = vars(linux_driver)["XTermParser"]()
    assert list(parser.feed("\x1b]")) == list(parser.tick()) == []
    textuals = XTermParser()
    assert list(textuals.feed("\x1b]")) == []
    assert keys([*waited(parser, 1.2), *waited(parser, 0.3)]) == keys(waited(textuals, 0.3)) != []
    assert keys(heard("\x1b]x", pause=0.3))[-1:] == ["x"] and keys(heard("]", "1")) == ["right_square_bracket", "1"]
    pasted = heard(f"\x1b[200~{WHITE}\x1b[201~")
    assert any(isinstance(message, Paste) for message in pasted) and not reports(pasted)


@pytest.mark.parametrize(
    ("told", "light"),
    [("15;0", "dark"), ("0;15", "light"), ("0;default;7", "light"), ("7;8", "dark"), ("", ""), ("15;default", ""),
     ("0;99", "")],
)  # fmt: skip
def test_colorfgbg(told: str, light: str) -> None:
    assert background.told_by({"COLORFGBG": told}) == light


def test_who_answers_into_another_program_is_not_asked() -> None:
    assert background.may_ask({"TERM": "xterm-256color"})
    assert background.may_ask({"TERM": "screen-256color", "TMUX": "/tmp/tmux"})
    assert not background.may_ask({"TERM": "screen.xterm-256color"}) and not background.may_ask({"TERM": "linux"})


@in_event_loop
async def test_the_theme_follows_the_background_until_one_is_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLORFGBG", raising=False)
    run = make_run(tmp_path, epochs=1)

    def app_with(look: str | None = None) -> TuiVae:
        return TuiVae(tmp_path, run, look=look)

    app = app_with()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        assert app.theme == theme.DARK.name and not app.renderer.light
        app.post_message(BackgroundReport(light=True))
        await until(pilot, lambda: app.theme == theme.LIGHT.name and app.renderer.light)
        await until(pilot, lambda: settings.read_preferences().background == "light")
        assert settings.read_preferences().theme == ""
    assert app_with().theme == theme.LIGHT.name  # the guess, until the terminal has answered
    monkeypatch.setenv("COLORFGBG", "15;0")
    assert app_with().theme == theme.DARK.name
    app = app_with("light")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        app.post_message(BackgroundReport(light=False))
        await pilot.pause(0.2)
        assert app.theme == theme.LIGHT.name and settings.read_preferences().theme == ""
        app.action_turn_theme()
        await until(pilot, lambda: settings.read_preferences().theme == theme.DARK.name)
    assert app_with().theme == theme.DARK.name and app_with("auto").theme == theme.DARK.name


@pytest.mark.parametrize("light", [False, True])
def test_two_people_with_one_theme_see_one_polarity(light: bool) -> None:
    """Black, the ground of FashionMNIST, is dark on a dark theme and light on a light one, in any number of colours."""
    black, white = Picture(bytes(784), 28), Picture(b"\xff" * 784, 28)
    for depth in (Depth.TRUE_COLOUR, Depth.COLOURS_256, Depth.COLOURS_16):
        usual = ImageRenderer(depth, light=light)
        for renderer in (usual, usual.with_toning("grey"), usual.with_toning("bone_r"), usual.with_toning("")):
            low, high = (brightness(renderer, picture) for picture in (black, white))
            assert (low > high) == light, (depth, renderer.toning)
        against = usual.with_toning("inverted")
        assert (brightness(against, black) > brightness(against, white)) != light
    assert [each.toning for each in (ImageRenderer(Depth.TRUE_COLOUR), ImageRenderer(Depth.COLOURS_256))] == [
        Toning.BONE, Toning.GREY,
    ]  # fmt: skip


def brightness(renderer: ImageRenderer, picture: Picture) -> float:
    style = renderer.image(picture, FULL)[5][0].style
    assert style is not None and style.bgcolor is not None
    return sum(style.bgcolor.get_truecolor())


def test_a_light_theme_can_be_read_in_16_colours() -> None:
    """The 16 colours as VGA and xterm have them: the yellow of neither can be read on white."""
    few = theme.for_terminal(theme.LIGHT, "standard")
    ground = Color.parse(few.background or "")
    assert ground.downgrade(ColorSystem.STANDARD).number == 15
    names = ("foreground", "accent", "success", "warning", "error", "secondary")
    others = ("label", "note", "emphasis", "test-series", "train-series", "latent", "series-0", "series-1", "series-3")
    for name in (*names, *others):
        colour = Color.parse(few.variables.get(name) or getattr(few, name))
        assert colour.downgrade(ColorSystem.STANDARD).number not in (3, 11, 7, 15, 14), name
        assert contrast(colour, ground) >= 3, name


class White(Terminal):
    """A terminal that is asked for its background and says that it is white, as xterm does."""

    asked = 0

    def heard(self, data: bytes) -> None:
        super().heard(data)
        if background.ASK.encode() in data:
            self.asked += 1
            self.press(WHITE)


def test_a_white_terminal_has_a_light_app_and_presses_no_key(tmp_path: Path) -> None:
    make_run(tmp_path, epochs=2)
    argv = [sys.executable, "-m", "tui_vae", "attach", "fashion-1", "--runs-dir", str(tmp_path), "--color", "256"]
    with White(argv, columns=100, rows=30, env={"COLORFGBG": ""}) as terminal:
        terminal.until("bits/px")

        def ground() -> str:
            return str(terminal.screen.buffer[10][2].bg)

        terminal.until(lambda text: ground() == "eeeeee")
        assert terminal.asked and "1 Train" in terminal.text() and "Learning" not in terminal.text()
        terminal.press("q")
        assert terminal.wait() == 0
