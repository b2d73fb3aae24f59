"""The saved previews of a run: its reconstructions of a few fixed images, epoch after epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tui_vae.runs.previews import read_originals, read_previews
from tui_vae.ui.images.picture import Picture
from tui_vae.ui.test_set import Pair

SAVED_SECONDS = 0.3
"""Seconds that a living process has for its first answer before the saved previews are shown: mostly it is faster."""


@dataclass
class Film:
    """The previews in the order of their epochs."""

    originals: list[Pair] = field(default_factory=list)
    frames: list[tuple[int, tuple[Picture, ...]]] = field(default_factory=list)
    """For each epoch that saved a preview, its number and the reconstructions of the originals."""
    position: int = 0
    """The place of the current frame."""
    playing: bool = False

    @property
    def epoch(self) -> int:
        """The epoch of the current frame."""
        return self.frames[self.position][0] if self.frames else 0

    @property
    def pairs(self) -> list[Pair]:
        """The images of the current frame."""
        if not self.frames:
            return []
        return [
            Pair(original.original, reconstruction, original.label, original.index)
            for original, reconstruction in zip(self.originals, self.frames[self.position][1], strict=False)
        ]

    @property
    def both(self) -> list[tuple[Picture, Picture]]:
        """The images of the current frame, each original with its reconstruction."""
        return [(pair.original, pair.reconstruction) for pair in self.pairs if pair.original is not None]

    def step(self, by: int) -> bool:
        """Move by some frames, at most to the first or the last one; return whether the position has changed."""
        before, self.position = self.position, max(0, min(self.position + by, len(self.frames) - 1))
        return before != self.position


def read_film(folder: Path, classes: tuple[str, ...], newest_only: bool = False) -> Film:
    """The previews saved so far, with the newest as the current frame. A missing or damaged file is passed
    over, and so is one whose images have not the size of the originals.

    `newest_only` reads that frame alone.
    """
    saved = read_originals(folder)
    originals = [
        Pair(
            original=(picture := Picture.of(image, saved.width, saved.channels)),
            reconstruction=picture,
            label=classes[saved.labels[at]] if at < len(saved.labels) and saved.labels[at] < len(classes) else "",
            index=saved.indices[at] if at < len(saved.indices) else None,
        )
        for at, image in enumerate(saved.images)
    ]
    frames = [
        (epoch, tuple(Picture.of(image, saved.width, saved.channels) for image in images))
        for epoch, images in read_previews(folder, saved.width, newest_only, saved.channels)
        if not saved.images or {len(image) for image in images} <= {len(image) for image in saved.images}
    ]
    return Film(originals, frames, max(0, len(frames) - 1))
