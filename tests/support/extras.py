"""Marks of tests that need an extra, for environments without it, such as that of the lowest versions."""

from importlib.util import find_spec

import pytest

needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))), reason="needs the extra onnx"
)
needs_parquet = pytest.mark.skipif(not find_spec("pyarrow"), reason="needs the extra parquet")
needs_probe = pytest.mark.skipif(not find_spec("sklearn"), reason="needs the extra probe")
needs_tensorboard = pytest.mark.skipif(
    not (find_spec("tensorboardX") and find_spec("tensorboard")), reason="needs the extra tensorboard, and TensorBoard"
)
needs_wandb = pytest.mark.skipif(not find_spec("wandb"), reason="needs the extra wandb")
needs_plots = pytest.mark.skipif(not find_spec("matplotlib"), reason="needs the extra plots")
needs_ray = pytest.mark.skipif(not find_spec("ray"), reason="needs the extra ray")
needs_slurm = pytest.mark.skipif(not find_spec("submitit"), reason="needs the extra slurm")
