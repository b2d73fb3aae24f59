"""What the terminal itself is told of a run: its title, and a bell and a notice when training ends or goes wrong.

These are sequences that terminals skip where they do not know them. Without an app, the trainer runs the commands of
`tui_vae/trainer/end_commands.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tui_vae.config.user_file import Notices, read_notices
from tui_vae.plain_text import plain
from tui_vae.runs.events import WarningEvent
from tui_vae.ui import run_progress
from tui_vae.ui.session import RunSession
from tui_vae.ui.terminal import legible

BELL = "\a"
KEEP_TITLE, BRING_BACK_TITLE = "\x1b[22;2t", "\x1b[23;2t"
"""Put the title on the terminal's stack, and take it from there (xterm, and most that imitate it)."""

ONLY_OSC_777 = ("foot", "rxvt")
ONLY_OSC_9 = ("xterm-kitty", "xterm-ghostty", "ghostty", "wezterm")
"""Beginnings of TERM of terminals that know both sequences or one: both would be two notices there."""

WITHOUT_SEQUENCES = ("linux", "vt")
"""Beginnings of TERM of terminals that would print some of it."""

LONGEST = 200
"""Characters of a notice."""

ENDS = {"finished": "has finished", "stopped": "was stopped", "failed": "has failed", "crashed": "has crashed"}


def title_sequence(text: str) -> str:
    """Set the window's title (OSC 2). tmux and GNU screen take it for that of their window."""
    return f"\x1b]2;{plain(text)}\x07"


def notice_sequence(text: str, environ: Mapping[str, str]) -> str:
    """Ask the terminal for a notice on the desktop: OSC 9 (iTerm2) or OSC 777 (urxvt), through tmux and GNU screen.

    tmux passes it on where `allow-passthrough` is on. Where it is not certain which of the two is between, nothing is
    sent: the wrong wrapping would be printed.
    """
    term = environ.get("TERM", "")
    body = plain(text).replace(";", ",")[:LONGEST]
    osc_9, osc_777 = f"\x1b]9;{body}\x07", f"\x1b]777;notify;tui-vae;{body}\x07"
    if "TMUX" in environ or term.startswith("tmux"):
        return "".join(f"\x1bPtmux;{each.replace(chr(27), chr(27) * 2)}\x1b\\" for each in (osc_9, osc_777))
    if "STY" in environ:
        return f"\x1bP{osc_9}\x1b\\\x1bP{osc_777}\x1b\\"
    if term.startswith("screen"):
        return ""
    if term.startswith(ONLY_OSC_777):
        return osc_777
    return osc_9 if term.startswith(ONLY_OSC_9) else osc_9 + osc_777


class TerminalNotices:
    """Writes these sequences by `write`, as far as the user's file of settings wants them."""

    def __init__(self, write: Callable[[str], None], environ: Mapping[str, str]) -> None:
        self._write = write
        self._environ = environ
        self._wanted, self.complaint = read_notices()
        if environ.get("TERM", "").startswith(WITHOUT_SEQUENCES):
            self._wanted = Notices(title=False, bell=self._wanted.bell, desktop=False)
        self._title: str | None = None

    def title(self, text: str) -> None:
        """Show this title, if it is another one."""
        if self._wanted.title and text != self._title:
            self._write((KEEP_TITLE if self._title is None else "") + title_sequence(legible(text)))
            self._title = text

    def suspend(self) -> None:
        """Give the terminal its own title back. A terminal without a stack of titles shows none."""
        if self._title is not None:
            self._write(title_sequence("") + BRING_BACK_TITLE)

    def resume(self) -> None:
        """Show the title again."""
        title, self._title = self._title, None
        if title is not None:
            self.title(title)

    def close(self) -> None:
        """Give the terminal its own title back, and write nothing more."""
        self.suspend()
        self._title = None
        self._wanted = Notices(title=False, bell=False, desktop=False)

    def notice(self, text: str) -> None:
        """Ring the bell, and ask for a notice on the desktop."""
        bell = BELL if self._wanted.bell else ""
        sent = bell + (notice_sequence(legible(text), self._environ) if self._wanted.desktop else "")
        if sent:
            self._write(sent)


class RunNotices:
    """Tells the terminal how one run fares. What was so before the run was opened is no news."""

    def __init__(self, session: RunSession, terminal: TerminalNotices) -> None:
        self._session = session
        self._terminal = terminal
        self._state = ""
        self._heard = 0.0
        """When the newest message was written that has been seen, in seconds since the epoch."""

    def update(self, ended_here: bool) -> None:
        """Look at the run. `ended_here`: the user has just stopped or killed it by a key, and needs no notice."""
        session, history = self._session, self._session.history
        state, before = session.state, self._state
        self._terminal.title(run_title(session))
        if not session.caught_up:
            return
        newest = history.messages[-1] if history.messages else None
        if before in ("training", "paused") and state == before and newest is not None and newest.t > self._heard:
            if isinstance(newest, WarningEvent):
                self._terminal.notice(f"{session.name}: {newest.message}")
        elif before in ("loading", "training", "paused") and state in ENDS and not ended_here:
            self._terminal.notice(f"{session.name} {ENDS[state]}{self._outcome(state)}")
        self._state = state
        self._heard = newest.t if newest is not None else self._heard

    def _outcome(self, state: str) -> str:
        history = self._session.history
        reason = history.state.reason if history.state and state == "failed" else ""
        words = [f": {reason}" if reason else "", *(f", {word}" for word in history.health(state))]
        return "".join(words)


def run_title(session: RunSession) -> str:
    """`36% training · fashion-1 · tui-vae`."""
    state = session.state
    share = f"{run_progress.share_done(session.history):.0%} " if state in ("training", "paused") else ""
    return f"{share}{state} · {session.name} · tui-vae"
