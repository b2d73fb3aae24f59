"""A user's convolutions get images whose channels lie last in memory, wherever all of the user's code can take that."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import nn

from tui_vae.config import make_config
from tui_vae.config.own_code import allow
from tui_vae.core.models.build import build_model
from tui_vae.core.models.own import WrappedModel

CODE = dedent(
    """
    import torch
    from torch import nn


    class Ours(nn.Module):
        def __init__(self, shape, config):
            super().__init__()
            self.inwards = nn.Sequential(
                nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1)
            )
            self.head = nn.Linear(8 * 49, 2 * config.latent_dim)
            self.start = nn.Linear(config.latent_dim, 8 * 49)
            self.outwards = nn.Sequential(
                nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.ReLU(), nn.Dropout(0.1), nn.ConvTranspose2d(6, 1, 4, 2, 1)
            )

        def encode(self, x):
            features = self.inwards(x)
            return self.head(FLAT).chunk(2, dim=1)

        def decode(self, z):
            return torch.tanh(self.outwards(self.start(z).view(-1, 8, 7, 7)))
    """
)

# How the encoder flattens its features → the convolutions that get channels last.
FLAT = {
    "features.flatten(1)": {"inwards.0", "inwards.3", "outwards.0", "outwards.3"},
    "features.view(len(x), -1)": {"outwards.0", "outwards.3"},
    "(features.view(len(x), -1) if self.training else features.flatten(1))": {"outwards.0", "outwards.3"},
}


@pytest.mark.parametrize("flat", FLAT)
def test_convolutions_get_channels_last_where_the_code_can_take_it(
    flat: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "ours", raising=False)
    (tmp_path / "ours.py").write_text(CODE.replace("FLAT", flat))
    config = make_config({"model": "ours:Ours", "model-dir": str(tmp_path), "latent-dim": 5})
    allow(config)
    model = build_model(config, (28, 28))
    assert isinstance(model, WrappedModel) and model.training
    after = torch.rand(1)
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    monkeypatch.delitem(sys.modules, "ours")
    plain = build_model(config, (28, 28))
    assert torch.equal(after, torch.rand(1))  # trying it out draws no numbers
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in plain.named_buffers())
    assert buffers["own.inwards.1.num_batches_tracked"] == 0
    for layer in plain.modules():
        layer._forward_pre_hooks.clear()

    last = set()
    for name, layer in model.own.named_modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.register_forward_hook(
                lambda _, given, made, name=name: last.add(name) if given[0].stride(1) == 1 else None
            )
    x = torch.rand(4, 784, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs = []
        for each in (model, plain):
            each.train()
            each.encode(x)
            each.eval()
            mu, logvar = each.encode(x)
            outputs.append((mu, logvar, each.decode(mu)))
    assert last == FLAT[flat]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
