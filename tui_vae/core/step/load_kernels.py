"""Loading of the compiled kernels that training steps are made of: C on a CPU, Triton on CUDA.

The C kernels (c/kernels.h) are compiled when the package is installed, where there is a C compiler. They share
PyTorch's OpenMP threads. Two OpenMP runtimes in one process would wait for each other's threads, so the kernels are not
used with a PyTorch that brings a runtime of another name. The Triton kernels are compiled when they are first used.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, c_double, c_float, c_int, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import torch  # noqa: F401  # loads the OpenMP runtime that the kernels share

AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "fma"}
LEVELS = {
    "amx": AVX512 | {"amx_tile", "amx_bf16", "avx512_bf16"},
    "avx512": AVX512,
    "avx2": {"avx2", "fma"},
}
"""What the C kernels can use, the best first, and the flags in /proc/cpuinfo of a CPU that has it."""

BUILDS = {"amx": "avx512", "avx512": "avx512", "avx2": "avx2"}
"""The build for each level. With "amx" products are done by the CPU's matrix unit as well."""

SUFFIXES = (".abi3.so", *EXTENSION_SUFFIXES)
"""How the files of a build end: one for every Python (setup.py), or, of an older build, for this one alone."""

RUNTIMES = ("libgomp", "libomp", "libiomp")
"""How the file names of OpenMP runtimes begin: GCC's, LLVM's, Intel's."""


KERNELS_VERSION = 8
"""`KERNELS_VERSION` of c/kernels.h: a build of another one would read other structures from the same bytes."""


class Call(Structure):
    """`Call` of c/kernels.h, which explains its fields; so do the structures below."""

    _fields_ = (("kernel", c_void_p), ("given", c_void_p), ("rows", c_int64), ("threads", c_int))


class Hidden(Structure):
    _fields_ = (
        ("width", c_int64), ("bf16", c_int), ("activation", c_int), ("epsilon", c_float),
        ("momentum", c_float),
        *((name, c_void_p) for name in (
            "bias", "norm_weight", "norm_bias", "product", "out", "gradient", "statistics",
            "to_bias", "to_norm_weight", "to_norm_bias", "scratch", "running_mean", "running_variance", "batches",
        )),
    )  # fmt: skip


class Latent(Structure):
    _fields_ = (
        ("width", c_int64), ("bf16", c_int), ("free_bits", c_double),
        *((name, c_void_p) for name in (
            "weight", "bias", "product", "z", "noise", "mu", "sigma", "kl", "to_z", "to_product", "to_bias",
            "more_to_z", "more_to_mu", "more_to_logvar",
        )),
    )  # fmt: skip


class TotalCorrelation(Structure):
    _fields_ = (
        ("width", c_int64), ("stride", c_int64), ("weight", c_double), ("images", c_double),
        *((name, c_void_p) for name in (
            "z", "mu", "precision", "constant", "to_z", "to_mu", "to_logvar", "scratch", "values", "value",
        )),
    )  # fmt: skip


class Patches(Structure):
    _fields_ = (
        ("height", c_int64), ("width", c_int64), ("channels", c_int64), ("bf16", c_int), ("scratch", c_void_p),
    )  # fmt: skip


class Decoded(Structure):
    _fields_ = (
        ("width", c_int64), ("bf16", c_int), ("output", c_int),
        *((name, c_void_p) for name in (
            "weight", "bias", "x", "product", "slope", "figures", "to_bias", "scratch", "partial",
        )),
    )  # fmt: skip


class LossSums(Structure):
    _fields_ = (
        ("width", c_int64), ("pixels", c_int64), ("sigma", c_int), ("free_bits", c_double),
        ("tc_weight", c_double), *((name, c_void_p) for name in ("figures", "kl", "total_correlation", "results")),
    )  # fmt: skip


class Segment(Structure):
    _fields_ = (("start", c_int64), ("end", c_int64), ("bf16", c_int))


class Adam(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("values", "gradient", "mean", "square", "bfloat16_gradient", "bfloat16_copy")),
        ("segments", POINTER(Segment)), ("count", c_int64), ("step_count", c_void_p),
        *((name, c_double) for name in ("beta1", "beta2", "epsilon", "weight_decay")),
    )  # fmt: skip


class MuonBlock(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("start", "stride", "rows", "columns")),
        ("is_tall", c_int), ("scale", c_float),
    )  # fmt: skip


class Muon(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("values", "gradient", "mean", "bfloat16_gradient", "bfloat16_copy")),
        ("blocks", POINTER(MuonBlock)), ("count", c_int64), ("iterations", c_int64), ("matrix_unit", c_int),
        ("polynomials", POINTER(c_float)),
        ("ratio", c_void_p), ("scratch", c_void_p), ("scratch_stride", c_int64),
        *((name, c_double) for name in ("momentum", "safety", "tiny", "weight_decay")),
    )  # fmt: skip


class Operands(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("left", "right", "out")),
        *((name, c_int64) for name in ("left_stride", "right_stride", "out_stride")),
        *((name, c_int) for name in ("left_turned", "right_turned", "is_float32")),
        *((name, c_int64) for name in ("rows", "columns", "depth")),
        ("scratch", c_void_p),
    )  # fmt: skip


CALLABLE = (
    "hidden_forward", "hidden_backward", "batch_forward", "batch_backward", "latent_forward", "latent_backward",
    "decoded_forward", "decoded_backward", "multiply",
)  # fmt: skip
"""The kernels that a `Call` can be of."""

SIGNATURES: dict[str, list[Any]] = {
    **{name: [c_void_p, c_int64, c_int] for name in CALLABLE},
    "run_calls": [POINTER(Call), c_int64],
    "normalize": [c_void_p, c_void_p, c_void_p, c_int64, c_int],
    "total_correlation": [POINTER(TotalCorrelation), POINTER(Latent), c_int64, c_int],
    "gather_patches": [POINTER(Patches), c_void_p, c_void_p, c_int64, c_int],
    "scatter_patches": [POINTER(Patches), c_void_p, c_void_p, c_int64, c_int],
    "transpose": [c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int, c_int],
    "compute_loss": [POINTER(LossSums), c_int64, c_double],
    "adam_step": [POINTER(Adam), c_double, c_int],
    "muon_step": [POINTER(Muon), c_double, c_int],
}


@dataclass(frozen=True)
class Kernels:
    """Kernels that can be used here, or the reason why there are none; false if there are none.

    Attributes:
        level: a key of `LEVELS`, "triton", or "none".
        reason: why there are none.
        library: has the kernels as functions.
    """

    level: str = "none"
    reason: str = ""
    library: Any = None

    def __bool__(self) -> bool:
        return self.library is not None

    @property
    def has_matrix_unit(self) -> bool:
        """Whether `MatrixUnit` can be used."""
        return self.level == "amx"


def load_kernels(device: str = "cpu") -> Kernels:
    """The best kernels for devices of this type (`torch.device.type`) that are here and that the CPU can run."""
    if device == "cpu":
        return usable_kernels()[0]
    return _triton_kernels() if device == "cuda" else Kernels(reason=f"there are none for {device}")


@cache
def _triton_kernels() -> Kernels:
    try:
        from tui_vae.core.step import triton_kernels
    except ImportError as error:
        return Kernels(reason=f"Triton cannot be imported: {error}")
    return Kernels("triton", library=triton_kernels)


@cache
def usable_kernels() -> tuple[Kernels, ...]:
    """Every level that is built and that this CPU can run, the best first; else one `Kernels` with the reason."""
    able = [level for level, needs in LEVELS.items() if needs <= _cpu_flags()]
    built = [(level, path) for level in able if (path := _built(level)) is not None]
    if not able:
        return (Kernels(reason="they are for x86-64 CPUs with AVX2"),)
    if not built:
        return (Kernels(reason="tui-vae was installed without a C compiler with OpenMP, or from its pure wheel"),)
    try:
        loaded = [Kernels(level, library=_library(path)) for level, path in built]
        kernels = tuple(each for each in loaded if not each.has_matrix_unit or each.library.may_multiply())
    except OSError as error:
        return (Kernels(reason=f"they cannot be loaded: {error}"),)
    except AttributeError:
        return (Kernels(reason="they were built from another version of tui-vae: install it again"),)
    if len(_openmp_runtimes()) != 1:
        return (Kernels(reason="this PyTorch brings an OpenMP runtime of its own"),)
    return kernels


def _library(path: Path) -> ctypes.CDLL:
    """
    Raises:
        OSError: it cannot be loaded. AttributeError: it was built from another version.
    """
    library = ctypes.CDLL(str(path))
    if library.kernels_version() != KERNELS_VERSION:
        raise AttributeError("kernels_version")
    for name, arguments in SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    library.gather_images.argtypes = [c_void_p, c_int64, c_void_p, c_void_p, c_int64, c_int64, c_int]
    library.multiply_scratch.argtypes, library.multiply_scratch.restype = [*[c_int64] * 3, c_int], c_int64
    library.muon_scratch.argtypes, library.muon_scratch.restype = [POINTER(MuonBlock)], c_int64
    return library


def _built(level: str) -> Path | None:
    candidates = (Path(__file__).with_name(f"kernels_{BUILDS[level]}{suffix}") for suffix in SUFFIXES)
    return next((path for path in candidates if path.exists()), None)


def _cpu_flags() -> set[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.split(":", 1)[1].split()) for line in lines if line.startswith("flags")), set())


def _openmp_runtimes() -> set[str]:
    """The OpenMP runtimes that this process has loaded."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    files = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}
    return {file for file in files if Path(file).name.startswith(RUNTIMES)}
