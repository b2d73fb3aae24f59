"""The names that Textual gives to keys: of those written as a character, and which names are keys at all.

Written for Textual 8.2: a binding may say `+` or `plus`, and the function that turns the one into the other is private
(`textual.keys._character_to_key`). Without it, two bindings of one key that are written differently are not seen to
clash.

To see whether it is still needed: look whether `textual.keys` has a public function of this kind.
"""

from __future__ import annotations

import unicodedata
from contextlib import suppress

from textual.keys import KEY_NAME_REPLACEMENTS, KEY_TO_UNICODE_NAME, Keys, _character_to_key


def key_name(key: str) -> str:
    """`+` → `plus`; names and letters stay as they are."""
    return _character_to_key(key) if len(key) == 1 else key


MODIFIERS = {"ctrl", "shift", "alt", "meta", "super", "hyper"}
"""What may stand before a key, with a plus: terminals with the Kitty protocol send them all."""


def is_key(key: str) -> bool:
    """Whether a terminal may send this key: a character or its name, or a key that Textual knows, with modifiers."""
    *modifiers, last = key_name(key).split("+")
    if not MODIFIERS.issuperset(modifiers):
        return False
    if len(last) == 1:
        return last.isprintable()
    if last in KEY_NAME_REPLACEMENTS.values() or last in {each.value for each in Keys}:
        return True
    with suppress(KeyError):
        return bool(unicodedata.lookup(KEY_TO_UNICODE_NAME.get(last, last.replace("_", " ").upper())))
    return False
