"""`docs/run-directory.md` names everything that a reader in another language meets."""

import dataclasses
import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

import tui_vae
from tui_vae.runs import events as ev
from tui_vae.runs import previews, protocol
from tui_vae.runs.checkpoint_file import Progress
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.holder import Holder

PAGE = (Path(tui_vae.__file__).parents[1] / "docs" / "run-directory.md").read_text()


def sections(level: str) -> dict[str, str]:
    """Heading → text of the sections of a level."""
    parts = re.split(rf"^{level} (.+)\n", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def named(text: str) -> set[str]:
    """The words that stand as code."""
    return {word for code in re.findall(r"`([^`]+)`", text) for word in code.split()}


def rows(text: str) -> dict[str, str]:
    """First column → the other columns of the tables in a text."""
    return dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", text, flags=re.MULTILINE))


def fields(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


@pytest.mark.parametrize("kind", get_args(ev.AnyEvent), ids=lambda kind: kind.__struct_config__.tag)
def test_every_event_is_documented_with_all_its_fields(kind: type[msgspec.Struct]) -> None:
    text = sections("###")[str(kind.__struct_config__.tag)]
    assert fields(kind) - {"t"} <= named(text)
    for part, holds in ((ev.DatasetFacts, ev.RunEvent), (ev.Metrics, ev.EpochEvent), (ev.Legacy, ev.EpochEvent)):
        if kind is holds:
            assert fields(part) <= named(text)


def test_no_event_is_documented_that_does_not_exist() -> None:
    text = sections("##")["events.jsonl"]
    kinds = {str(kind.__struct_config__.tag) for kind in get_args(ev.AnyEvent)}
    assert set(re.findall(r"^### (\w+)", text, flags=re.MULTILINE)) == kinds
    assert set(get_args(ev.RunState)) <= named(text)


@pytest.mark.parametrize(
    ("heading", "messages"), [("Requests", get_args(protocol.AnyRequest)), ("Replies", get_args(protocol.AnyReply))]
)
def test_every_message_is_documented_with_all_its_keys(heading: str, messages: tuple[type[msgspec.Struct]]) -> None:
    documented = rows(sections("###")[heading])
    assert documented.keys() == {message.__name__ for message in messages}
    for message in messages:
        assert fields(message) <= named(documented[message.__name__]), message


def test_every_file_is_documented() -> None:
    run = RunDirectory(Path("run"))
    files = {run.config, run.events, run.last, run.best, run.log, run.lock, run.note, run.tags}
    names = {path.name for path in files} | {f"{run.previews.name}/", f"{run.kept.name}/"}
    assert names == set(re.findall(r"^\| `([^`]+)` \|", sections("##")["Files"], flags=re.MULTILINE))
    assert {previews.ORIGINALS, "epoch-NNNNNN.png", *previews.TEXT_KEYS} <= named(sections("##")["previews/"])
    kept_files = {"epoch-NNNNNN.safetensors", "epoch-NNNNNN.best.safetensors"}
    assert kept_files <= named(sections("##")["kept/"])
    assert fields(Holder) <= named(sections("##")["lock"])


def test_all_metadata_of_a_checkpoint_is_documented() -> None:
    names = {field.name for field in dataclasses.fields(Progress)} | {"format", "crc32"}
    metadata, _, _ = sections("##")["Checkpoints"].partition("| tensor |")
    assert names == rows(metadata).keys()


def test_every_tensor_of_a_checkpoint_is_documented(tmp_path: Path) -> None:
    from tests.support.training import new_run, train_here
    from tui_vae.trainer.checkpoints import load_checkpoint

    run = new_run(tmp_path, epochs=1, norm="batch")
    assert train_here(run) == 0
    known = {
        re.sub(r"^model\.(encoder|decoder|\*)\.I", "model.I", name) for name in named(sections("##")["Checkpoints"])
    }
    for path in (run.last, run.best):
        for name in load_checkpoint(path)[1]:
            assert re.sub(r"^model\.(encoder|decoder)\.\d+", "model.I", name) in known
