"""The ordinary way to train a VAE, epoch after epoch: `python -m tui_vae.trainer.ordinary_loop OPTIONS`.

What people write: torchvision's transforms of single images, a DataLoader, Adam with one learning rate, a loss that is
read at every step. It trains the network of one configuration, with its objective. After each epoch it evaluates the
test images as a run does, and prints a JSON line: epoch, seconds of training so far, `elbo_bpd`, `mse`.
"""

from __future__ import annotations

import itertools
import json
import sys
import time

import torch
from torch.utils.data import DataLoader

from tui_vae.config import make_config
from tui_vae.trainer.bench import TransformedImages, ordinary_step
from tui_vae.trainer.run_setup import load_data_and_model, resolve_machine_options

BATCH_SIZE, LR = 128, 1e-3
"""Those of PyTorch's own example of a VAE (https://github.com/pytorch/examples/blob/main/vae/main.py)."""


def main() -> None:
    threads = torch.get_num_threads()
    config = resolve_machine_options(make_config(json.loads(sys.argv[1])))
    run = load_data_and_model(config)
    torch.set_num_threads(threads)  # PyTorch's own choice: nobody sets them
    model = run.model.to(run.device)
    learn = ordinary_step(config, run, torch.optim.Adam(model.parameters(), lr=LR))
    loader = DataLoader(TransformedImages(run.dataset.train_images), BATCH_SIZE, shuffle=True)
    start = time.perf_counter()
    for epoch in itertools.count(1):
        model.train()
        total = 0.0
        for images in loader:
            total += learn(images)
        test, _ = run.evaluate(run.test, config.beta)
        seconds = time.perf_counter() - start
        print(json.dumps({"epoch": epoch, "seconds": seconds, "elbo_bpd": test.elbo_bpd, "mse": test.mse}), flush=True)


if __name__ == "__main__":
    main()
