"""A decoder in ONNX's words (https://onnx.ai), through PyTorch's own exporter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tui_vae.core.evaluation.metrics import looking
from tui_vae.core.models.vae import VAE, count_parameters
from tui_vae.core.pixels import to_unit_interval
from tui_vae.errors import UserError

MOST_BYTES = 2**31 - 2**20
"""Protocol Buffers, of which an ONNX file is one, end at 2 GiB."""


class Decoder(nn.Module):
    """z `(N, latent_dim)` → images `(N, 1, height, width)` in [0, 1]: `sampling.decode` with the shape of images."""

    def __init__(self, model: VAE, height: int, width: int) -> None:
        super().__init__()
        self.model = model
        self.height, self.width = height, width

    def forward(self, z: Tensor) -> Tensor:
        return to_unit_interval(self.model.decode(z)).reshape(-1, 1, self.height, self.width)


def as_onnx(model: VAE, height: int, width: int, facts: Mapping[str, str]) -> bytes:
    """The decoder as a file with one input, `z`, and one output, `image`; `facts` become its metadata.

    Needs the packages onnx and onnxscript. Moves the model to the CPU.

    Raises:
        UserError: the network is too large for one file.
    """
    size = 4 * count_parameters(model)  # which of them are the decoder's, a network of the user's own does not say
    if size > MOST_BYTES:
        raise UserError(f"the network has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2 GiB at most")
    with looking(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's own insides
        decoder = Decoder(model, height, width).cpu().eval()
        # Two latents: a dimension of 1 would be taken for a constant.
        program = torch.onnx.export(
            decoder, (torch.zeros(2, model.latent_dim),), input_names=["z"], output_names=["image"],
            dynamo=True, dynamic_shapes=({0: torch.export.Dim("N")},), verbose=False,
        )  # fmt: skip
    assert program is not None
    written = program.model_proto
    graph = written.graph
    for part in (written, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")  # among them are traces through the source code of whoever exported it
    for name, value in facts.items():
        written.metadata_props.add(key=name, value=value)
    data: bytes = written.SerializeToString()
    return data
