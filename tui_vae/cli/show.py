"""`tui-vae show`: a run's images, as half blocks on stdout."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from tui_vae.cli.class_names import class_number, some
from tui_vae.cli.load_trained import load_trained
from tui_vae.cli.waiting import waiting
from tui_vae.errors import UsageError
from tui_vae.runs import protocol
from tui_vae.runs.client import LOADING_LIMIT, RequestError, request
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.float_arrays import decode_floats
from tui_vae.runs.runs_directory import runs_directory
from tui_vae.runs.trust import find_to_load
from tui_vae.ui.images.picture import Picture, split
from tui_vae.ui.test_set import pairs_of, test_set_of

if TYPE_CHECKING:
    from tui_vae.trainer.inference import Inference
    from tui_vae.ui.images.halfblocks import Drawing

ReplyType = TypeVar("ReplyType", bound=protocol.Reply)


def show(options: argparse.Namespace) -> int:
    """Print images as half blocks.

    Raises:
        UsageError: options exclude each other, or no image fits them.
        UserError: the run cannot be found or loaded, or refuses the request.
    """
    if options.indices and (options.samples or options.worst or options.label is not None):
        raise UsageError("--index names its images itself", "leave out --class, --worst and --samples")
    if options.samples and options.worst:
        raise UsageError("--samples have no error", "leave out --worst")
    directory = find_to_load(runs_directory(options.runs_dir), options.name, options.trust, options.checkpoint)
    source = ImageSource(directory, options.checkpoint)
    if options.samples:
        label = None if options.label is None else _label(source.describe(), options.label)
        reply = source.ask(protocol.Sample(count=options.images, label=label), protocol.Samples)
        images = split(reply.images, options.images, reply.width, reply.channels)
        of_class = "" if label is None else f" of training images of class {source.describe().classes[label]}"
        print(f"samples from the Gaussian fitted to the encoder's z{of_class}")
        print_images([(image,) for image in images], [""] * len(images))
        return 0
    chosen = _choose(source, options)
    pairs = source.ask(protocol.Reconstruct(indices=chosen), protocol.Reconstructions)
    found = pairs_of(pairs, test_set_of(source.describe()))
    captions = [f"{pair.label} #{pair.index}   mse {pair.mse:.4f}".lstrip() for pair in found]
    print_images([(pair.original or pair.reconstruction, pair.reconstruction) for pair in found], captions)
    return 0


def _choose(source: ImageSource, options: argparse.Namespace) -> list[int]:
    """The indices of the test images that the options ask for.

    Raises:
        UsageError: there is no such class, or no image of it, or no image has a class.
    """
    if options.indices:
        return list(options.indices)
    facts = source.describe()
    test_set = test_set_of(facts)
    labels = test_set.labels
    chosen = list(range(len(test_set)))
    if options.label is not None:
        wanted = _label(facts, options.label)
        chosen = [index for index in chosen if labels[index] == wanted]
        if not chosen:
            there = some([facts.classes[label] for label in sorted(set(labels))])
            raise UsageError(f"none of the run's {len(labels):,} test images is of class {facts.classes[wanted]!r}",
                             f"there are some of {there}")  # fmt: skip
    if options.worst:
        mse = decode_floats(source.ask(protocol.TestErrors(), protocol.Errors).mse)
        chosen.sort(key=lambda index: -mse[index])
    return chosen[: options.images]


def _label(facts: protocol.Description, name: str) -> int:
    return class_number(facts.classes, bool(facts.labels), name)


class ImageSource:
    """Replies from a run's living process, or from a checkpoint where none lives or the checkpoint is named."""

    def __init__(self, directory: RunDirectory, which: str | None) -> None:
        self._directory = directory
        self._which = which
        self._living = which is None and directory.living().server is not None
        self._inference: Inference | None = None
        self._facts: protocol.Description | None = None

    def describe(self) -> protocol.Description:
        """The run's test images: their number, classes and labels.

        Raises:
            UserError: as `ask`.
        """
        if self._facts is None:
            self._facts = self.ask(protocol.Describe(), protocol.Description)
        return self._facts

    def ask(self, message: protocol.AnyRequest, expected: type[ReplyType]) -> ReplyType:
        """The reply to an inference request.

        Raises:
            RequestError: it was refused, or the process did not answer.
            UserError: the checkpoint cannot be loaded.
        """
        if self._living:
            with waiting(f"asking the process of {self._directory.name}"):
                return request(self._directory, message, expected, LOADING_LIMIT)
        if self._inference is None:
            run, progress = load_trained(self._directory, self._which)
            from tui_vae.trainer.inference import Inference

            self._inference = Inference(run, lambda: (progress.evaluated, progress.step), lambda: "serving")
        with waiting("asking the model"):
            reply = self._inference.answer(message)
        if isinstance(reply, expected):
            return reply
        raise RequestError(reply.message if isinstance(reply, protocol.Failure) else f"unexpected {reply!r}")


def print_images(rows: Sequence[tuple[Picture, ...]], captions: Sequence[str]) -> None:
    """Print images, each row of one or two with its caption below, as many rows side by side as fit the terminal.

    Args:
        rows: images of one size, which are reduced where one row is wider than the terminal.
        captions: one for each row; none is printed where all are empty.
    """
    import os

    from rich.console import Console
    from rich.text import Text

    from tui_vae.ui.images.picture import reduce
    from tui_vae.ui.terminal import has_unicode

    console = Console(highlight=False)
    blocks = has_unicode(os.environ) and console.color_system is not None
    side = min(rows[0][0].width, max(1, (console.width + 1) // len(rows[0]) - 1))
    width = len(rows[0]) * (side + 1)
    room = max(width, *map(len, captions))  # small images are narrower than their words
    columns = max(1, (console.width + 1) // (room + 1))
    for start in range(0, len(rows), columns):
        system = console.color_system if blocks else None
        drawings = [[_draw(reduce(picture, side), system) for picture in row] for row in rows[start : start + columns]]
        for line in range(len(drawings[0][0])):
            text = Text()
            for row in drawings:
                for drawing in row:
                    for run in drawing[line]:
                        text.append(run.text, style=_style(run.foreground, run.background))
                    text.append(" ")
                text.append(" " * (1 + room - width))
            text.rstrip() if not blocks else None
            console.print(text, soft_wrap=True)
        if any(captions):
            line_of = "".join(caption.ljust(room + 1) for caption in captions[start : start + columns])
            console.print(line_of.rstrip(), soft_wrap=True, markup=False)


def _draw(picture: Picture, colour_system: str | None) -> Drawing:
    """A drawing in the colours that a terminal has; None: in characters."""
    from tui_vae.ui.images.halfblocks import ascii_art, colour_blocks, half_blocks
    from tui_vae.ui.images.shades import shade_256, true_shade

    if colour_system is None:
        return ascii_art(picture.luminance())
    if picture.is_grey or colour_system not in ("256", "truecolor"):
        return half_blocks(picture.luminance())
    return colour_blocks(picture, shade_256 if colour_system == "256" else true_shade)


def _style(foreground: tuple[int, int, int] | None, background: tuple[int, int, int] | None) -> str:
    if foreground is None:
        return ""
    front = "#{:02x}{:02x}{:02x}".format(*foreground)
    return front if background is None else front + " on #{:02x}{:02x}{:02x}".format(*background)
