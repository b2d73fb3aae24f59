"""What `tui-vae compare --out` writes: a table of all epochs, curves, or a page about all runs."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tui_vae.cli.export_curves import compared
from tui_vae.cli.export_images import Sheet, enlargement, sheet
from tui_vae.cli.export_metrics import FORMATS, metrics_file
from tui_vae.cli.plots import ENDINGS, can_draw
from tui_vae.cli.report_page import figure, in_markdown, page, picture, text
from tui_vae.cli.run_properties import MARK, Cell, Property, properties_of
from tui_vae.runs.comparison import Candidate
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.previews import read_originals, read_previews

TITLE = "Comparison of {} runs"
ABOUT = "Figures are the test set's at each run's best epoch; {} is the best. Settings are those that differ."


def comparison_file(directories: Sequence[RunDirectory], runs: Sequence[Candidate], ending: str) -> bytes:
    """The file of several runs, in the format of this ending.

    Raises:
        UserError: what the format needs is not installed. RunError: a run has done no epoch yet, for curves and tables.
    """
    if ending in FORMATS:
        return metrics_file(directories, ending)
    if ending in ENDINGS:
        return compared(directories, ending)
    return (_markdown(runs) if ending == "md" else _html(directories, runs)).encode()


def _table(runs: Sequence[Candidate]) -> list[Property]:
    return [Property("run", tuple(Cell(run.name) for run in runs), is_number=False), *properties_of(runs)]


def _markdown(runs: Sequence[Candidate]) -> str:
    columns = _table(runs)

    def cell(each: Cell) -> str:
        words = in_markdown(each.text.removesuffix(MARK).strip())
        return f"**{words}**" if each.best else words

    heads = [in_markdown(each.head) for each in columns]
    sides = ["---:" if each.is_number else "---" for each in columns]
    rows = [[cell(each.cells[at]) for each in columns] for at in range(len(runs))]
    lines = (f"| {' | '.join(row)} |" for row in (heads, sides, *rows))
    about = ABOUT.format("what is bold")
    return "\n".join([f"# {TITLE.format(len(runs))}", "", *lines, "", about, ""])


def _html(directories: Sequence[RunDirectory], runs: Sequence[Candidate]) -> str:
    title = TITLE.format(len(runs))
    parts = [f"<h1>{title}</h1>", f'<p class="about">{text(ABOUT.format("what is bold"))}</p>', _html_table(runs)]
    if can_draw() and all(run.best for run in runs):
        parts += ["<h2>Curves</h2>", figure(compared(directories, "svg"))]
    for directory in directories:
        previews = _newest_preview(directory)
        if previews is not None:
            epoch, pairs = previews
            parts += [f"<h2>{text(directory.name)}: originals and reconstructions, epoch {epoch}</h2>",
                      picture(pairs.png(), "pairs")]  # fmt: skip
    return page(title, parts)


def _html_table(runs: Sequence[Candidate]) -> str:
    columns = _table(runs)
    heads = (f'<th class="{_kind(each)}">{text(each.head)}</th>' for each in columns)
    lines = ["".join(heads), *("".join(_html_cell(each, at) for each in columns) for at in range(len(runs)))]
    return '<div class="wide"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _html_cell(column: Property, at: int) -> str:
    cell = column.cells[at]
    kind = f"{_kind(column)} best" if cell.best else _kind(column)
    return f'<td class="{kind}">{text(cell.text.removesuffix(MARK).strip())}</td>'


def _kind(column: Property) -> str:
    return "n" if column.is_number else "t"


def _newest_preview(directory: RunDirectory) -> tuple[int, Sheet] | None:
    """The epoch of the newest preview, and its images below the originals; None where there are none."""
    originals = read_originals(directory.previews)
    previews = read_previews(directory.previews, originals.width, channels=originals.channels)
    if not previews or not originals.images:
        return None
    import numpy as np

    from tui_vae.ui.images.picture import Picture

    epoch, images = previews[-1]
    first = Picture.of(images[0], originals.width, originals.channels)
    shape = (first.height, first.width) if first.is_grey else (first.height, first.width, 3)
    pairs = [
        pair for pair in zip(originals.images, images, strict=False) if all(len(each) == prod(shape) for each in pair)
    ]
    if not pairs:  # of a damaged file
        return None
    rows = [[np.frombuffer(each, np.uint8).reshape(shape) for each in row] for row in zip(*pairs, strict=True)]
    words = f"originals and reconstructions of run {directory.name}, epoch {epoch}"
    return epoch, Sheet(sheet(rows, between=2), enlargement(shape[:2]), words)
