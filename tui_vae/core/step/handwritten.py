"""One step's forward and backward pass of the fully connected VAE, written out.

The kernels are those that autograd would call; what is saved is its bookkeeping and its copies, and gradients go
straight to their places. A test holds it to autograd's gradients.

With half-precision twins of the weights (`matrices`), the matrix products are done on them, as autocast would do them;
everything between the products stays in float32, where the CPU's element-wise kernels are also faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tui_vae.core.models.mlp import MLP
from tui_vae.core.models.vae import Logits, Tanh
from tui_vae.core.objectives import Objective

aten = torch.ops.aten
Forward = Callable[[Tensor], Tensor]
Backward = Callable[[Tensor, Tensor], Tensor]
Matrices = Mapping[Tensor, Tensor]

# Backward passes take the gradient and the function's input …
ACTIVATIONS: dict[type[nn.Module], tuple[Forward, Backward]] = {
    nn.SiLU: (aten.silu, aten.silu_backward),
    nn.ReLU: (aten.relu, lambda gradient, x: aten.threshold_backward(gradient, x, 0)),
    nn.GELU: (aten.gelu, aten.gelu_backward),
}
# … and here the gradient and the function's output.
OUTPUTS: dict[type[nn.Module], tuple[Forward, Backward]] = {
    Tanh: (lambda x: x.mul_(2).sigmoid_().mul_(2).sub_(1), aten.tanh_backward),
    nn.Sigmoid: (aten.sigmoid_, aten.sigmoid_backward),
    nn.Identity: (lambda x: x, lambda gradient, _: gradient),
    Logits: (lambda x: x.sigmoid_().mul_(2).sub_(1), lambda gradient, y: aten.tanh_backward(gradient, y).mul_(0.5)),
}


@dataclass(frozen=True)
class Result:
    """Means over the batch, as tensors without dimensions; `decoded` is x̂, `(N, D)`."""

    loss: Tensor
    recon: Tensor
    kl: Tensor
    decoded: Tensor


class _Product:
    """A linear layer: its matrix products, forward and backward, in the precision of its matrices."""

    def __init__(self, layer: nn.Linear, matrices: Matrices) -> None:
        assert layer.weight.grad is not None and layer.bias.grad is not None
        weight = matrices.get(layer.weight, layer.weight).detach()
        self._weight, self._transposed, self._bias = weight, weight.t(), layer.bias.detach()
        self._weight_grad, self._bias_grad = layer.weight.grad, layer.bias.grad
        self._low = self._weight.dtype if self._weight.dtype != layer.weight.dtype else None
        self._product = torch.empty_like(self._weight) if self._low else self._weight_grad
        self._inputs: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """`(N, in)` → `(N, out)`, a tensor of its own in the parameters' precision."""
        if self._low is None:
            self._inputs = x
            return torch.addmm(self._bias, x, self._transposed)
        self._inputs = x.to(self._low)
        # The bias is added in full precision: that is exact, and on a CPU cheaper than a product that starts from it.
        return torch.mm(self._inputs, self._transposed).to(x.dtype).add_(self._bias)

    def backward(self, gradient: Tensor, to_input: bool = True) -> Tensor:
        """Write the gradients of the parameters; return that of the input, or `gradient` where nobody needs it."""
        assert self._inputs is not None
        torch.sum(gradient, dim=0, out=self._bias_grad)
        low = gradient if self._low is None else gradient.to(self._low)
        torch.mm(low.t(), self._inputs, out=self._product)
        if self._low is None:
            return torch.mm(gradient, self._weight) if to_input else gradient
        self._weight_grad.copy_(self._product)
        return torch.mm(low, self._weight).to(gradient.dtype) if to_input else gradient


class _Norm:
    """A layer or batch normalization."""

    def __init__(self, norm: nn.LayerNorm | nn.BatchNorm1d) -> None:
        assert norm.weight.grad is not None and norm.bias.grad is not None
        self._norm = norm
        self._gradients = norm.weight.grad, norm.bias.grad
        self._inputs: Tensor | None = None
        self._statistics: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        norm = self._norm
        self._inputs = x
        if isinstance(norm, nn.LayerNorm):
            x, *statistics = aten.native_layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        else:
            assert norm.num_batches_tracked is not None and norm.momentum is not None
            norm.num_batches_tracked.add_(1)
            x, *statistics = aten.native_batch_norm(
                x, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
            )
        self._statistics = statistics[0], statistics[1]
        return x

    def backward(self, gradient: Tensor) -> Tensor:
        assert self._statistics is not None
        norm, wanted = self._norm, [True, True, True]
        if isinstance(norm, nn.LayerNorm):
            gradient, *for_parameters = aten.native_layer_norm_backward(
                gradient, self._inputs, norm.normalized_shape, *self._statistics, norm.weight, norm.bias, wanted
            )
        else:
            gradient, *for_parameters = aten.native_batch_norm_backward(
                gradient, self._inputs, norm.weight, norm.running_mean, norm.running_var, *self._statistics,
                True, norm.eps, wanted,
            )  # fmt: skip
        for place, value in zip(self._gradients, for_parameters, strict=True):
            place.copy_(value)
        return gradient


class _Hidden:
    """A hidden layer: product, normalization if there is one, activation."""

    def __init__(self, product: _Product, norm: _Norm | None, activation: type[nn.Module]) -> None:
        self._product, self._norm = product, norm
        self._activate, self._activate_backward = ACTIVATIONS[activation]
        self._normed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = self._product.forward(x)
        self._normed = x if self._norm is None else self._norm.forward(x)
        return self._activate(self._normed)

    def backward(self, gradient: Tensor, to_input: bool = True) -> Tensor:
        assert self._normed is not None
        gradient = self._activate_backward(gradient, self._normed)
        if self._norm is not None:
            gradient = self._norm.backward(gradient)
        return self._product.backward(gradient, to_input)


def can_differentiate(model: nn.Module) -> bool:
    """Whether this module knows every layer of `model`."""
    if type(model) is not MLP:
        return False
    known = {nn.Linear, nn.LayerNorm, nn.BatchNorm1d, *ACTIVATIONS}
    inner = [*model.encoder, *list(model.decoder)[:-1]]
    return {type(layer) for layer in inner} <= known and type(model.decoder[-1]) in OUTPUTS


class HandwrittenStep:
    """Forward and backward pass of `model`, whose parameters already have gradients to write to.

    `matrices`: for some or all of the parameters, twins in half precision, to be used in the matrix products. Whoever
    changes the parameters renews the twins.

    Raises:
        ValueError: a layer is of another kind.
    """

    def __init__(self, model: MLP, matrices: Matrices | None = None) -> None:
        if not can_differentiate(model):
            raise ValueError("only the fully connected VAE is written out")
        matrices = matrices or {}
        *encoder, head = model.encoder
        *decoder, last, output = model.decoder
        self._encoder, self._decoder = _hidden_layers(encoder, matrices), _hidden_layers(decoder, matrices)
        assert isinstance(head, nn.Linear) and isinstance(last, nn.Linear)
        self._head, self._last = _Product(head, matrices), _Product(last, matrices)
        self._output, self._output_backward = OUTPUTS[type(output)]

    @torch.no_grad()
    def __call__(
        self, x: Tensor, noise: Tensor, objective: Objective, beta: float | Tensor, free_bits: float
    ) -> Result:
        """Put the gradient of the loss on `x` `(N, D)` into the parameters' `.grad`; `noise`: ε, `(N, latent_dim)`."""
        images, pixels = x.shape
        encoded = x
        for layer in self._encoder:
            encoded = layer.forward(encoded)
        mu, logvar = self._head.forward(encoded).chunk(2, dim=1)
        variance = torch.exp(logvar)
        sigma = torch.sqrt(variance)
        decoded = torch.addcmul(mu, sigma, noise)
        for layer in self._decoder:
            decoded = layer.forward(decoded)
        decoded = self._output(self._last.forward(decoded))

        error = decoded - x
        recon = torch.dot(error.view(-1), error.view(-1)) / images
        # Of each dimension ½·(μ² + σ² - log σ² - 1).
        kl_dims = torch.addcmul(variance, mu, mu).sub_(logvar).mean(dim=0).sub_(1).mul_(0.5)
        kl = kl_dims.sum()
        paid = kl_dims.clamp(min=free_bits).sum() if free_bits else kl
        loss, to_recon = objective(recon, paid, beta, pixels), objective.slope(recon, pixels)

        to_z = self._last.backward(self._output_backward(error.mul_(to_recon * (2 / images)), decoded))
        for layer in reversed(self._decoder):
            to_z = layer.backward(to_z)
        # Of each dimension's KL: ∂/∂μ = μ, ∂/∂log σ² = ½(σ² - 1); a dimension under its free bits costs nothing.
        weight = (kl_dims > free_bits).to(x.dtype) * (beta / images) if free_bits else beta / images
        to_encoded = torch.empty(images, 2 * noise.shape[1], dtype=x.dtype, device=x.device)
        to_mu, to_logvar = to_encoded.chunk(2, dim=1)
        torch.add(to_z, mu * weight, out=to_mu)
        torch.addcmul(variance.sub_(1).mul_(weight), to_z.mul_(noise), sigma, out=to_logvar).mul_(0.5)
        gradient = self._head.backward(to_encoded)
        for place, layer in reversed(list(enumerate(self._encoder))):
            gradient = layer.backward(gradient, to_input=place > 0)
        return Result(loss, recon, kl, decoded)


def _hidden_layers(layers: list[nn.Module], matrices: Matrices) -> list[_Hidden]:
    stack: list[_Hidden] = []
    product, norm = None, None
    for layer in layers:
        if isinstance(layer, nn.Linear):
            product, norm = _Product(layer, matrices), None
        elif isinstance(layer, (nn.LayerNorm, nn.BatchNorm1d)):
            norm = _Norm(layer)
        else:
            assert product is not None
            stack.append(_Hidden(product, norm, type(layer)))
    return stack
