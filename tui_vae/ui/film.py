"""The saved previews of a run: how its reconstructions of a few fixed images were learnt."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tui_vae.runs.previews import read_originals, read_previews
from tui_vae.ui.test_set import Pair


@dataclass
class Film:
    """The previews in the order of their epochs."""

    originals: list[Pair] = field(default_factory=list)
    frames: list[tuple[int, tuple[bytes, ...]]] = field(default_factory=list)
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
    saved = read_originals(folder)
    originals = [
        Pair(
            original=image,
            reconstruction=image,
            label=classes[saved.labels[at]] if at < len(saved.labels) and saved.labels[at] < len(classes) else "",
            index=saved.indices[at] if at < len(saved.indices) else None,
        )
        for at, image in enumerate(saved.images)
    ]
    frames = read_previews(folder, saved.width, newest_only)
    return Film(originals, frames, max(0, len(frames) - 1), width=saved.width)
