"""A run's encoder or decoder as a file that runs without this package: ONNX, or a package of `torch.export`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from tui_vae.errors import UserError
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.trust import check_code

NEEDED = ("onnx", "onnxscript", "onnxruntime")


def part_file(directory: RunDirectory, which: str | None, part: Literal["Encoder", "Decoder"], ending: str) -> bytes:
    """The file of a part, `.onnx` or `.pt2`, for any number N of images.

    Encoder: image `(N, C, height, width)` float32 in [0, 1] → mu, logvar `(N, latent_dim)` float32. Decoder: z
    `(N, latent_dim)` float32 → image `(N, C, height, width)` float32 in [0, 1], C = 1 or 3; of a Bernoulli decoder also
    `logits` of that shape.

    Raises:
        UserError: the packages that write ONNX are not installed, or the network cannot be such a file.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if ending == "onnx" and missing:
        hint = f"install it: pip install {' '.join(NEEDED)}, or take a package of torch.export: .pt2"
        raise UserError(f"an ONNX file cannot be written without {' and '.join(missing)}", hint)
    check_code(directory, which)  # before PyTorch takes its seconds
    from tui_vae import __version__
    from tui_vae.core.evaluation import parts
    from tui_vae.trainer.trained_run import load_trained_network

    network = load_trained_network(directory, which)
    facts = {
        "run": directory.name, "dataset": network.dataset, "epoch": str(network.progress.evaluated),
        "step": str(network.progress.step), "tui-vae": __version__,
    }  # fmt: skip
    chosen = getattr(parts, part)(network.model, network.shape)
    if ending == "onnx":
        from tui_vae.core.evaluation.onnx_export import as_onnx

        return as_onnx(chosen, facts)
    from tui_vae.core.evaluation.program_export import as_program

    return as_program(chosen, facts)
