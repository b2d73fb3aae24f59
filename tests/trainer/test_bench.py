"""The candidates of `bench` work on the data that the user names: their shape, and their type."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.idx_data import as_bytes, discs, write_data
from tui_vae.config import RunConfig, make_config
from tui_vae.core.models.mlp import MLP
from tui_vae.trainer import bench

SHAPE = (30, 41)


def config_of(place: Path, floats: bool) -> RunConfig:
    images = [discs(count, SHAPE) for count in (12, 4)]
    data = write_data(place / "data", *(images if floats else map(as_bytes, images)))
    return make_config({"data-dir": str(data), "device": "cpu", "threads": 1, "precision": "float32", "hidden": "24",
                        "latent-dim": 4, "batch-size": 12})  # fmt: skip


def test_the_limit_multiplies_matrices_of_the_datas_own_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, multiply = set(), torch.mm

    def noted(x: Tensor, weight: Tensor, **given: Any) -> Tensor:
        shapes.add((tuple(x.shape), tuple(weight.shape)))
        return multiply(x, weight, **given)

    monkeypatch.setattr(torch, "mm", noted)
    assert bench.products(config_of(tmp_path, floats=False)).train(0.01) > 0
    assert ((12, 30 * 41), (30 * 41, 24)) in shapes
    assert not any(28 * 28 in (*x, *weight) for x, weight in shapes)


@pytest.mark.parametrize("floats", [False, True], ids=["bytes", "floats"])
def test_the_ordinary_loop_learns_from_the_images_as_they_are(
    floats: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches, encode = [], MLP.encode

    def noted(self: MLP, x: Tensor) -> tuple[Tensor, Tensor]:
        batches.append(x.detach().clone())
        return encode(self, x)

    monkeypatch.setattr(MLP, "encode", noted)
    assert bench.ordinary(config_of(tmp_path, floats), workers=0).train(0.01) > 0
    images = discs(12, SHAPE) if floats else as_bytes(discs(12, SHAPE)) / np.float32(255)
    expected = 2 * images.reshape(12, -1) - 1
    order, expected_order = (np.lexsort(np.round(rows.T, 3)) for rows in (batches[0].numpy(), expected))
    np.testing.assert_allclose(batches[0].numpy()[order], expected[expected_order], atol=1e-6)
