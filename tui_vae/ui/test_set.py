"""The test set's classes and labels, and its images beside their reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tui_vae.runs import protocol
from tui_vae.runs.labels import decode_labels
from tui_vae.ui.images.picture import Picture, split

MARKED = -1
"""Takes the place of a class's number and stands for the images that the user marked."""


NO_CLASSES = "These images have no labels, so there are no classes to choose from."


@dataclass(frozen=True, slots=True)
class Pair:
    """A test image beside its reconstruction. A saved preview has no error, and may have no index."""

    original: Picture | None
    reconstruction: Picture
    label: str = ""
    """The name of its class; empty where the images have no classes."""
    index: int | None = None
    mse: float | None = None


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
    labels: Sequence[int]
    """The class of each image; empty where the images have none."""
    count: int = 0
    """How many images there are, where they have no labels."""

    def __len__(self) -> int:
        return len(self.labels) or self.count

    @property
    def has_classes(self) -> bool:
        return len(self.labels) > 0

    def name(self, label: int) -> str:
        """The name of a class, or of the list of marked images."""
        if label == MARKED:
            return "marked"
        return self.classes[label] if label < len(self.classes) else f"class {label}"

    def name_of(self, index: int) -> str:
        """The name of an image's class; empty where the images have none."""
        return self.name(self.labels[index]) if self.has_classes else ""

    def names_of(self, labels: Sequence[int]) -> tuple[str, ...]:
        """The names of all classes, or of those among these labels where the data name none; none without labels."""
        names = self.classes or tuple(map(self.name, sorted(set(labels))))
        return names if self.has_classes else ()

    def chosen(self, label: int | None, errors: Sequence[float] | None, marked: Sequence[int] = ()) -> list[int]:
        """The indices of one class's images, of the marked ones, or of all; the worst first where errors are given."""
        if label == MARKED:
            indices = sorted(index for index in marked if index < len(self))
        elif label is None:
            indices = list(range(len(self)))
        else:
            indices = [index for index, each in enumerate(self.labels) if each == label]
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


def test_set_of(description: protocol.Description) -> TestSet:
    """The test set of a run's process."""
    count = description.image_count
    return TestSet(description.classes, decode_labels(description.labels, count), count)


def pairs_of(reply: protocol.Reconstructions, test_set: TestSet) -> list[Pair]:
    """The images of a reply, one by one."""
    count = len(reply.indices)
    names = [test_set.name(label) for label in decode_labels(reply.labels, count)] or [""] * count
    originals, reconstructions = (
        split(images, count, reply.width, reply.channels) for images in (reply.originals, reply.reconstructions)
    )
    return [
        Pair(original, reconstruction, name, index, mse)
        for original, reconstruction, name, index, mse in zip(
            originals, reconstructions, names, reply.indices, reply.mse, strict=True
        )
    ]
