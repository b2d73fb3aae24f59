"""Which data sets have names, and the forms of the options that say what to train on."""

from __future__ import annotations

import os
import re

from tui_vae.config.options import NotAllowed, absolute_path

DEFAULT_SET = "fashion-mnist"

NAMED_SETS = (
    DEFAULT_SET, "mnist", "kmnist", "qmnist",
    "emnist-balanced", "emnist-letters", "emnist-digits", "emnist-byclass", "emnist-bymerge", "emnist-mnist",
)  # fmt: skip
"""The data sets that have a name."""

SIDES = range(8, 257)
"""Heights and widths of images, in pixels, that can be trained on."""

_SIDE = "([89]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-6])"

SIZE = re.compile(f"{_SIDE}x{_SIDE}")
"""`HxW`, with both within `SIDES`."""


def dataset_or_path(text: str) -> str:
    """The name of a data set, or the absolute path of a file or folder.

    Raises:
        NotAllowed: it is neither: a single word that names no data set, nor anything in the working directory.
    """
    if text in NAMED_SETS:
        return text
    path = absolute_path(text)
    if os.sep not in text and not text.startswith("~") and not os.path.lexists(path):
        raise NotAllowed(f"a file or folder that is there, or one of {', '.join(NAMED_SETS)}")
    return path


def is_named(dataset: str) -> bool:
    """Whether the option `dataset` is a name, not a path."""
    return dataset in NAMED_SETS


def is_own(dataset: str, data_dir: str | None) -> bool:
    """Whether data are read from where the user says, not FashionMNIST from its usual places."""
    return dataset != DEFAULT_SET or data_dir is not None


def size_of(image_size: int | str | None) -> tuple[int, int] | None:
    """The height and width that the option `image_size` asks for, in pixels; None: as the images are."""
    if image_size is None or isinstance(image_size, int):
        return None if image_size is None else (image_size, image_size)
    height, width = image_size.split("x")
    return int(height), int(width)
