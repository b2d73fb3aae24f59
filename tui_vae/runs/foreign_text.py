"""Cleans the texts of a decoded message or event."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from tui_vae.plain_text import plain

Value = TypeVar("Value")


def cleaned(value: Value) -> Value:
    """A struct, list, tuple or dict with every text in it plain; itself where there is nothing to clean.

    Raises:
        RecursionError: it is nested too deeply.
    """
    fresh: Any = _cleaned(value)
    return fresh  # type: ignore[no-any-return]


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_cleaned, value))
    if isinstance(value, msgspec.Struct):
        fields = {name: getattr(value, name) for name in value.__struct_fields__}
        changes = {name: new for name, old in fields.items() if (new := _cleaned(old)) is not old and new != old}
        return msgspec.structs.replace(value, **changes) if changes else value
    return value
