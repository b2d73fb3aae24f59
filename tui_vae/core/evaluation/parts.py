"""An encoder or a decoder as something that can be a file, and what such a file must be: for any number of images, the
same numbers each time, PyTorch's. What cannot be that is refused in one sentence that names the line of an own model.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tui_vae.core.evaluation.forward import evaluation_mode
from tui_vae.core.models.vae import VAE
from tui_vae.core.own_line import own_line
from tui_vae.core.pixels import Shape, to_unit_interval
from tui_vae.errors import UserError

COUNTS = (1, 3, 7)
"""Numbers of images at which a file is held against PyTorch: one, and others than that of the export."""

OF_EXPORT = 2
"""Images that an exporter sees the network with: it takes a dimension of 1 for a constant."""

RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""How far a number of the file may be from PyTorch's: both are float32, and sum products in different orders."""


class Encoder(nn.Module):
    """Images `(N, C, height, width)` in [0, 1] → μ and log σ² of q(z|x), `(N, latent_dim)`."""

    inputs: tuple[str, ...] = ("image",)
    outputs: tuple[str, ...] = ("mu", "logvar")

    def __init__(self, model: VAE, shape: Shape) -> None:
        super().__init__()
        self.model = model
        self.size: tuple[int, ...] = shape

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(N, C, height, width)` in [0, 1] → μ, log σ²."""
        mu, logvar = self.model.encode(image.flatten(1) * 2 - 1)
        return mu, logvar


class Decoder(nn.Module):
    """z `(N, latent_dim)` → images `(N, C, height, width)` in [0, 1]; of a Bernoulli decoder also the logits of p̂.

    A runtime's sigmoid is exactly 0 far below 0, where ln p̂ would be −∞: likelihoods take the logits.
    """

    inputs: tuple[str, ...] = ("z",)
    outputs: tuple[str, ...] = ("image",)

    def __init__(self, model: VAE, shape: Shape) -> None:
        super().__init__()
        self.model = model
        self.shape = shape
        self.size: tuple[int, ...] = (model.latent_dim,)
        if model.has_logits:
            self.outputs = ("image", "logits")

    def forward(self, z: Tensor) -> tuple[Tensor, ...]:
        """z `(N, latent_dim)` → images, and perhaps logits, `(N, C, height, width)`."""
        image = to_unit_interval(self.model.decode(z)).reshape(-1, *self.shape)
        return (image, self.model.decode_logits(z).reshape(-1, *self.shape)) if self.model.has_logits else (image,)


Part = Encoder | Decoder


@contextmanager
def exporting(part: Part) -> Iterator[tuple[Tensor, ...]]:
    """Yields the inputs to export a part with, on the CPU and in evaluation mode, to which the part is moved.

    Raises:
        UserError: it draws random numbers.
    """
    with evaluation_mode(part.model), torch.no_grad():
        part.cpu().eval()
        _check_draws_nothing(part)
        yield (torch.zeros(OF_EXPORT, *part.size),)


@contextmanager
def in_one_sentence(part: Part) -> Iterator[None]:
    """Around an exporter, which raises whatever it meets in somebody's own code, in pages of its own words.

    Raises:
        UserError: it has raised anything.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about its own code
            yield
    except Exception as error:
        raise _unfit(part, error) from error


def hold_against_torch(part: Part, run: Callable[[Tensor], Sequence[Tensor]]) -> None:
    """Compare a file's outputs, which `run` makes of an input, with the part's own, at several numbers of images.

    Raises:
        UserError: the file gives other numbers than PyTorch, at a number of images or the second time.
    """
    generator = torch.Generator().manual_seed(0)
    for count in COUNTS:
        given = torch.rand(count, *part.size, generator=generator)
        meant = part(given)
        for _ in range(2):
            try:
                made = run(given)
            except Exception as error:
                raise _only_for(part, count) from error
            for one, other in zip(made, meant, strict=True):
                if one.shape != other.shape:
                    raise _only_for(part, count)
                if abs(one - other).max() > ABSOLUTE + RELATIVE * abs(other).max():
                    away = f"{float(abs(one - other).max()):.2g} from PyTorch's for {count} images"
                    raise UserError(f"the file's numbers would be up to {away}", "export it from a float32 network")


def name_of(part: Part) -> str:
    """`encoder` or `decoder`."""
    return type(part).__name__.lower()


def _check_draws_nothing(part: Part) -> None:
    found = _RandomNumbers()
    with found:
        part(torch.zeros(OF_EXPORT, *part.size))
    if found.line:
        what = f"the {name_of(part)} draws random numbers{found.line}; from one z a file makes one image"
        raise UserError(what, "draw them in training alone: if self.training")


class _RandomNumbers(TorchDispatchMode):
    """Notes where random numbers are drawn: operations have a tag that says so."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.line = ""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in func.tags and not self.line:
            self.line = own_line(traceback.extract_stack()) or " "
        return func(*args, **(kwargs or {}))


class _Operations(TorchDispatchMode):
    """Lists the operations of a network, and where each stands in somebody's own code."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[tuple[str, str]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.found.append((str(func), own_line(traceback.extract_stack())))
        return func(*args, **(kwargs or {}))


def _line_that_counts(part: Part) -> str:
    """Where the operations for more images are others than for fewer; empty if they are the same everywhere."""
    few, many = _Operations(), _Operations()
    for count, operations in ((3, few), (7, many)):
        with operations:
            part(torch.zeros(count, *part.size))
    return next((line for one, (name, line) in zip_longest(few.found, many.found, fillvalue=("", ""))
                 if one != (name, line)), "")  # fmt: skip


def _only_for(part: Part, count: int) -> UserError:
    return _not_for_every_number(part, _line_that_counts(part), f": its file does not take {count}")


def _unfit(part: Part, error: BaseException) -> UserError:
    line = ""
    cause: BaseException | None = error
    while cause is not None and not line:
        line = own_line(traceback.extract_tb(cause.__traceback__))
        cause = cause.__cause__ or cause.__context__
    return _not_for_every_number(part, line or _line_that_counts(part))


def _not_for_every_number(part: Part, line: str, more: str = "") -> UserError:
    what = f"the {name_of(part)} cannot be written for every number of images{line}{more}"
    hint = "let its code not depend on the batch's size or on values: no len(x), no x.shape[0], no loop over x"
    return UserError(what, hint)
