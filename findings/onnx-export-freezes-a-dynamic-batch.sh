#!/usr/bin/env bash
# `torch.onnx.export(dynamo=True)` drops a dynamic dimension that it was asked for, where `torch.export.export` refuses the same network.
#
# Seen with PyTorch 2.14.1 (CPU), onnx 1.23.2, onnxscript 0.7.2, Python 3.11, Linux, on 29 November 2026. PyTorch's manual says that
# `dynamic_shapes` of the exporter is what `torch.export.export` takes, and that one marks a dimension with `Dim` to have it checked.
#
# Guess before it was run: a network whose code loops over the batch ends the export with the constraint violation that `torch.export.export`
# raises for it, "you marked N as dynamic but your code specialized it".
#
# What it does: the exporter tries several ways in turn, of which a later one succeeds without the constraint. It returns a program and raises
# nothing; the file's input and output have the example's batch as a fixed size, and the loop stands in the graph once for each example.
#
# What follows: an exported file may hold for one number of inputs alone although `Dim` was given. Whoever exports for any batch looks at the
# input's shape in the file, or runs it at other sizes than the example's, before trusting it.
#
# Exit status: 0 while it is so, 1 when PyTorch behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.14.1" "onnx==1.23.2" "onnxscript==0.7.2" numpy
"$folder/venv/bin/python" - <<'PYTHON' || exit 1
import sys
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")


class Loops(nn.Module):
    """One linear layer, applied to the inputs of a batch one by one."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 5)

    def forward(self, x):
        return torch.stack([self.layer(each) for each in x])


network, example, shapes = Loops().eval(), (torch.zeros(2, 3),), ({0: torch.export.Dim("N")},)
try:
    torch.export.export(network, example, dynamic_shapes=shapes)
    refused = False
except Exception as error:
    refused = "specialized" in str(error)
    print("torch.export.export:", str(error).splitlines()[0][:100])
program = torch.onnx.export(network, example, dynamo=True, dynamic_shapes=shapes, verbose=False)
graph = program.model_proto.graph
sizes = [[size.dim_param or size.dim_value for size in each.type.tensor_type.shape.dim] for each in graph.input]
products = sum(node.op_type in ("MatMul", "Gemm") for node in graph.node)
print("torch.onnx.export: input", sizes[0], "products in the graph:", products)
sys.exit(0 if refused and sizes[0] == [2, 3] and products == 2 else 1)
PYTHON
echo "the exporter returned a file for a batch of 2, though N was asked for"
