"""A decoder as an ONNX file (https://onnx.ai), written by PyTorch's own exporter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tui_vae.core.evaluation.forward import evaluation_mode
from tui_vae.core.models.vae import VAE, count_parameters
from tui_vae.core.pixels import Shape, to_unit_interval
from tui_vae.errors import UserError

MAX_BYTES = 2**31 - 2**20
"""Bytes of weights in one file: an ONNX file is a protocol buffer, which ends at 2 GiB; 1 MiB is for all else."""


class Decoder(nn.Module):
    """z `(N, latent_dim)` → images `(N, C, height, width)` in [0, 1]: `forward.decode` in the shape of images."""

    def __init__(self, model: VAE, shape: Shape) -> None:
        super().__init__()
        self.model = model
        self.shape = shape

    def forward(self, z: Tensor) -> Tensor:
        """z `(N, latent_dim)` → images `(N, C, height, width)` in [0, 1]."""
        return to_unit_interval(self.model.decode(z)).reshape(-1, *self.shape)


def as_onnx(model: VAE, shape: Shape, facts: Mapping[str, str]) -> bytes:
    """The decoder as a file with one input, `z`, and one output, `image`; `facts` become its metadata.

    It needs the packages onnx and onnxscript. It moves the model to the CPU.

    Raises:
        UserError: the network is too large for one file.
    """
    size = 4 * count_parameters(model)  # a user's own network does not tell which of its parameters are the decoder's
    if size > MAX_BYTES:
        raise UserError(f"the network has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2 GiB at most")
    with evaluation_mode(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about its own code
        decoder = Decoder(model, shape).cpu().eval()
        # Two latents, as the exporter takes a dimension of 1 for a constant.
        program = torch.onnx.export(
            decoder, (torch.zeros(2, model.latent_dim),), input_names=["z"], output_names=["image"],
            dynamo=True, dynamic_shapes=({0: torch.export.Dim("N")},), verbose=False,
        )  # fmt: skip
    assert program is not None
    written = program.model_proto
    graph = written.graph
    for part in (written, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")  # they hold stack traces, with paths of the exporting machine
    for name, value in facts.items():
        written.metadata_props.add(key=name, value=value)
    data: bytes = written.SerializeToString()
    return data
