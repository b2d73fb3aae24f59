"""An encoder or a decoder as an ONNX file (https://onnx.ai), written by PyTorch's exporter and held against PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tui_vae.core.evaluation.parts import Part, exporting, hold_against_torch, in_one_sentence, name_of
from tui_vae.core.models.vae import count_parameters
from tui_vae.errors import UserError, first_line

MAX_BYTES = 2**31 - 2**20
"""Bytes of weights in one file: an ONNX file is a protocol buffer, which ends at 2 GiB; 1 MiB is for all else."""


def as_onnx(part: Part, facts: Mapping[str, str]) -> bytes:
    """The part as a file with its inputs and outputs by name, float32; `facts` become the file's metadata.

    It needs the packages onnx, onnxscript and onnxruntime. It moves the model to the CPU.

    Raises:
        UserError: the network is too large for one file, draws random numbers, or cannot be written for every number
            of images; the message names the line of an own model.
    """
    size = 4 * count_parameters(part.model)  # a user's own network does not tell which of its parameters are the part's
    if size > MAX_BYTES:
        raise UserError(f"the network has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2 GiB at most")
    with exporting(part) as inputs:
        data = _written(part, inputs, facts)
        _hold_against_torch(part, data)
    return data


def _written(part: Part, inputs: tuple[Tensor, ...], facts: Mapping[str, str]) -> bytes:
    with in_one_sentence(part):
        program = torch.onnx.export(
            part, inputs, input_names=list(part.inputs), output_names=list(part.outputs),
            dynamo=True, dynamic_shapes=({0: torch.export.Dim("N")},), verbose=False,
        )  # fmt: skip
    assert program is not None
    written = program.model_proto
    graph = written.graph
    for each in (written, graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
        each.ClearField("metadata_props")  # they hold stack traces, with paths of the exporting machine
    for name, value in facts.items():
        written.metadata_props.add(key=name, value=value)
    data: bytes = written.SerializeToString()
    return data


def _hold_against_torch(part: Part, data: bytes) -> None:
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # fatal ones alone: what is wrong here is said in our words
    try:
        session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise UserError(f"onnxruntime cannot read the {name_of(part)}'s file: {first_line(error)}") from error

    def run(given: Tensor) -> Sequence[Tensor]:
        made = session.run(list(part.outputs), {part.inputs[0]: given.numpy()})
        return [torch.from_numpy(each) for each in made]

    hold_against_torch(part, run)
