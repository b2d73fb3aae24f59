"""Keys of the user's own: the commands that they can bind, and the bindings that would clash."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

from textual.binding import Binding
from textual.dom import DOMNode

import tui_vae.ui
from tui_vae.ui.workarounds.key_names import is_key, key_name

EVERYWHERE = {"app", "run", "pane"}
"""First words of the ids of commands that work in every pane."""

MODAL = {"dialog", "help", "form", "choice"}
"""First words of the ids of commands in screens above the panes, which take all keys."""


def known_commands() -> dict[str, Binding]:
    """Every command of the app by its id, in the order of the ids. This imports all modules of the app."""
    for module in pkgutil.walk_packages(tui_vae.ui.__path__, "tui_vae.ui."):
        importlib.import_module(module.name)
    known = {binding.id: binding for node in _nodes(DOMNode) for binding in node.__dict__.get("BINDINGS", ())
             if isinstance(binding, Binding) and binding.id}  # fmt: skip
    return dict(sorted(known.items()))


def _nodes(kind: type[DOMNode]) -> Iterator[type[DOMNode]]:
    for each in kind.__subclasses__():
        if each.__module__.startswith("tui_vae.ui"):
            yield each
        yield from _nodes(each)


def checked(wanted: Mapping[str, str], known: Mapping[str, Binding]) -> tuple[dict[str, str], list[str]]:
    """The bindings that are possible, and a sentence for each other one, whose command keeps its usual keys."""
    complaints = [f"There is no command {name}{_nearest(name, known)}." for name in wanted if name not in known]
    good = {name: keys for name, keys in wanted.items() if name in known}
    for name, keys in list(good.items()):
        unknown = [key for key in map(str.strip, keys.split(",")) if key and not is_key(key)]
        if unknown:
            del good[name]
            complaints.append(f"{name} cannot have the key {unknown[0]}, which no terminal sends; its usual keys hold.")
    while (clash := _clash(good, known)) is not None:
        name, other, key = clash
        del good[name]
        complaints.append(f"{name} cannot have the key {key}: {other} has it; its usual keys hold.")
    return good, complaints


def _clash(wanted: Mapping[str, str], known: Mapping[str, Binding]) -> tuple[str, str, str] | None:
    """The first wanted command with a key that another command has at the same time; the other command; the key."""
    keys = {name: _keys(wanted.get(name, binding.key)) for name, binding in known.items()}
    for name in wanted:
        for other in known:
            shared = keys[name] & keys[other] if other != name and _together(name, other) else set()
            shared -= _keys(known[name].key) & _keys(known[other].key)  # both have it by default, and that is meant
            if shared:
                return name, other, min(shared)
    return None


def _together(one: str, other: str) -> bool:
    first, second = one.partition(".")[0], other.partition(".")[0]
    if first == second:
        return True
    return (first in EVERYWHERE and second not in MODAL) or (second in EVERYWHERE and first not in MODAL)


def _keys(text: str) -> set[str]:
    names = (key.strip() for key in text.split(","))
    return {key_name(key) for key in names}


def _nearest(name: str, known: Mapping[str, Binding]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""
