"""The presets: named values for whatever is not given."""

from __future__ import annotations

from typing import Any

ADAM: dict[str, Any] = {"optimizer": "adam", "batch_size": 256}
"""The optimizer and the batch of recipes that were made for Adam."""

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "quick": {"epochs": 3, "muon_lr": 0.06},
    "best": {
        "model": "conv", "hidden": (512,), "latent_dim": 128, "norm": "batch", "weight_decay": 0.1, "epochs": 20,
        "muon_lr": 0.06,
    },
    "adam": ADAM,
    # The original notebook: sigmoid output against targets in [-1, 1], and the KL weighted by one half.
    "seed": {
        **ADAM, "hidden": (256,), "latent_dim": 20, "activation": "relu", "norm": "none", "output": "sigmoid",
        "objective": "mse", "beta": 0.5, "batch_size": 128, "lr": 1e-3, "schedule": "constant",
    },
    # https://github.com/pytorch/examples/blob/main/vae/main.py
    "pytorch-examples": {
        **ADAM, "hidden": (400,), "latent_dim": 20, "activation": "relu", "norm": "none",
        "objective": "bce", "batch_size": 128, "lr": 1e-3, "schedule": "constant",
    },
    # https://github.com/Jackson-Kang/Pytorch-VAE-tutorial, 01_Variational_AutoEncoder.ipynb; its ReLU is a leaky one
    "jackson-kang": {
        **ADAM, "hidden": (400, 400), "latent_dim": 200, "activation": "relu", "norm": "none",
        "objective": "bce", "batch_size": 100, "lr": 1e-3, "schedule": "constant", "epochs": 30,
    },
}  # fmt: skip
"""Name of each preset → the options in which it differs from the defaults of `RunConfig`."""

SUITS = {
    "default": "small images of any kind; with --model conv also larger ones, such as 64×64 in colour",
    "quick": "the same as default, and a first look at new data",
    "best": "images where there is time: convolutions, 20 epochs, each of four times the work",
    "adam": "what default suits, to compare with runs of version 0.1",
    "seed": "FashionMNIST, to compare with the original notebook's table",
    "pytorch-examples": "nearly black and white images such as MNIST's: bce takes grey levels for probabilities",
    "jackson-kang": "nearly black and white images such as MNIST's: bce takes grey levels for probabilities",
}
"""Which images each preset was made for, and when to take it."""
