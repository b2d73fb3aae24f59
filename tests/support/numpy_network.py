"""The network of the run that all tests of finished runs look at, in float64 numpy."""

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from tests.support.processes import Trained
from tui_vae.core.data.datasets import Images

Array = NDArray[np.float64]


class Network:
    """The run's network, 784-48-8-48-784, in float64 from the weights in its checkpoint."""

    def __init__(self, trained: Trained) -> None:
        self._weights = {name.removeprefix("model."): value.astype(np.float64)
                         for name, value in load_file(trained.directory.last).items()}  # fmt: skip

    def _linear(self, a: Array, layer: str) -> Array:
        product: Array = a @ self._weights[f"{layer}.weight"].T + self._weights[f"{layer}.bias"]
        return product

    def _hidden(self, a: Array, part: str) -> Array:
        a = self._linear(a, f"{part}.0")
        a = (a - a.mean(axis=1, keepdims=True)) / np.sqrt(a.var(axis=1, keepdims=True) + 1e-5)
        a = a * self._weights[f"{part}.1.weight"] + self._weights[f"{part}.1.bias"]
        silu: Array = a / (1 + np.exp(-a))
        return silu

    def encode(self, images: Images) -> tuple[Array, Array]:
        x = images.reshape(len(images), -1).astype(np.float64) / 127.5 - 1
        mu, logvar = np.split(self._linear(self._hidden(x, "encoder"), "encoder.3"), 2, axis=1)
        return mu, logvar

    def decode(self, z: Array) -> Array:
        """z → p̂ on [0, 1]."""
        p: Array = (np.tanh(self._linear(self._hidden(z, "decoder"), "decoder.3")) + 1) / 2
        return p
