"""The test set's classes and labels, and its images beside their reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tui_vae.runs import protocol

MARKED = -1
"""Takes the place of a class's number and stands for the images that the user marked."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A test image beside its reconstruction. A saved preview has no error, and may have no index."""

    original: bytes | None
    reconstruction: bytes
    label: str = ""
    """The name of its class."""
    index: int | None = None
    mse: float | None = None
    width: int = 0
    """In pixels; 0: the image is square."""


@dataclass(frozen=True, slots=True)
class ClassError:
    """The errors of a class's test images."""

    label: int
    name: str
    images: int
    """How many there are."""
    mean: float
    worst: float


@dataclass(frozen=True)
class TestSet:
    """The test set's classes and labels."""

    __test__: ClassVar[bool] = False
    """Tells pytest that this is no test, although its name begins like one."""

    classes: tuple[str, ...]
    labels: bytes
    """The class of each image, a byte an image."""

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, label: int) -> str:
        """The name of a class, or of the list of marked images."""
        if label == MARKED:
            return "marked"
        return self.classes[label] if label < len(self.classes) else f"class {label}"

    def chosen(self, label: int | None, errors: Sequence[float] | None, marked: Sequence[int] = ()) -> list[int]:
        """The indices of one class's images, of the marked ones, or of all; the worst first where errors are given."""
        if label == MARKED:
            indices = sorted(index for index in marked if index < len(self.labels))
        else:
            indices = [index for index, each in enumerate(self.labels) if label is None or each == label]
        if errors is not None:
            indices.sort(key=lambda index: -errors[index])
        return indices

    def by_class(self, errors: Sequence[float]) -> list[ClassError]:
        """Every class with its images' errors, the class with the highest mean first."""
        found: dict[int, list[float]] = {}
        for label, error in zip(self.labels, errors, strict=False):
            found.setdefault(label, []).append(error)
        table = [
            ClassError(label, self.name(label), len(each), sum(each) / len(each), max(each))
            for label, each in found.items()
        ]
        return sorted(table, key=lambda row: -row.mean)


def pairs_of(reply: protocol.Reconstructions, test_set: TestSet) -> list[Pair]:
    """The images of a reply, one by one."""
    count = len(reply.indices)
    images = zip(split(reply.originals, count), split(reply.reconstructions, count), strict=True)
    return [
        Pair(original, reconstruction, test_set.name(label), index, mse, reply.width)
        for (original, reconstruction), label, index, mse in zip(
            images, reply.labels, reply.indices, reply.mse, strict=True
        )
    ]


def split(images: bytes, count: int) -> list[bytes]:
    """The `count` images of one size that stand in a row in `images`."""
    size = len(images) // count if count else 0
    return [images[number * size : (number + 1) * size] for number in range(count)]
