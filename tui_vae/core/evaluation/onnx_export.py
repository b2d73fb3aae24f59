"""An encoder or a decoder as an ONNX file (https://onnx.ai), written by PyTorch's exporter and held against PyTorch.

The file is what its name says: for any number of images, the same numbers each time. What cannot be that is refused.
"""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tui_vae.core.evaluation.forward import evaluation_mode
from tui_vae.core.models.vae import VAE, count_parameters
from tui_vae.core.pixels import Shape, to_unit_interval
from tui_vae.errors import UserError, first_line

MAX_BYTES = 2**31 - 2**20
"""Bytes of weights in one file: an ONNX file is a protocol buffer, which ends at 2 GiB; 1 MiB is for all else."""

COUNTS = (1, 3, 7)
"""Numbers of images at which a file is held against PyTorch: one, and others than that of the export."""

RELATIVE, ABSOLUTE = 1e-4, 1e-5
"""How far a number of the file may be from PyTorch's: both are float32, and sum products in different orders."""

INDEPENDENT = "let its code depend neither on the batch's size nor on values: no len(x), no loop over x, no if x > 0"
"""What to do about a network that is written for one number of images."""

OURS = (str(Path(torch.__file__).parent), str(Path(__file__).parents[2]))
"""Where the code lies that is nobody's own model."""


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


def as_onnx(part: Encoder | Decoder, facts: Mapping[str, str]) -> bytes:
    """The part as a file with its inputs and outputs by name, float32; `facts` become the file's metadata.

    It needs the packages onnx, onnxscript and onnxruntime. It moves the model to the CPU.

    Raises:
        UserError: the network is too large for one file, draws random numbers, or cannot be written for every number
            of images; the message names the line of an own model.
    """
    size = 4 * count_parameters(part.model)  # a user's own network does not tell which of its parameters are the part's
    if size > MAX_BYTES:
        raise UserError(f"the network has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2 GiB at most")
    with evaluation_mode(part.model), torch.no_grad():
        part.cpu().eval()
        _check_same_twice(part)
        data = _written(part, facts)
        _hold_against_torch(part, data)
    return data


def _check_same_twice(part: Encoder | Decoder) -> None:
    found = _RandomNumbers()
    with found:
        part(torch.zeros(2, *part.size))
    if found.line:
        what = f"the {_name(part)} draws random numbers{found.line}; from one z a file makes one image"
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


def _line_that_counts(part: Encoder | Decoder) -> str:
    """Where the operations for more images are others than for fewer; empty if they are the same everywhere."""
    few, many = _Operations(), _Operations()
    for count, operations in ((3, few), (7, many)):
        with operations:
            part(torch.zeros(count, *part.size))
    return next((line for one, (name, line) in zip_longest(few.found, many.found, fillvalue=("", ""))
                 if one != (name, line)), "")  # fmt: skip


def _written(part: Encoder | Decoder, facts: Mapping[str, str]) -> bytes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's, about its own code
            # Two images, as the exporter takes a dimension of 1 for a constant.
            program = torch.onnx.export(
                part, (torch.zeros(2, *part.size),), input_names=list(part.inputs), output_names=list(part.outputs),
                dynamo=True, dynamic_shapes=({0: torch.export.Dim("N")},), verbose=False,
            )  # fmt: skip
    except Exception as error:  # whatever the exporter meets in somebody's own code, in pages of its own words
        raise _unfit(part, error) from error
    assert program is not None
    written = program.model_proto
    graph = written.graph
    for each in (written, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        each.ClearField("metadata_props")  # they hold stack traces, with paths of the exporting machine
    for name, value in facts.items():
        written.metadata_props.add(key=name, value=value)
    data: bytes = written.SerializeToString()
    return data


def _hold_against_torch(part: Encoder | Decoder, data: bytes) -> None:
    """
    Raises:
        UserError: the file gives other numbers than PyTorch, at a number of images or the second time.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # fatal ones alone: what is wrong here is said in our words
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"onnxruntime cannot read the {_name(part)}'s file: {first_line(error)}") from error
    generator = torch.Generator().manual_seed(0)
    for count in COUNTS:
        given = torch.rand(count, *part.size, generator=generator)
        meant = [each.numpy() for each in part(given)]
        for _ in range(2):
            try:
                made = session.run(list(part.outputs), {part.inputs[0]: given.numpy()})
            except Exception as error:
                raise _only_for(part, count) from error
            for one, other in zip(made, meant, strict=True):
                if one.shape != other.shape:
                    raise _only_for(part, count)
                if abs(one - other).max() > ABSOLUTE + RELATIVE * abs(other).max():
                    away = f"{abs(one - other).max():.2g} from PyTorch's for {count} images"
                    raise UserError(f"the file's numbers would be up to {away}", "export it from a float32 network")


def _only_for(part: Encoder | Decoder, count: int) -> UserError:
    line = _line_that_counts(part)
    what = f"the {_name(part)} cannot be written for every number of images{line}: its file does not take {count}"
    return UserError(
        what, "let the network's code not depend on the batch's size: no len(x), x.shape[0] or loop over it"
    )


def _unfit(part: Encoder | Decoder, error: BaseException) -> UserError:
    line = ""
    cause: BaseException | None = error
    while cause is not None and not line:
        line = own_line(traceback.extract_tb(cause.__traceback__))
        cause = cause.__cause__ or cause.__context__
    what = f"the {_name(part)} cannot be written for every number of images{line}"
    return UserError(
        what, "let the network's code not depend on the batch's size or on values: no len(x), no loop over x"
    )


def own_line(frames: Sequence[traceback.FrameSummary] | Iterable[traceback.FrameSummary]) -> str:
    """` (my_vae.py, line 12)`: the innermost frame in neither PyTorch nor this package; empty if there is none."""
    for frame in reversed(list(frames)):
        if not frame.filename.startswith((*OURS, "<")) and "site-packages" not in frame.filename:
            return f" ({Path(frame.filename).name}, line {frame.lineno})"
    return ""


def _name(part: Encoder | Decoder) -> str:
    return type(part).__name__.lower()
