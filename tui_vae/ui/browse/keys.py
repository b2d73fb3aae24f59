"""Browse's views, its keys, and in which of the views each makes sense."""

from __future__ import annotations

from enum import Enum

from textual.binding import Binding, BindingType


class View(Enum):
    """What the pane shows: pages of pairs, one image, the time-lapse, or the table of classes."""

    PAGE = "page"
    IMAGE = "image"
    FILM = "film"
    CLASSES = "classes"


PAGING = Binding.Group("page")
ENDS = Binding.Group("interpolate")
BINDINGS: list[BindingType] = [
    Binding("left", "step(-1)", "previous", id="browse.left", show=False, tooltip="Previous image, or frame"),
    Binding("right", "step(1)", "next", id="browse.right", show=False, tooltip="Next image, or frame"),
    Binding("up,k", "row(-1)", "up", id="browse.up", show=False, tooltip="The image above"),
    Binding("down,j", "row(1)", "down", id="browse.down", show=False, tooltip="The image below"),
    Binding("pagedown", "turn(1)", "next page", id="browse.page-down", group=PAGING,
            tooltip="Next page"),
    Binding("pageup", "turn(-1)", "previous page", id="browse.page-up", group=PAGING,
            tooltip="Previous page"),
    Binding("home,g", "ends(0)", "first", id="browse.home", show=False, tooltip="First image"),
    Binding("end,G", "ends(-1)", "last", id="browse.end", show=False, tooltip="Last image"),
    Binding("enter", "open", "large", id="browse.open", tooltip="The selected image large, with its difference"),
    Binding("escape", "close", "back", id="browse.close", tooltip="Back to the page"),
    Binding("c", "choose_class(1)", "class", id="browse.class", tooltip="Only one class: the next one"),
    Binding("C", "choose_class(-1)", "class back", id="browse.class-back", show=False,
            tooltip="Only one class: the one before"),
    Binding("W", "classes", "worst classes", id="browse.classes", tooltip="Which classes are reconstructed worst"),
    Binding("o", "order", "order", id="browse.order", tooltip="By index, or by error, the worst first"),
    Binding("U", "measure", "measure", id="browse.measure",
            tooltip="Measure every test image's error again, under the newest weights"),
    Binding("m", "mark", "mark", id="browse.mark", tooltip="Mark the image, or not; c also shows the marked ones"),
    Binding(":", "go_to", "go to", id="browse.go-to", tooltip="Go to a test image by its index"),
    Binding("L", "look", "in Latent", id="browse.look",
            tooltip="Traverse the latent space through this image, in Latent"),
    Binding("a", "end('a')", "from here", id="browse.end-a", group=ENDS,
            tooltip="Begin an interpolation at this image; b on another one shows it, in Latent"),
    Binding("b", "end('b')", "to here", id="browse.end-b", group=ENDS,
            tooltip="Interpolate in Latent, from the image a to this one"),
    Binding("t", "film", "time-lapse", id="browse.film", tooltip="Play how the preview images were learnt"),
    Binding("d", "difference", "difference", id="browse.difference",
            tooltip="Beside the originals: reconstructions, or how they differ from them"),
    Binding("f", "freeze", "freeze", id="browse.freeze", tooltip="Freeze the images, or follow the newest weights"),
    Binding("p", "app.turn_toning", "colours", id="browse.palette",
            tooltip="The tones of grey images: bone (in true colour), grey, inverted"),
    Binding("z", "size", "size", id="browse.size", tooltip="Images at full or half size"),
]  # fmt: skip

ACTIONS: dict[str, set[View]] = {
    "step": {View.PAGE, View.IMAGE, View.FILM},
    "row": {View.PAGE, View.CLASSES},
    "turn": {View.PAGE},
    "ends": {View.PAGE, View.IMAGE, View.FILM, View.CLASSES},
    "open": {View.PAGE, View.CLASSES},
    "close": {View.IMAGE, View.FILM, View.CLASSES},
    "classes": {View.PAGE, View.CLASSES},
    "measure": {View.PAGE, View.IMAGE, View.CLASSES},
    "mark": {View.PAGE, View.IMAGE},
    "look": {View.PAGE, View.IMAGE},
    "end": {View.PAGE, View.IMAGE},
    "choose_class": {View.PAGE},
    "order": {View.PAGE},
    "go_to": {View.PAGE, View.IMAGE},
    "film": {View.PAGE, View.FILM},
    "freeze": {View.PAGE, View.IMAGE},
    "size": {View.PAGE, View.FILM},
    "difference": {View.PAGE, View.FILM},
}
"""The views in which each action makes sense; an action that is not named makes sense in all."""

OF_CLASSES = {"choose_class", "classes"}
"""Actions that make no sense without labels, but for the marked images, which the first one lists too."""

DESCRIPTIONS: dict[tuple[str, object], str] = {("open", View.CLASSES): "list"}
"""What an action does in a view where that is something else than its binding says."""
