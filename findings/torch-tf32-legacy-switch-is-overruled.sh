#!/usr/bin/env bash
# torch.backends.cudnn.allow_tf32 = False does not turn TF32 off for convolutions once torch.backends.fp32_precision has a value.
#
# Seen with torch 2.14.1 and numpy 2.4.6, Python 3.11, Linux, on 28 November 2026, by reading the switches back; no GPU was at hand.
#
# PyTorch has two ways to say how float32 is computed: the older `torch.set_float32_matmul_precision(…)` and
# `torch.backends.cudnn.allow_tf32`, and since 2.9 `fp32_precision` ("ieee", "tf32", "bf16", "none"), for everything
# (`torch.backends.fp32_precision`), for a backend (`torch.backends.cudnn.fp32_precision`) and for an operation
# (`torch.backends.cudnn.conv.fp32_precision`). One would think that the last word counts, whichever way it is said, and that an
# operation's value, said later, overrules the general one.
#
# What it does: after `torch.backends.fp32_precision = "tf32"`
# - `torch.set_float32_matmul_precision("highest")` is obeyed for products: `cuda.matmul` and `mkldnn.matmul` read "ieee";
# - `torch.backends.cudnn.allow_tf32 = False` is not: no error, no warning, and `cudnn.conv` and `cudnn.rnn` still read "tf32";
# - `torch.backends.cudnn.allow_tf32` itself can then not be read any more: RuntimeError about a mix of the two ways.
# Without the general value before it, the same assignment makes both read "none". (So the older setter writes "none", which means
# float32 only as long as nothing general is set, and means the general value otherwise: told from what is read back here.)
#
# What follows: a library that sets the older switches, as most do, computes convolutions in TF32 in a program that has set the
# general one. Who wants float32 sets every `fp32_precision` to "ieee".
#
# Exit status: 0 while it is so, 1 when torch behaves otherwise. torch takes about 5 GB in the temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.14.1" "numpy==2.4.6"
cat >"$folder/switches.py" <<'PYTHON'
import subprocess
import sys

GENERAL = 'torch.backends.fp32_precision = "tf32"'
OLDER = 'torch.set_float32_matmul_precision("highest"); torch.backends.cudnn.allow_tf32 = False'
READ = """
b = torch.backends
print(b.cuda.matmul.fp32_precision, b.mkldnn.matmul.fp32_precision, b.cudnn.conv.fp32_precision, b.cudnn.rnn.fp32_precision)
try:
    print(b.cudnn.allow_tf32)
except RuntimeError:
    print("RuntimeError")
"""


def after(*lines: str) -> list[str]:
    """The precisions of products (CUDA, CPU), convolutions and recurrent layers, then the older switch, in a new process."""
    program = "\n".join(["import torch", *lines, READ])
    return subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True).stdout.split()


overruled, alone = after(GENERAL, OLDER), after(OLDER)
print("general tf32, then the older switches:", overruled)
print("the older switches alone:             ", alone)
as_described = overruled == ["ieee", "ieee", "tf32", "tf32", "RuntimeError"] and alone == ["ieee", "ieee", "none", "none", "False"]
sys.exit(0 if as_described else 1)
PYTHON
"$folder/venv/bin/python" "$folder/switches.py" || {
    echo "torch behaves otherwise now" >&2
    exit 1
}
