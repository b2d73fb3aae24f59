"""Keys and reports of a terminal, whatever it sends: a sequence that Textual's parser fails on is left out.

Written for Textual 3 to 8.2. `ESC [ 1114112 u`, `ESC [ : u` and a mouse report with a number of 400 digits raise
`ValueError` or `OverflowError` in the thread that reads the keyboard, and end the app. A report of a terminal without
rows or columns makes every later report of the mouse raise `ZeroDivisionError`; one of a million columns makes the app
draw them. The terminal's answer to a question about its background (OSC 11) is taken for keys.

To see whether it is still needed: return `XTermParser` itself from `prepare_input`, and run `tests/ui/test_keys.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from textual._parser import ParseError
from textual._time import get_time
from textual._xterm_parser import XTermParser
from textual.events import Resize
from textual.message import Message

from tui_vae.ui import background

PASTE, PASTE_END = "\x1b[200~", "\x1b[201~"
"""Around a text that the user pastes, which may hold anything."""

HOLD_SECONDS = 1.0
"""Seconds for which the beginning of an answer waits for its rest, which a slow line may bring later."""

MOST_CELLS = 10_000
"""Columns or rows of the largest terminal that is believed in."""

MOST_PIXELS = 1_000_000
"""Pixels along a side of the largest terminal that is believed in."""


class ForgivingParser(XTermParser):
    """Begins anew after a sequence that makes no sense, and goes on with the next character.

    It reads the answers that `background.py` asks for; Textual's own parser sees nothing of them.
    """

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._held = ""
        """What may be an answer, without its escape character, which Textual's parser has and waits with."""
        self._held_since = 0.0
        self._recent = ""
        self._pasting = False

    def feed(self, data: str) -> Iterable[Message]:
        for character in data or ("",):  # no data are the end
            yield from self._hear(character)

    def tick(self) -> Iterable[Message]:
        if self._held:
            if get_time() - self._held_since > HOLD_SECONDS:
                yield from self._release()
        else:
            yield from self._forgiving(super().tick())

    def _hear(self, character: str) -> Iterator[Message]:
        begins = character == "]" and self._recent.endswith("\x1b") and self._timeout_time is not None
        self._recent = (self._recent + character)[-len(PASTE) :]
        self._pasting = self._recent == PASTE or (self._pasting and self._recent != PASTE_END)
        if self._held:
            self._held += character
            if background.is_whole(self._held):
                report, self._held = background.report_of(self._held), ""
                self._begin_anew()
                if report is not None:
                    yield report
            elif not character or not background.may_become_one(self._held):
                yield from self._release()
                if not character:
                    yield from self._forgiving(super().feed(character))
        elif begins and not self._pasting:
            self._held, self._held_since = character, get_time()
        else:
            yield from self._forgiving(super().feed(character))

    def _release(self) -> Iterator[Message]:
        """It was no answer: what was held back is keys."""
        held, self._held = self._held, ""
        for character in held:
            yield from self._forgiving(super().feed(character))

    def _begin_anew(self) -> None:
        self._tokens.clear()
        self._timeout_time = None
        self._gen = self.parse(self._tokens.append)
        self._awaiting = next(self._gen)

    def _forgiving(self, messages: Iterable[Message]) -> Iterator[Message]:
        try:
            for message in messages:
                if not isinstance(message, Resize) or _is_a_size(message):
                    yield message
        except ParseError:
            raise
        except (ArithmeticError, ValueError):
            self.mouse_pixels, self.terminal_size, self.terminal_pixel_size = False, None, None
            self._begin_anew()


def _is_a_size(event: Resize) -> bool:
    pixels = event.pixel_size or (0, 0)
    return all(0 < side <= MOST_CELLS for side in event.size) and all(side <= MOST_PIXELS for side in pixels)
