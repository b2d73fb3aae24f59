"""What a terminal sends, whatever it is, ends in keys or in nothing, never in an end of the app."""

from __future__ import annotations

import time

import pytest
from textual.drivers import linux_driver
from textual.events import Key, MouseMove, Resize
from textual.message import Message

from tui_vae.ui.user_keys import checked, known_commands
from tui_vae.ui.workarounds.terminal_end import prepare_input

PAUSE = 0.3
"""Seconds between two reads: longer than Textual waits for the rest of a sequence that has begun with Escape."""


def heard(*reads: str) -> list[Message]:
    prepare_input()
    parser = vars(linux_driver)["XTermParser"]()
    messages: list[Message] = []
    for data in reads:
        messages += parser.feed(data)
        time.sleep(PAUSE)
        messages += parser.tick()
    return messages


@pytest.mark.parametrize(
    "sequence",
    ["\x1b[1114112u", "\x1b[:u", "\x1b[97;:u", "\x1b[97;1;99999999999u", f"\x1b[<35;{'9' * 20};1M",
     "\x1b[48;0;0;0;0t\x1b[<35;1;1M", "\x1b[48;999999;999999;9;9t"],
)  # fmt: skip
def test_a_sequence_without_sense_is_left_out(sequence: str) -> None:
    messages = heard("a", sequence, "b")
    keys = [message.key for message in messages if isinstance(message, Key)]
    assert (keys[0], keys[-1]) == ("a", "b")  # Textual before 8.2.8 takes the characters of some for keys
    assert not any(isinstance(message, Resize) for message in messages)


def test_a_terminal_that_does_not_know_its_pixels_has_a_size_and_a_mouse() -> None:
    messages = heard("\x1b[48;24;80;0;0t", "\x1b[<35;10;20M", "\x1b[<35;11;20M")
    assert [message.size for message in messages if isinstance(message, Resize)] == [(80, 24)]
    assert [message.x for message in messages if isinstance(message, MouseMove)][-1:] == [10]


def test_what_makes_sense_is_heard_as_before() -> None:
    keys = heard("\x1b[A", "\x1b[97;5u", "\x1b[<35;10;20M", "\x1b[48;24;80;480;800t", "é")
    assert [message.key for message in keys if isinstance(message, Key)] == ["up", "ctrl+a", "é"]
    assert [(message.x, message.y) for message in keys if isinstance(message, MouseMove)] == [(9, 19)]
    assert [message.size for message in keys if isinstance(message, Resize)] == [(80, 24)]


def test_a_key_that_no_terminal_sends_is_refused_and_the_usual_one_holds() -> None:
    known = known_commands()
    for key in ("f13", "ctrl+x", "ctrl+shift+left", "section_sign", "é", "ctrl+full_stop", "f12", "Q"):
        assert checked({"run.stop": key}, known) == ({"run.stop": key}, []), key
    for key in ("AltGr+9", "strg+x", "f99", "ctrl+", "left mouse"):
        good, complaints = checked({"run.stop": f"ctrl+x,{key}"}, known)
        assert not good and f"cannot have the key {key}" in complaints[0], key
