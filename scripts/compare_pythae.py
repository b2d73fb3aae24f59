"""Training seconds to the figure that pythae's own trainer reaches after ten epochs: its seconds against tui-vae's.

    pip install pythae && python scripts/compare_pythae.py [--rounds 3] 2>/dev/null

pythae (https://github.com/clementchadebec/benchmark_VAE) trains the fully connected network of tui-vae's default recipe
on the same images in [-1, 1], by `BaseTrainer` with its usual settings: Adam with 1e-4, batches of 64, its `VAE` with
squared error. tui-vae's `evaluate` gives its figures of the test images. Then the preset `quick` trains until its bits
a pixel are as low. Rounds take turns.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # Python puts the folder of a script there

import torch
from pythae.data.datasets import BaseDataset  # type: ignore[import-not-found]
from pythae.models import VAE, VAEConfig  # type: ignore[import-not-found]
from pythae.models.base.base_utils import ModelOutput  # type: ignore[import-not-found]
from pythae.models.nn import BaseDecoder, BaseEncoder  # type: ignore[import-not-found]
from pythae.trainers import BaseTrainer, BaseTrainerConfig  # type: ignore[import-not-found]
from torch import Tensor, nn

from tui_vae.cli.bench_target import Target
from tui_vae.cli.bench_until import train_until
from tui_vae.config import preset_config
from tui_vae.core.models.mlp import MLP
from tui_vae.core.pixels import normalize
from tui_vae.trainer.run_setup import LoadedRun, load_data_and_model, resolve_machine_options

EPOCHS = 10
"""Epochs that pythae trains for its figure."""


class Encoder(BaseEncoder):  # type: ignore[misc]
    """The run's encoder as pythae calls one: images `(N, 784)` → μ, log σ²."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> ModelOutput:
        mu, logvar = self.layers(x).chunk(2, dim=1)
        return ModelOutput(embedding=mu, log_covariance=logvar)


class Decoder(BaseDecoder):  # type: ignore[misc]
    """The run's decoder as pythae calls one: z `(N, latent_dim)` → images `(N, 784)`."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z))


def by_pythae(run: LoadedRun, folder: str) -> float:
    """Train the run's network by pythae. Gives seconds."""
    assert isinstance(run.model, MLP)
    model = VAE(VAEConfig(input_dim=(run.model.pixels,), latent_dim=run.model.latent_dim),
                Encoder(run.model.encoder), Decoder(run.model.decoder))  # fmt: skip
    images = normalize(run.train).flatten(1)
    data = BaseDataset(images, torch.zeros(len(images)))
    trainer = BaseTrainer(model, data, training_config=BaseTrainerConfig(output_dir=folder, num_epochs=EPOCHS))
    start = time.perf_counter()
    trainer.train()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    logging.disable(logging.WARNING)
    threads = torch.get_num_threads()
    theirs, ours = [], []
    for number in range(1, rounds + 1):
        config = resolve_machine_options(preset_config("quick"))
        run = load_data_and_model(config)
        torch.set_num_threads(threads)  # PyTorch's own choice, as in anybody's program
        with tempfile.TemporaryDirectory() as folder:
            theirs.append(by_pythae(run, folder))
        test, _ = run.evaluate(run.test, beta=1.0)
        print(
            f"round {number}: pythae reaches {test.elbo_bpd:.4f} bits a pixel, mse {test.mse:.5f} in {theirs[-1]:.1f} s"
        )
        reached = train_until(preset_config("quick"), Target("bits", test.elbo_bpd))
        ours.append(reached.seconds)
        word = "reaches" if reached.reached else "does NOT reach"
        print(f"  tui-vae {word} it after {reached.epoch} epochs ({reached.value:.4f}) in {reached.seconds:.1f} s")
    print(f"pythae / tui-vae: {median(theirs) / median(ours):.1f} (medians of {rounds})")


if __name__ == "__main__":
    main()
