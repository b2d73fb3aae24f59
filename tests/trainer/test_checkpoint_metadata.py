"""What a checkpoint says of itself is checked before anybody relies on it, also where its checksum is right."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.checkpoint_bytes import metadata, with_checksum
from tui_vae.config import make_config
from tui_vae.runs.checkpoint_file import CheckpointError
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.trust import check_code
from tui_vae.trainer.checkpoints import load_checkpoint


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
