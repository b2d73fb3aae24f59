"""Which test images there are, and in which order they are looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from tui_vae.runs import protocol
from tui_vae.runs.float_arrays import decode_floats

MARKED = -1
"""Stands for the images that the user marked where else a class stands."""


class Order(Enum):
    INDEX = "by index"
    WORST = "worst first"

    @property
    def other(self) -> Order:
        return Order.WORST if self is Order.INDEX else Order.INDEX


@dataclass(frozen=True, slots=True)
class Pair:
    """A test image beside its reconstruction. A saved preview knows neither its index nor its error."""

    original: bytes | None
    reconstruction: bytes
    label: str = ""
    index: int | None = None
    mse: float | None = None
    width: int = 0
    """In pixels; 0: the image is square."""


@dataclass(frozen=True, slots=True)
class ClassError:
    """A class of the test set, and the errors of its images."""

    label: int
    name: str
    images: int
    mean: float
    worst: float


@dataclass(frozen=True, slots=True)
class ImageErrors:
    """The error of every test image, under the weights of one step."""

    errors: Sequence[float]
    epoch: int
    step: int


@dataclass(frozen=True)
class TestSet:
    """The test set's classes and labels."""

    __test__: ClassVar[bool] = False
    """Its name makes it no test for pytest."""

    classes: tuple[str, ...]
    labels: bytes

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, label: int) -> str:
        if label == MARKED:
            return "marked"
        return self.classes[label] if label < len(self.classes) else f"class {label}"

    def chosen(self, label: int | None, errors: Sequence[float] | None, marked: Sequence[int] = ()) -> list[int]:
        """The images of one class, the marked ones, or all; the worst first where the errors are given."""
        if label == MARKED:
            indices = sorted(index for index in marked if index < len(self.labels))
        else:
            indices = [index for index, each in enumerate(self.labels) if label is None or each == label]
        if errors is not None:
            indices.sort(key=lambda index: -errors[index])
        return indices

    def by_class(self, errors: Sequence[float]) -> list[ClassError]:
        """How well each class is reconstructed, the worst first."""
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
    """So many images, one by one."""
    size = len(images) // count if count else 0
    return [images[number * size : (number + 1) * size] for number in range(count)]


def image_errors(reply: protocol.Errors) -> ImageErrors:
    """The mean squared errors of a reply."""
    return ImageErrors(decode_floats(reply.mse), reply.epoch, reply.step)


@dataclass
class Pager:
    """A place in a list of images, a page at a time. The page follows from the place: resizing never loses it."""

    order: Sequence[int] = ()
    place: int = 0
    capacity: int = 1

    @property
    def page(self) -> int:
        return self.place // self.capacity

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.order) // self.capacity))

    @property
    def start(self) -> int:
        return self.page * self.capacity

    @property
    def shown(self) -> list[int]:
        """The images on the page."""
        return list(self.order[self.start : self.start + self.capacity])

    @property
    def current(self) -> int | None:
        return self.order[self.place] if self.order else None

    def stretch(self, count: int) -> list[int]:
        """So many images, the present one among them; they stay the same until one steps beyond their end."""
        start = self.place // count * count
        return list(self.order[start : start + count])

    def step(self, by: int) -> bool:
        """Go some images further, as far as there are any; whether that led anywhere."""
        return self.jump(self.place + by)

    def turn(self, by: int) -> bool:
        """Go some pages further."""
        return self.jump(self.start + by * self.capacity) if 0 <= self.page + by < self.pages else False

    def jump(self, place: int) -> bool:
        before, self.place = self.place, max(0, min(place, len(self.order) - 1))
        return before != self.place

    def find(self, index: int) -> bool:
        """Go to an image, if it is in the list."""
        if index not in self.order:
            return False
        self.place = list(self.order).index(index)
        return True
