"""A setting as the line above the images names it, in Browse and in Latent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """`class Coat c`: a label, its value, and the key that changes it."""

    label: str
    value: str
    key: str = ""
