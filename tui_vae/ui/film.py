"""The saved previews of a run: how its reconstructions of a few fixed images were learnt."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tui_vae.ui.test_set import Pair

ORIGINALS = "originals.png"
_FRAME = re.compile(r"epoch-(\d+)\.png")


@dataclass
class Film:
    """The previews in the order of their epochs."""

    originals: list[Pair] = field(default_factory=list)
    frames: list[tuple[int, list[bytes]]] = field(default_factory=list)
    position: int = 0
    playing: bool = False
    width: int = 0
    """Of each image, in pixels; 0 for square ones."""

    @property
    def epoch(self) -> int:
        return self.frames[self.position][0] if self.frames else 0

    @property
    def pairs(self) -> list[Pair]:
        """The images of the current frame."""
        if not self.frames:
            return []
        return [
            Pair(original.original, reconstruction, original.label, original.index, width=self.width)
            for original, reconstruction in zip(self.originals, self.frames[self.position][1], strict=False)
        ]

    @property
    def both(self) -> list[tuple[bytes, bytes]]:
        """The originals and the reconstructions of the current frame."""
        return [(pair.original, pair.reconstruction) for pair in self.pairs if pair.original is not None]

    def step(self, by: int) -> bool:
        """Go some frames further, as far as there are any; whether that led anywhere."""
        before, self.position = self.position, max(0, min(self.position + by, len(self.frames) - 1))
        return before != self.position


def read_film(folder: Path, classes: tuple[str, ...], newest_only: bool = False) -> Film:
    """The previews saved so far, at the newest one. A file that is missing or damaged is passed over."""
    images, facts = _read(folder / ORIGINALS)
    width = (*_numbers(facts.get("width", "")), 0)[0]
    indices, labels = _numbers(facts.get("indices", "")), _numbers(facts.get("labels", ""))
    originals = [
        Pair(
            original=image,
            reconstruction=image,
            label=classes[labels[at]] if at < len(labels) and labels[at] < len(classes) else "",
            index=indices[at] if at < len(indices) else None,
        )
        for at, image in enumerate(images)
    ]
    numbered = sorted((int(match[1]), path) for path in folder.glob("*.png") if (match := _FRAME.fullmatch(path.name)))
    wanted = numbered[-1:] if newest_only else numbered
    frames = [(epoch, images) for epoch, path in wanted if (images := _read(path, width)[0])]
    return Film(originals, frames, max(0, len(frames) - 1), width=width)


def _read(path: Path, width: int = 0) -> tuple[list[bytes], dict[str, str]]:
    """The images of a file, side by side, and the texts in it; as wide as it says, else as given, else as high."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            sheet = file.convert("L")
            texts = {str(key): value for key, value in file.info.items() if isinstance(value, str)}
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # whatever a damaged PNG makes Pillow say
        return [], {}
    width = (*_numbers(texts.get("width", "")), width)[0] or sheet.height
    starts = range(0, sheet.width - width + 1, width)
    return [sheet.crop((x, 0, x + width, sheet.height)).tobytes() for x in starts], texts


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part.isdecimal() and len(part) < 10]
