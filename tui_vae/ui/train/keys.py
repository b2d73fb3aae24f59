"""The keys of the Train pane."""

from __future__ import annotations

from textual.binding import Binding, BindingType

READING = Binding.Group("read")
BINDINGS: list[BindingType] = [
    Binding("z", "zoom", "zoom", id="train.zoom", tooltip="Show the chosen panel alone, and back"),
    Binding("P", "gallery", "images", id="train.gallery",
            tooltip="The preview images alone, then the table of epochs alone, then all again"),
    Binding("l", "log_scale", "log scale", id="train.log", tooltip="Logarithmic or linear y axes"),
    Binding("~", "smoothing", "smooth", id="train.smooth", show=False,
            tooltip="How strongly the train curve is smoothed"),
    Binding("v", "other_charts", "other charts", id="train.view",
            tooltip="ELBO, learning rate, β and images/s instead of the losses, and back; or the pages of your own"),
    Binding("y", "choose_charts", "figures", id="train.figures", show=False,
            tooltip="Choose the figures of the charts, and how many stand beside and below each other"),
    Binding("Y", "rate_plane", "rate-distortion plane", id="train.plane", show=False,
            tooltip="The plane of rate (KL) and distortion, in Runs, with this run marked"),
    Binding("h", "x_axis", "x axis", id="train.axis", show=False,
            tooltip="Count the x axis in epochs, steps or wall time"),
    Binding("i", "magnify(0.5)", "closer", id="train.closer", show=False,
            tooltip="Look closer at the curves, around the cursor or the newest step; then they hold still"),
    Binding("I", "magnify(2)", "wider", id="train.wider", show=False, tooltip="Show twice as much of the x axis"),
    Binding("comma,ctrl+left", "pan(-1)", "earlier", id="train.earlier", show=False,
            tooltip="Move the window on the curves to earlier steps"),
    Binding("full_stop,ctrl+right", "pan(1)", "later", id="train.later", show=False,
            tooltip="Move the window on the curves to later steps"),
    Binding("f,home", "follow", "follow", id="train.follow", show=False,
            tooltip="Show the whole run again and follow its newest values"),
    Binding("w", "log", "log", id="train.warnings",
            tooltip="Warnings, errors and the trainer's own output, and back"),
    Binding("left", "cursor(-1)", "read", id="train.left", group=READING,
            tooltip="Move the cursor that reads the curves to the left"),
    Binding("right", "cursor(1)", "read", id="train.right", group=READING,
            tooltip="Move the cursor that reads the curves to the right"),
    Binding("shift+left", "cursor(-10)", "read", id="train.far-left", show=False,
            tooltip="Move the cursor ten columns to the left"),
    Binding("shift+right", "cursor(10)", "read", id="train.far-right", show=False,
            tooltip="Move the cursor ten columns to the right"),
    Binding("tab", "next_panel(1)", "next panel", id="train.next", show=False, tooltip="Choose the next panel"),
    Binding("shift+tab", "next_panel(-1)", "previous panel", id="train.previous", show=False,
            tooltip="Choose the previous panel"),
    Binding("escape", "back", "back", id="train.back", show=False,
            tooltip="Leave the log, the cursor, then the zoom"),
]  # fmt: skip
