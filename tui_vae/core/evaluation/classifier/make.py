"""Train the classifier and write its weights: `python -m tui_vae.core.evaluation.classifier.make [DATA_DIR]`.

One thread, six minutes: so the same machine makes the same weights again; another one's may differ a little.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from tui_vae.core.data.datasets import load
from tui_vae.core.data.published import DatasetError
from tui_vae.core.evaluation.classifier import WEIGHTS, Classifier, as_input, extract

EPOCHS, BATCH_SIZE, LR, SEED = 10, 128, 2e-3, 0
"""How the packaged weights were made; another accuracy needs another file, and changes every Fréchet distance."""

WEIGHT_DECAY, LABEL_SMOOTHING = 0.02, 0.05
"""Both without unit, against overfitting; of the same one training run."""


def main(data_dir: Path | None = None) -> None:
    """Train on the published training set, print the accuracy on the test set after each epoch, and save.

    Raises:
        DatasetError: the full, published dataset was not found.
    """
    data = load(data_dir=data_dir)
    if data.source.kind == "sample" or not data.source.published:
        raise DatasetError("the classifier learns from the published files, which were not found", data.source.reason)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    train, labels = as_input(torch.from_numpy(data.train_images)), torch.from_numpy(data.train_labels).long()
    test, truth = torch.from_numpy(data.test_images), torch.from_numpy(data.test_labels)
    network = Classifier(len(data.classes))
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * (len(train) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps)
    for epoch in range(1, EPOCHS + 1):
        order = torch.randperm(len(train))[: steps // EPOCHS * BATCH_SIZE]
        for chosen in order.view(-1, BATCH_SIZE):
            images = train[chosen]
            mirrored = torch.rand(len(images)) < 0.5
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
            loss = functional.cross_entropy(network(images), labels[chosen], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"epoch {epoch}: test accuracy {100 * accuracy(network, test, truth):.2f} %", flush=True)
    halved = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    network.load_state_dict({name: value.float() for name, value in halved.items()})
    print(f"as written, in float16: {100 * accuracy(network, test, truth):.2f} %")
    WEIGHTS.write_bytes(save(halved))


@torch.inference_mode()
def accuracy(network: Classifier, images: Tensor, labels: Tensor) -> float:
    """The share of uint8 images `(N, height, width)` whose class the network knows."""
    return float((network.classify(extract(network, images)).argmax(1) == labels).double().mean())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
