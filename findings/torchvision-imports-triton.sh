#!/usr/bin/env bash
# `import torchvision` imports Triton, so that TRITON_INTERPRET set after it interprets a kernel only half: what it calls of Triton's own fails.
#
# Seen with torch 2.14.1, torchvision 0.29.1 (the builds with CUDA 13.0, on a machine without a GPU) and triton 3.8.0, Python 3.11, Linux,
# on 29 November 2026.
#
# Guess before it was run: torchvision, whose data sets and transforms have no Triton kernels, does not import it, as torch itself does not;
# and if it did, the variable would be read where a kernel is decorated, so that setting it before that is early enough.
#
# What it does: after `import torch` Triton is not imported; after `import torchvision` it is (with torch._dynamo). A kernel that is decorated
# after TRITON_INTERPRET=1 was set is interpreted in both cases. But Triton's own functions (`tl.sum` here) were decorated when
# triton.language was imported: after torchvision they are those of the compiler, and the interpreted kernel ends with an InterpreterError
# around "Cannot call @triton.jit'd outside of the scope of a kernel".
#
# What follows: tests that run Triton kernels on a CPU depend on what any other test module imports before them, as soon as one of them uses
# a data set of torchvision's. The variable belongs before the first import of torchvision, such as into conftest.py or the shell.
#
# Exit status: 0 while it is so, 1 when the libraries behave otherwise. torch takes about 5 GB in the temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.14.1" "torchvision==0.29.1" "numpy==2.4.6"
cat >"$folder/kernel.py" <<'PYTHON'
import importlib
import os
import sys

importlib.import_module(sys.argv[1])
imported = "triton" in sys.modules
os.environ["TRITON_INTERPRET"] = "1"
import torch
import triton
import triton.language as tl


@triton.jit
def add_up(x, out, COUNT: tl.constexpr):
    tl.store(out, tl.sum(tl.load(x + tl.arange(0, COUNT)), 0))


out = torch.zeros(1)
try:
    add_up[(1,)](torch.arange(8.0), out, COUNT=8)
    outcome = f"{out.item():g}"
except Exception as error:
    outcome = f"{type(error).__name__}: {error}"
print(imported, outcome)
PYTHON
after_torch=$("$folder/venv/bin/python" "$folder/kernel.py" torch)
after_torchvision=$("$folder/venv/bin/python" "$folder/kernel.py" torchvision)
echo "after import torch:       $after_torch"
echo "after import torchvision: $after_torchvision"
[ "$after_torch" = "False 28" ] || exit 1
[[ $after_torchvision == "True InterpreterError:"*"Cannot call @triton.jit'd"* ]] || exit 1
