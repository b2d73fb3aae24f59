"""A run's encoder or decoder as an ONNX file, for programs without PyTorch."""

from __future__ import annotations

from importlib.util import find_spec

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.trust import check_code

NEEDED = ("onnx", "onnxscript", "onnxruntime")


def encoder_onnx(directory: RunDirectory, which: str | None = None) -> bytes:
    """Image `(N, C, height, width)` float32 in [0, 1] → mu, logvar `(N, latent_dim)` float32, for any N.

    Raises:
        UserError: as `decoder_onnx`.
    """
    return _onnx(directory, which, "Encoder")


def decoder_onnx(directory: RunDirectory, which: str | None = None) -> bytes:
    """z `(N, latent_dim)` float32 → image `(N, C, height, width)` float32 in [0, 1], C = 1 or 3, for any N.

    Of a Bernoulli decoder also `logits` of that shape.

    Raises:
        UserError: the packages that write ONNX are not installed, or the network cannot be such a file.
    """
    return _onnx(directory, which, "Decoder")


def _onnx(directory: RunDirectory, which: str | None, part: str) -> bytes:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        hint = f"install it: pip install {' '.join(NEEDED)}"
        raise UserError(f"an ONNX file cannot be written without {' and '.join(missing)}", hint)
    check_code(directory, which)  # before PyTorch takes its seconds
    from tui_vae import __version__
    from tui_vae.core.evaluation import onnx_export
    from tui_vae.trainer.trained_run import load_trained_network

    network = load_trained_network(directory, which)
    facts = {
        "run": directory.name, "dataset": network.dataset, "epoch": str(network.progress.evaluated),
        "step": str(network.progress.step), "tui-vae": __version__,
    }  # fmt: skip
    return onnx_export.as_onnx(getattr(onnx_export, part)(network.model, network.shape), facts)
