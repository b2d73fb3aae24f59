"""The written-out backward pass against autograd, and the flat parameters that it writes to."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from tui_vae.core.flat import flatten_parameters
from tui_vae.core.handwritten import HandwrittenStep, can_differentiate
from tui_vae.core.model import ACTIVATIONS, MLP, OUTPUTS
from tui_vae.core.objectives import OBJECTIVES, kl_per_dimension, squared_error, with_free_bits

PIXELS, LATENT, BETA = 30, 4, 1.7


def model(hidden: tuple[int, ...], activation: str, norm: str, output: str) -> MLP:
    torch.manual_seed(0)
    return MLP(PIXELS, hidden, LATENT, activation, norm, output).double()


@pytest.mark.parametrize("objective", ["mse", "sigma"])
@pytest.mark.parametrize("free_bits", [0.0, 0.05])
def test_gradients_are_those_of_autograd(objective: str, free_bits: float) -> None:
    for activation, norm, output, hidden in product(ACTIVATIONS, ("none", "layer"), OUTPUTS, ((16, 8), (9,))):
        vae = model(hidden, activation, norm, output)
        x = torch.rand(7, PIXELS, dtype=torch.float64) * 2 - 1
        noise = torch.randn(7, LATENT, dtype=torch.float64)
        mu, logvar = vae.encode(x)
        recon = squared_error(vae.decode(mu + torch.exp(0.5 * logvar) * noise), x).mean()
        kl = with_free_bits(kl_per_dimension(mu, logvar), free_bits)
        loss = OBJECTIVES[objective](recon, kl, BETA, PIXELS)
        expected = torch.autograd.grad(loss, list(vae.parameters()))

        flatten_parameters(vae)
        result = HandwrittenStep(vae)(x, noise, OBJECTIVES[objective], BETA, free_bits)
        torch.testing.assert_close(result.loss, loss.detach())
        torch.testing.assert_close(result.recon, recon.detach())
        for parameter, gradient in zip(vae.parameters(), expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient, rtol=1e-9, atol=1e-11)


def test_flat_parameters_are_the_models_own() -> None:
    vae = model((16, 8), "silu", "layer", "tanh")
    x = torch.rand(5, PIXELS, dtype=torch.float64)
    before = {name: value.clone() for name, value in vae.state_dict().items()}
    flat = flatten_parameters(vae)
    for name, value in vae.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    shifted = vae.encode(x)[0].detach().clone()
    vae.decode(vae.encode(x)[0]).sum().backward()
    assert flat.grad is not None and bool(flat.grad.any())
    torch.optim.SGD([flat], lr=0.1).step()
    assert not torch.equal(vae.encode(x)[0], shifted)


def test_an_unknown_layer_is_left_to_autograd() -> None:
    vae = model((16,), "silu", "layer", "tanh")
    vae.encoder.append(torch.nn.Softplus())
    assert not can_differentiate(vae)
    with pytest.raises(ValueError, match="written out"):
        HandwrittenStep(vae)
