#!/usr/bin/env bash
# Triton's compiler takes a type under a name of its own, but not from an assignment to several names at once.
#
# Seen with triton 3.8.0 and with 3.6.0, Python 3.11 and 3.12, Linux, without a GPU, on 29 November 2026.
#
# Guess before it was run: `a, b = x, y` in a kernel is `a = x` and `b = y`, for whatever can stand on the right.
#
# What it does: for tiles, pointers and numbers it is. Where one of the values is a type, such as the element type of a pointer, which
# alone may be given a name and used later in `.to(name)`, the kernel ends with a CompilationError around "'dtype' object has no attribute
# 'type'", and the sign of where stands below the whole assignment: the right-hand side is made into a tuple of the language, whose parts
# each have a type, and a type has none.
#
# What follows: a kernel's type is named on a line of its own. The message speaks of neither a tuple nor an assignment.
#
# Exit status: 0 while it is so, 1 when the compiler behaves otherwise. Triton takes about 700 MB in the temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "triton==3.8.0"
export TRITON_CACHE_DIR="$folder/cache"
cat >"$folder/kernels.py" <<'PYTHON'
import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def alone(x, out):
    at = tl.arange(0, 16)
    kind = out.dtype.element_ty
    tl.store(out + at, tl.load(x + at).to(kind))


@triton.jit
def two_tiles(x, out):
    at, more = tl.arange(0, 16), tl.zeros([16], tl.float32)
    tl.store(out + at, (tl.load(x + at) + more).to(out.dtype.element_ty))


@triton.jit
def a_tile_and_a_type(x, out):
    at, kind = tl.arange(0, 16), out.dtype.element_ty
    tl.store(out + at, tl.load(x + at).to(kind))


for kernel in (alone, two_tiles, a_tile_and_a_type):
    source = ASTSource(fn=kernel, signature={"x": "*fp32", "out": "*bf16"}, constexprs={})
    try:
        triton.compile(source, target=GPUTarget("cuda", 90, 32))
        outcome = "compiles"
    except Exception as error:
        outcome = f"{type(error).__name__} {str(error).splitlines()[-1]}"
    print(f"{kernel.__name__}: {outcome}")
PYTHON
found=$("$folder/venv/bin/python" "$folder/kernels.py")
echo "$found"
[[ $found == "alone: compiles
two_tiles: compiles
a_tile_and_a_type: CompilationError "*"'dtype' object has no attribute 'type'"* ]] || exit 1
