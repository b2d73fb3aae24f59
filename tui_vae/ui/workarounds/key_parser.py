"""Keys and reports of a terminal, whatever it sends: a sequence that Textual's parser fails on is left out.

Written for Textual 3 to 8.2. `ESC [ 1114112 u`, `ESC [ : u` and a mouse report with a number of 400 digits raise
`ValueError` or `OverflowError` in the thread that reads the keyboard, and end the app. A report of a terminal without
rows or columns makes every later report of the mouse raise `ZeroDivisionError`; one of a million columns makes the app
draw them.

To see whether it is still needed: return `XTermParser` itself from `prepare_input`, and run `tests/ui/test_keys.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.events import Resize
from textual.message import Message

MOST_CELLS = 10_000
"""Columns or rows of the largest terminal that is believed in."""

MOST_PIXELS = 1_000_000
"""Pixels along a side of the largest terminal that is believed in."""


class ForgivingParser(XTermParser):
    """Begins anew after a sequence that makes no sense, and goes on with the next character."""

    def feed(self, data: str) -> Iterable[Message]:
        for character in data or ("",):  # no data are the end
            yield from self._forgiving(super().feed(character))

    def tick(self) -> Iterable[Message]:
        yield from self._forgiving(super().tick())

    def _forgiving(self, messages: Iterable[Message]) -> Iterator[Message]:
        try:
            for message in messages:
                if not isinstance(message, Resize) or _is_a_size(message):
                    yield message
        except ParseError:
            raise
        except (ArithmeticError, ValueError):
            self._tokens.clear()
            self._timeout_time = None
            self.mouse_pixels, self.terminal_size, self.terminal_pixel_size = False, None, None
            self._gen = self.parse(self._tokens.append)
            self._awaiting = next(self._gen)


def _is_a_size(event: Resize) -> bool:
    pixels = event.pixel_size or (0, 0)
    return all(0 < side <= MOST_CELLS for side in event.size) and all(side <= MOST_PIXELS for side in pixels)
