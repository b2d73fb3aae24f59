#!/usr/bin/env bash
# textual: in a burst of keys, those with a binding act after the characters that were typed behind them.
#
# Seen with textual 8.2.8, Python 3.11, Linux, on 30 November 2026, in a pseudo-terminal. Two inputs, "abc" in the first, which has the focus.
#
# Guess before it was run: keys act in the order in which the terminal sent them, whether they come one by one or all in one read. ctrl+u and a
# word leave the word; a word, tab and another word leave one in each input.
#
# What it does: one by one, a tenth of a second apart, it is so. In one read, mostly, ctrl+u and "tmp" leave nothing, and "xy", tab, "zw" leave "xyzw"
# in the first input and nothing in the second; now and then a part or all of it is as it was typed. In textual's source a key goes to the queue of the widget that has the focus at that moment; a character is
# inserted there, but a key with a binding first goes back up, queue by queue, to the app, which looks the binding up; by then the
# widget has inserted the characters behind it.
#
# What follows: over a slow connection, through a multiplexer that types for somebody, or from a script, what stands in a form is another thing than
# was typed, and no event says so. A widget that edits text acts upon its own bindings where it gets the key, and passes on what it gets
# after it has lost the focus.
#
# Exit status: 0 while it is so, 1 when it behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "textual==8.2.8"
cat >"$folder/app.py" <<'PYTHON'
import sys

from textual.app import App, ComposeResult
from textual.widgets import Input


class Form(App[None]):
    BINDINGS = [("f5", "tell", "tell")]

    def compose(self) -> ComposeResult:
        yield Input("abc", select_on_focus=False)
        yield Input(select_on_focus=False)

    def on_ready(self) -> None:
        open(sys.argv[1] + ".ready", "w").close()

    def action_tell(self) -> None:
        with open(sys.argv[1], "w") as file:
            file.write("|".join(each.value for each in self.query(Input)))
        self.exit()


Form().run()
PYTHON
cat >"$folder/type.py" <<'PYTHON'
import os
import pty
import select
import sys
import time
from pathlib import Path

folder = Path(sys.argv[1])


def typed(keys: bytes, pause: float, note: Path) -> str:
    """What stands in both inputs after these keys, sent at once or one by one."""
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, [sys.executable, str(folder / "app.py"), str(note)])

    def look(seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([terminal], [], [], 0.02)[0]:
                try:
                    os.read(terminal, 1 << 16)
                except OSError:
                    return

    while not note.with_name(note.name + ".ready").exists():
        look(0.1)
    look(1.0)
    for part in [bytes([key]) for key in keys] if pause else [keys]:
        os.write(terminal, part)
        look(pause)
    look(1.0)
    os.write(terminal, b"\x1b[15~")
    deadline = time.monotonic() + 20
    while not note.exists() and time.monotonic() < deadline:
        look(0.1)
    look(0.5)
    os.waitpid(process, 0)
    return note.read_text()


CTRL_U, TAB = b"\x15", b"\t"
TRIES = 8
"""Most often the first burst is out of order."""
numbers = iter(range(100))


def told(keys: bytes, pause: float) -> str:
    return typed(keys, pause, folder / f"note-{next(numbers)}")


def out_of_order(keys: bytes, in_order: str) -> str | None:
    """What the first burst leaves that leaves something else than the keys one by one; None where none does."""
    assert told(keys, 0.1) == in_order, "one by one"
    return next((left for left in (told(keys, 0) for _ in range(TRIES)) if left != in_order), None)


seen = [out_of_order(CTRL_U + b"tmp", "tmp|"), out_of_order(b"xy" + TAB + b"zw", "abcxy|zw")]
print(seen)
sys.exit(None in seen)
PYTHON
if timeout 300 "$folder/venv/bin/python" "$folder/type.py" "$folder"; then
    echo "as described: a key with a binding acts after the characters behind it"
else
    echo "textual behaves otherwise than described" >&2
    exit 1
fi
