"""Which test images Browse lists, in which order, and which one of them is selected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from tui_vae.runs import protocol
from tui_vae.runs.float_arrays import decode_floats
from tui_vae.ui.test_set import MARKED, TestSet


class Order(Enum):
    """The order in which images are listed."""

    INDEX = "by index"
    WORST = "worst first"

    @property
    def other(self) -> Order:
        """The order that a key turns to."""
        return Order.WORST if self is Order.INDEX else Order.INDEX


@dataclass(frozen=True, slots=True)
class ImageErrors:
    """The mean squared error of every test image, under the weights of one step."""

    errors: Sequence[float]
    epoch: int
    step: int

    @classmethod
    def of(cls, reply: protocol.Errors) -> ImageErrors:
        """The errors that a reply carries as float32."""
        return cls(decode_floats(reply.mse), reply.epoch, reply.step)


@dataclass
class Pager:
    """A place in a list of images, which is shown page by page.

    The page follows from the place, so that a resized page still holds the selected image.
    """

    order: Sequence[int] = ()
    """The indices of the images in the list."""
    place: int = 0
    capacity: int = 1
    """Images a page."""

    @property
    def page(self) -> int:
        """The number of the page that holds the place, from 0."""
        return self.place // self.capacity

    @property
    def pages(self) -> int:
        """How many pages there are; one where the list is empty."""
        return max(1, -(-len(self.order) // self.capacity))

    @property
    def start(self) -> int:
        """The place of the page's first image."""
        return self.page * self.capacity

    @property
    def shown(self) -> list[int]:
        """The images on the page."""
        return list(self.order[self.start : self.start + self.capacity])

    @property
    def current(self) -> int | None:
        """The selected image."""
        return self.order[self.place] if self.order else None

    def stretch(self, count: int) -> list[int]:
        """This many images around the selected one; they stay the same until a step leads beyond them."""
        start = self.place // count * count
        return list(self.order[start : start + count])

    def step(self, by: int) -> bool:
        """Move the selection by some images, at most to the list's end; return whether it moved."""
        return self.jump(self.place + by)

    def turn(self, by: int) -> bool:
        """Move the selection by some pages; return whether it moved."""
        return self.jump(self.start + by * self.capacity) if 0 <= self.page + by < self.pages else False

    def jump(self, place: int) -> bool:
        """Move the selection to a place, or the nearest end of the list; return whether it moved."""
        before, self.place = self.place, max(0, min(place, len(self.order) - 1))
        return before != self.place

    def find(self, index: int) -> bool:
        """Move the selection to an image; return whether the list has it."""
        if index not in self.order:
            return False
        self.place = list(self.order).index(index)
        return True


class Selection:
    """The list of test images and the selected one, with the choices that the list is made from."""

    def __init__(self, order: Order, marked: list[int]) -> None:
        self.test_set: TestSet | None = None
        """None before the model has described it."""
        self.errors: ImageErrors | None = None
        """None until they are measured, and when they must be measured again."""
        self.label: int | None = None
        """The class whose images are listed; MARKED for the marked images, None for all images."""
        self.order = order
        self.marked = marked
        """The indices of the images that the user marked, in the order of marking."""
        self.pager = Pager()

    @property
    def label_name(self) -> str:
        """The name of the class whose images are listed, or `all`."""
        return "all" if self.label is None or self.test_set is None else self.test_set.name(self.label)

    def begin(self, test_set: TestSet) -> TestSet:
        """List the images of a test set that is known from now on."""
        self.test_set = test_set
        self.make_list()
        return test_set

    def make_list(self, keep: bool = False) -> None:
        """List the images anew. Select the first one, or with `keep` the one selected before, if it is in the list."""
        if self.test_set is None:
            return
        current = self.pager.current
        errors = self.errors.errors if self.errors and self.order is Order.WORST else None
        self.pager.order = self.test_set.chosen(self.label, errors, self.marked)
        if not (keep and current is not None and self.pager.find(current)):
            self.pager.place = 0

    def turn_class(self, by: int) -> None:
        """Choose the class that lies this many further: all, each class, the marked images, and all again.

        `make_list` then lists its images.
        """
        classes = range(len(self.test_set.classes)) if self.test_set and self.test_set.has_classes else ()
        choices = [None, *classes, *([MARKED] if self.marked else [])]
        self.label = choices[(choices.index(self.label) + by) % len(choices)]

    def toggle_mark(self, index: int) -> None:
        """Mark an image, or remove its mark. When the last mark goes while the marked are listed, list all images."""
        others = [each for each in self.marked if each != index]
        self.marked = others if index in self.marked else [*others, index]
        if self.label == MARKED and not self.marked:
            self.label = None
            self.make_list()

    def go_to(self, index: int) -> None:
        """Select an image, among all images if it is not in the list."""
        if not self.pager.find(index):
            self.label = None
            self.make_list()
            self.pager.find(index)
