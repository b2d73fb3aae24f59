"""Latent's views, its keys, and in which of the views each makes sense."""

from __future__ import annotations

from enum import Enum

from textual.binding import Binding, BindingType

FAR = 8
"""Cells that the cursor moves with shift; up and down half as many, since a cell is twice as high as it is wide."""


class View(Enum):
    """What the pane shows."""

    PLANE = "plane"
    GRID = "grid"
    TRAVERSE = "traverse"
    INTERPOLATE = "interpolate"
    SAMPLES = "samples"
    KL = "KL"
    NEAREST = "nearest"
    """The training images nearest to a sample, in front of the samples."""


BOARDS = (View.GRID, View.TRAVERSE, View.INTERPOLATE, View.SAMPLES, View.NEAREST)
"""The views that are pages of images."""

WAITING = {
    View.GRID: "the grid is being decoded …",
    View.TRAVERSE: "the traversals are being decoded …",
    View.INTERPOLATE: "the images from a to b are being decoded …",
    View.SAMPLES: "the samples are being drawn …",
    View.NEAREST: "searching all training images …",
}
"""What a page of images waits for."""

VIEWS = tuple(view for view in View if view is not View.NEAREST)
"""The views that a key turns to."""

MARK = Binding.Group("mark")

BINDINGS: list[BindingType] = [
    Binding("v,tab", "turn_view(1)", "view", id="latent.view", tooltip="The next view: plane, traverse, …"),
    Binding("V,shift+tab", "turn_view(-1)", "view back", id="latent.view-back", show=False,
            tooltip="The view before"),
    Binding("left", "move(-1, 0)", "left", id="latent.left", show=False,
            tooltip="Cursor left; b: the test image before; the bar or sample before; the grid's axis across"),
    Binding("right", "move(1, 0)", "right", id="latent.right", show=False,
            tooltip="Cursor right; b: the test image after; the bar or sample after; the grid's axis across"),
    Binding("up,k", "move(0, -1)", "up", id="latent.up", show=False,
            tooltip="Cursor up; the dimension or sample above; a: the test image before; the grid's axis up"),
    Binding("down,j", "move(0, 1)", "down", id="latent.down", show=False,
            tooltip="Cursor down; the dimension or sample below; a: the test image after; the grid's axis up"),
    Binding("shift+left", f"far(-{FAR}, 0)", "far left", id="latent.far-left", show=False,
            tooltip="Cursor far to the left"),
    Binding("shift+right", f"far({FAR}, 0)", "far right", id="latent.far-right", show=False,
            tooltip="Cursor far to the right"),
    Binding("shift+up", f"far(0, -{FAR // 2})", "far up", id="latent.far-up", show=False,
            tooltip="Cursor far up"),
    Binding("shift+down", f"far(0, {FAR // 2})", "far down", id="latent.far-down", show=False,
            tooltip="Cursor far down"),
    Binding("enter", "open", "nearest", id="latent.open",
            tooltip="Cursor to the nearest test image; from the KL to that dimension's traversal; from a sample to the "
            "training images nearest to it"),
    Binding("escape", "back", "back", id="latent.back", tooltip="From the nearest images to the samples"),
    Binding("home", "home", "mean", id="latent.home", tooltip="Cursor back to the mean of all test images"),
    Binding("a", "mark('a')", "mark a", id="latent.mark-a", group=MARK,
            tooltip="Interpolate from this test image: the one nearest to the cursor, or by its index"),
    Binding("b", "mark('b')", "mark b", id="latent.mark-b", group=MARK,
            tooltip="Interpolate to this test image: the one nearest to the cursor, or by its index"),
    Binding("c", "choose_class(1)", "class", id="latent.class",
            tooltip="Only one class in colour, or samples of one class: the next one"),
    Binding("C", "choose_class(-1)", "class back", id="latent.class-back", show=False,
            tooltip="Only one class in colour, or samples of one class: the one before"),
    Binding("*", "signs", "marks", id="latent.signs", tooltip="The classes' signs everywhere, or dots among them"),
    Binding("o", "order", "order", id="latent.order", tooltip="Dimensions by their number, or by their KL"),
    Binding("y", "form", "form", id="latent.form",
            tooltip="Interpolation straight or along a sphere; KL as bars, as q(z) beside the prior, or by epoch"),
    Binding("f8", "draw", "draw", id="latent.draw", tooltip="Draw new samples"),
    Binding("S", "source", "Gaussian", id="latent.source",
            tooltip="Samples from the Gaussian fitted to the encoder's z, or from the prior N(0, I)"),
    Binding("z", "size", "size", id="latent.size", tooltip="Images at full or half size"),
    Binding("f", "freeze", "freeze", id="latent.freeze", tooltip="Freeze the view, or follow the newest weights"),
    Binding("p", "app.turn_toning", "colours", id="latent.palette",
            tooltip="The tones of grey images: bone (in true colour), grey, inverted"),
]  # fmt: skip

ACTIONS: dict[str, set[View]] = {
    "move": {View.PLANE, View.GRID, View.TRAVERSE, View.INTERPOLATE, View.SAMPLES, View.KL},
    "far": {View.PLANE},
    "open": {View.PLANE, View.SAMPLES, View.KL},
    "back": {View.NEAREST},
    "form": {View.INTERPOLATE, View.KL},
    "home": {View.PLANE, View.GRID, View.TRAVERSE},
    "mark": {View.PLANE, View.INTERPOLATE},
    "choose_class": {View.PLANE, View.SAMPLES},
    "signs": {View.PLANE},
    "order": {View.GRID, View.TRAVERSE, View.KL},
    "draw": {View.SAMPLES},
    "source": {View.SAMPLES},
    "size": {View.GRID, View.TRAVERSE, View.INTERPOLATE, View.SAMPLES, View.NEAREST},
}
"""The views in which each action makes sense; an action that is not named makes sense in all."""

DESCRIPTIONS: dict[tuple[str, object], str] = {
    ("open", View.KL): "traverse", ("open", View.SAMPLES): "nearest training images",
}  # fmt: skip
"""What an action does in a view where that is something else than its binding says."""
