"""Commands that mirror each other, such as up and down, as one line of the help or of the palette."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise, takewhile, zip_longest

from tui_vae.ui.commands import Command

MIRRORED = (
    ("left", "right"), ("up", "down"), ("shift+left", "shift+right"), ("shift+up", "shift+down"),
    ("ctrl+left", "ctrl+right"), ("pageup", "pagedown"), ("home", "end"), ("shift+tab", "tab"),
    ("less_than_sign", "greater_than_sign"), ("comma", "full_stop"), ("plus", "minus"),
    ("left_square_bracket", "right_square_bracket"),
)  # fmt: skip
"""Keys that lead to opposite directions."""

_PLACES = {key: (number, place) for number, pair in enumerate(MIRRORED) for place, key in enumerate(pair)}


@dataclass(frozen=True)
class Entry:
    """One line: a command, or two that mirror each other."""

    keys: tuple[str, ...]
    text: str
    ids: tuple[str, ...]

    @property
    def names(self) -> str:
        """The ids by which users rebind the keys: `runs.page-up/down` for `runs.page-up` and `runs.page-down`."""
        return _joined(self.ids, ".-", "/")

    @property
    def key_text(self) -> str:
        """The keys side by side: `shift+← →` for `shift+←` and `shift+→`."""
        return _joined(self.keys, "+", " ")

    def has(self, words: str) -> bool:
        """Whether all these words stand in its keys, its text or its ids."""
        told = " ".join((*self.keys, self.text, *self.ids)).lower()
        wanted = words.lower()
        if len(wanted) > 1:
            wanted = wanted.removeprefix("/")  # typed out of habit: it begins a search in pagers and in Runs
        return all(word in told for word in wanted.split())


def _joined(words: Sequence[str], ends: str, between: str) -> str:
    """The words, without repeating what two neighbours share up to the last of these characters."""
    told = list(words[:1])
    for before, word in pairwise(words):
        shared = max((word.rfind(end) + 1 for end in ends), default=0)
        same = shared and before[:shared] == word[:shared] and not any(end in before[shared:] for end in ends)
        told.append(word[shared:] if same else word)
    return between.join(told)


def entries(commands: Sequence[Command]) -> list[Entry]:
    """The lines of these commands, in their order; the second of a pair stands with the first."""
    found: dict[object, list[Command]] = {}
    for command in commands:
        key = command.binding.key
        pair = (command.node, _PLACES[key][0]) if key in _PLACES else command.binding.id
        found.setdefault(pair, []).append(command)
    return [_entry(each) for each in found.values()]


def _entry(commands: list[Command]) -> Entry:
    commands = sorted(commands, key=lambda command: _PLACES.get(command.binding.key, (0, 0))[1])
    keys = dict.fromkeys(key for each in zip_longest(*(command.keys for command in commands)) for key in each if key)
    text = commands[0].tooltip
    for command in commands[1:]:
        text = both(text, command.tooltip)
    return Entry(tuple(keys), text, tuple(command.binding.id or "" for command in commands))


def both(one: str, other: str) -> str:
    """Two sentences as one: `The run above` and `The run below` are `The run above / below`."""
    first, second = one.split(), other.split()
    if first == second:
        return one
    changes = SequenceMatcher(None, first, second, autojunk=False).get_opcodes()
    if all(what in ("equal", "replace") for what, *_ in changes):
        parts = (first[a:b] if what == "equal" else _either(first[a:b], second[c:d]) for what, a, b, c, d in changes)
        return " ".join(word for part in parts for word in part)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
    return " ".join([*first, "/", *second[shared:]])


def _either(one: list[str], other: list[str]) -> list[str]:
    """Two beginnings of what goes on alike: the mark at the end of both stands once."""
    if one[-1][-1] == other[-1][-1] and one[-1][-1] in ",;":
        one = [*one[:-1], one[-1][:-1]]
    return [*one, "/", *other]
