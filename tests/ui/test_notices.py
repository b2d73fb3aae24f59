"""What the terminal is told of a run: its title, a bell, and a notice through whatever is between."""

import os
import re
from unittest import mock

import pytest

from tests.support.fake_run import FakeProcess
from tests.support.piloting import in_event_loop, opened, until
from tui_vae.config.user_file import config_file
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.events import StateEvent, WarningEvent
from tui_vae.ui.app import TuiVae
from tui_vae.ui.notices import notice_sequence


@pytest.mark.parametrize(
    ("environ", "sent"),
    [
        ({"TERM": "xterm-256color"}, "\x1b]9;a run\x07\x1b]777;notify;tui-vae;a run\x07"),
        ({"TERM": "foot"}, "\x1b]777;notify;tui-vae;a run\x07"),
        ({"TERM": "xterm-kitty"}, "\x1b]9;a run\x07"),
        (
            {"TERM": "tmux-256color"},
            "\x1bPtmux;\x1b\x1b]9;a run\x07\x1b\\\x1bPtmux;\x1b\x1b]777;notify;tui-vae;a run\x07\x1b\\",
        ),
        (
            {"TERM": "screen-256color", "STY": "1"},
            "\x1bP\x1b]9;a run\x07\x1b\\\x1bP\x1b]777;notify;tui-vae;a run\x07\x1b\\",
        ),
        ({"TERM": "screen-256color"}, ""),
    ],
)
def test_a_notice_reaches_the_terminal_itself(environ: dict[str, str], sent: str) -> None:
    assert notice_sequence("a\x1b]0;x\x07 run", environ) == sent, "and nothing of a run can add a sequence"


async def _sent(run: RunDirectory, live: FakeProcess, state: str, monkeypatch: pytest.MonkeyPatch) -> str:
    with mock.patch.dict(os.environ, {"TERM": "xterm-256color"}):
        app = TuiVae(run.path.parent, run)
        sent: list[str] = []
        with mock.patch.object(app, "_write_to_terminal", sent.append):
            app.notices._write = sent.append
            async with app.run_test(size=(80, 24)) as pilot:
                await opened(app, pilot)
                await until(pilot, lambda: any("training · fashion-1 · tui-vae" in each for each in sent))
                assert not any("\x1b]9;" in each for each in sent), "nothing has happened yet"
                live.log(WarningEvent(message="posterior collapse: none is active"))
                await until(pilot, lambda: app.session is not None and bool(app.session.history.messages))
                await pilot.pause(0.6)
                live.log(StateEvent(state="finished" if state == "finished" else "failed", reason="no memory"))
                live.die()
                monkeypatch.setattr(live, "die", lambda: None)
                await until(pilot, lambda: any(f"{state} · fashion-1" in each for each in sent))
                await pilot.press("q")
        return "".join(sent)


@in_event_loop
async def test_title_bell_and_notice_while_the_app_watches(
    run: RunDirectory, live: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = await _sent(run, live, "failed", monkeypatch)
    assert sent.startswith("\x1b[22;2t\x1b]2;30% training · fashion-1 · tui-vae\x07")
    assert "\a\x1b]9;fashion-1: posterior collapse: none is active\x07" in sent
    assert "\a\x1b]9;fashion-1 has failed: no memory\x07" in sent
    assert sent.endswith("\x1b]2;\x07\x1b[23;2t"), "the terminal has its own title back"


@in_event_loop
async def test_the_settings_turn_them_off(
    run: RunDirectory, live: FakeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_file().write_text("[notify]\nbell = false\ndesktop = false\ntitel = true\n")
    sent = await _sent(run, live, "finished", monkeypatch)
    assert "\a" not in re.sub(r"\x1b]2;.*?\x07", "", sent) and "\x1b]9;" not in sent
    assert "titel under [notify] is none of command, title, bell, desktop" in TuiVae(run.path.parent).notices.complaint
