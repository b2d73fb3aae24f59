"""What a checkpoint says of itself is checked before anybody relies on it, also where its checksum is right."""

from __future__ import annotations

import json
from typing import Any

import pytest
import safetensors.torch
import torch

from tests.support.checkpoint_bytes import metadata, with_checksum
from tests.support.training import same
from tui_vae.config import make_config
from tui_vae.runs.checkpoint_file import CheckpointError, Progress, read_facts
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.trust import check_code
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint


@pytest.fixture
def directory(own_runs: Any) -> RunDirectory:
    return create_run(own_runs, make_config({}))[0]


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def test_the_sample_is_a_checkpoint(directory: RunDirectory) -> None:
    directory.last.write_bytes(with_checksum(metadata()))
    assert load_checkpoint(directory.last)[0].segments == [2, 1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("config", None), ("config", [1]), ("segments", []), ("segments", [0]), ("segments", ["2"]), ("segments", 3),
     ("beta", "1"), ("step", -1), ("step", 2**60), ("step", 1.5), ("evaluated", None), ("lr_scale", []),
     ("best_loss", {}), ("epoch_means", [1.0] * 6), ("epoch_means", ["x"]), ("train_images", -3), ("log_size", "a"),
     ("diagnosis", {"streaks": 4}), ("diagnosis", [1]), ("run_id", 7), ("mood", "good")],
)  # fmt: skip
def test_metadata_of_another_type_are_refused(directory: RunDirectory, name: str, value: Any) -> None:
    directory.last.write_bytes(with_checksum({**metadata(), name: value}))
    with pytest.raises(CheckpointError, match="is not a checkpoint of tui-vae"):
        load_checkpoint(directory.last)
    assert check_code(directory) is None


def test_an_endless_checksum_and_endless_brackets_are_refused(directory: RunDirectory) -> None:
    whole = with_checksum({**metadata(), "beta": 12345.5})
    crc = whole.partition(b'crc32\\": ')[2].partition(b"}")[0]
    directory.last.write_bytes(whole.replace(crc, b"1e999".ljust(len(crc))))
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load_checkpoint(directory.last)
    directory.last.write_bytes(with_checksum({**metadata(), "diagnosis": nested(900)}))
    with pytest.raises(CheckpointError):
        load_checkpoint(directory.last)


def test_a_checkpoint_is_the_file_that_safetensors_would_write(directory: RunDirectory) -> None:
    """All of its types, tensors that share memory, none and one number, and names that JSON escapes."""
    vector = torch.arange(12, dtype=torch.float32)
    tensors = {
        "b.matrix": vector[:6].view(2, 3), "a.tail": vector[3:], "turned": vector.view(3, 4).T, "one": torch.tensor(7),
        "none": torch.empty(0), 'odd "ü"': torch.ones(3, dtype=torch.bfloat16), "yes": torch.tensor([True, False]),
        "state": torch.arange(5, dtype=torch.uint8), "wide": torch.ones(2, 2, dtype=torch.float64),
    }  # fmt: skip
    progress = Progress(config=make_config({}).to_dict(), segments=[1], beta=1.0)
    save_checkpoint(directory.last, progress, tensors)
    data = directory.last.read_bytes()
    facts = read_facts(directory.last)
    assert same(safetensors.torch.load(data), tensors)
    theirs = safetensors.torch.save(
        {name: tensor.clone().contiguous() for name, tensor in tensors.items()}, {"tui-vae": json.dumps(facts)}
    )
    assert header_of(data) == header_of(theirs)
    assert data[-len(tensors["yes"]) :] == theirs[-len(tensors["yes"]) :]
    assert same(load_checkpoint(directory.last)[1], tensors)


def header_of(data: bytes) -> Any:
    return json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
