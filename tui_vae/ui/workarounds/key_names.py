"""The name that Textual gives to a key, for keys that are written as a character.

Written for Textual 8.2: a binding may say `+` or `plus`, and the function that turns the one into the other is private
(`textual.keys._character_to_key`). Without it, two bindings of one key that are written differently are not seen to
clash.

To see whether it is still needed: look whether `textual.keys` has a public function of this kind.
"""

from __future__ import annotations

from textual.keys import _character_to_key


def key_name(key: str) -> str:
    """`+` → `plus`; names and letters stay as they are."""
    return _character_to_key(key) if len(key) == 1 else key
