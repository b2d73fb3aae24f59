"""A run's decoder as an ONNX file, for programs without PyTorch."""

from __future__ import annotations

from importlib.util import find_spec

from tui_vae.cli.load_trained import load_trained
from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory

NEEDED = ("onnx", "onnxscript")


def decoder_onnx(directory: RunDirectory, which: str | None = None) -> bytes:
    """z `(N, latent_dim)` float32 → image `(N, C, height, width)` float32 in [0, 1], C = 1 or 3, for any N.

    Raises:
        UserError: the packages that write ONNX are not installed.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        hint = f"install it: pip install {' '.join(NEEDED)}"
        raise UserError(f"an ONNX file cannot be written without {' and '.join(missing)}", hint)
    run, progress = load_trained(directory, which)
    from tui_vae import __version__
    from tui_vae.core.evaluation.onnx_decoder import as_onnx

    facts = {
        "run": directory.name, "dataset": run.dataset.name, "epoch": str(progress.evaluated),
        "step": str(progress.step), "tui-vae": __version__,
    }  # fmt: skip
    return as_onnx(run.model, run.dataset.shape, facts)
