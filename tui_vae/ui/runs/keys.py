"""The keys of the Runs pane."""

from __future__ import annotations

from textual.binding import Binding, BindingType

SORT = Binding.Group("sort")
BINDINGS: list[BindingType] = [
    Binding("enter", "open", "open", id="runs.open", tooltip="Show the selected run in Train"),
    Binding("m", "mark", "mark", id="runs.mark", tooltip="Mark the selected run, to compare it with others"),
    Binding("M", "clear_marks", "no marks", id="runs.clear-marks", show=False, tooltip="Take all marks away"),
    Binding("v", "lower", "compare", id="runs.compare", tooltip="Curves and configs below the table, or not"),
    Binding("B", "beside", "side by side", id="runs.beside", show=False,
            tooltip="Two marked runs' images side by side; of one run, its first and its newest epoch's"),
    Binding("y", "measure(1)", "figure", id="runs.figure",
            tooltip="The next figure in the chart of curves; the last is the plane of rate and distortion"),
    Binding("Y", "measure(-1)", "figure back", id="runs.figure-back", show=False,
            tooltip="The figure before in the chart of curves"),
    Binding("i", "shortest", "epochs", id="runs.shortest", show=False,
            tooltip="Curves as far as the longest run goes, or as the shortest"),
    Binding("l", "log_scale", "log", id="runs.log", show=False, tooltip="Logarithmic or linear curves"),
    Binding("/", "filter", "filter", id="runs.filter",
            tooltip="Only runs with these words, or with an option such as latent-dim=8"),
    Binding("escape", "back", "all runs", id="runs.back", tooltip="Leave the filter"),
    Binding("<", "sort_by(-1)", "sort", id="runs.sort-left", group=SORT, tooltip="Sort by the column before"),
    Binding(">", "sort_by(1)", "sort", id="runs.sort-right", group=SORT, tooltip="Sort by the next column"),
    Binding("!", "reverse", "reverse", id="runs.reverse", show=False, tooltip="Reverse the order"),
    Binding("R", "resume", "continue", id="runs.resume", tooltip="Continue the selected run"),
    Binding("A", "again", "again", id="runs.again", tooltip="A new run like the selected one, with changes"),
    Binding("N", "note", "note", id="runs.note", tooltip="Keep a line of text with the selected run"),
    Binding("#", "tags", "tags", id="runs.tags", show=False,
            tooltip="Tags of the selected run, and its group; / finds them"),
    Binding("f2", "rename", "rename", id="runs.rename", tooltip="Give the selected run another name"),
    Binding("D,delete", "delete", "delete", id="runs.delete", tooltip="Delete the selected run (asks)"),
    Binding("E", "export", "export it", id="runs.export", tooltip="Write something of the selected run to a file"),
    Binding("up,k", "move(-1)", "up", id="runs.up", show=False, tooltip="The run above"),
    Binding("down,j", "move(1)", "down", id="runs.down", show=False, tooltip="The run below"),
    Binding("pageup", "page(-1)", "page up", id="runs.page-up", show=False, tooltip="A page up"),
    Binding("pagedown", "page(1)", "page down", id="runs.page-down", show=False, tooltip="A page down"),
    Binding("home,g", "move(-1000000)", "first", id="runs.first", show=False, tooltip="The first run"),
    Binding("end,G", "move(1000000)", "last", id="runs.last", show=False, tooltip="The last run"),
    Binding("shift+up", "scroll_configs(-1)", "configs up", id="runs.configs-up", show=False,
            tooltip="Move up in the configs that are compared"),
    Binding("shift+down", "scroll_configs(1)", "configs down", id="runs.configs-down", show=False,
            tooltip="Move down in the configs that are compared"),
]  # fmt: skip
