"""An encoder or a decoder as a package of `torch.export` (a .pt2 file), which PyTorch runs without this package."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.export import ExportedProgram

from tui_vae.core.evaluation.parts import Part, exporting, hold_against_torch, in_one_sentence

FACTS = "run.json"
"""The file in the package that says what it was made from, and its inputs and outputs."""


def as_program(part: Part, facts: Mapping[str, str]) -> bytes:
    """The part as a package for any number of images, float32; `facts` stand in it as `run.json`.

    `torch.export.load(FILE).module()` gives the module back. It moves the model to the CPU.

    Raises:
        UserError: the network draws random numbers, or cannot be written for every number of images; the message names
            the line of an own model.
    """
    told = {**facts, "inputs": list(part.inputs), "outputs": list(part.outputs)}
    with exporting(part) as inputs:
        with in_one_sentence(part):
            program = torch.export.export(part, inputs, dynamic_shapes=({0: torch.export.Dim("N")},))
        _leave_out_what_is_not_used(program)
        buffer = io.BytesIO()
        torch.export.save(program, buffer, extra_files={FACTS: json.dumps(told)})
        loaded = torch.export.load(io.BytesIO(buffer.getvalue())).module()

        def run(given: Tensor) -> Sequence[Tensor]:
            made: Sequence[Tensor] = loaded(given)
            return made

        hold_against_torch(part, run)
    return buffer.getvalue()


def _leave_out_what_is_not_used(program: ExportedProgram) -> None:
    """Take out the other part's weights, and where operations stand in the code, with paths of this machine."""
    nodes, signature = program.graph.nodes, program.graph_signature
    unused = {node.name for node in nodes if node.op == "placeholder" and not node.users} - set(signature.user_inputs)
    for node in list(nodes):
        node.meta.pop("stack_trace", None)
        if node.name in unused:
            program.graph.erase_node(node)
    signature.input_specs[:] = [spec for spec in signature.input_specs if spec.arg.name not in unused]
    used = {spec.target for spec in signature.input_specs}  # PyTorch 2.6 has no placeholder of an unused weight
    for tensors in (program.state_dict, program.constants):
        for name in tensors.keys() - used:
            del tensors[name]
