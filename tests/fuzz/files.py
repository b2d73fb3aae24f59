"""Targets: the files of a run directory, of a dataset and of the user's settings."""

from __future__ import annotations

import fcntl
import gzip
import io
import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import safetensors.torch
import torch
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from tests.fuzz.inputs import as_json, changed, json_values, noisy, odd_objects, texts
from tests.fuzz.target import Check, Target
from tests.support.checkpoint_bytes import PROGRESS, TENSORS, metadata, with_checksum
from tests.support.falling_run import trained
from tui_vae.config import make_config
from tui_vae.config.files import parse_config, read_runs_dir
from tui_vae.core.data.datasets import load
from tui_vae.core.data.readers.idx import as_array
from tui_vae.errors import UserError
from tui_vae.plain_text import plain
from tui_vae.runs import events as ev
from tui_vae.runs.checkpoint_file import verify_checkpoint
from tui_vae.runs.create import config_toml, create_run
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import batched, read_history, read_newest
from tui_vae.runs.holder import Holder
from tui_vae.runs.manage import read_note
from tui_vae.runs.previews import Originals, read_originals, read_previews, write_originals, write_preview
from tui_vae.runs.run_records import Ledger
from tui_vae.runs.summary import summarize
from tui_vae.runs.trust import check_code
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint
from tui_vae.trainer.symptoms import Diagnosis
from tui_vae.ui.settings import read_keys, read_preferences
from tui_vae.ui.train.figures import MEASURES
from tui_vae.ui.train.run_curves import RunCurves
from tui_vae.ui.user_keys import checked, known_commands

# -- The log -----------------------------------------------------------------------------------------------------------

EVENTS = [*trained(2, "finished"), ev.WarningEvent(t=1.0, message="a", hint="b"), ev.ErrorEvent(t=1.0, message="a"),
          ev.PreviewEvent(t=1.0, epoch=1, file="epoch-000001.png"),
          ev.CheckpointEvent(t=1.0, epoch=1, step=2, file="last.safetensors", best=True)]  # fmt: skip
LINES = [ev.encode_line(event) for event in EVENTS]
KINDS = list({line[:15]: line for line in LINES}.values())
"""A line of each kind."""

log_bytes = st.one_of(
    st.lists(noisy(KINDS), max_size=6).map(b"\n".join),
    st.lists(odd_objects([json.loads(line) for line in KINDS]).map(as_json), max_size=6).map(b"\n".join),
    changed([b"".join(LINES)], 8),
)


@contextmanager
def open_log(folder: Path) -> Iterator[Check]:
    directory, _ = create_run(folder, make_config({"name": "run"}))

    def check(data: bytes) -> None:
        directory.events.write_bytes(data)
        whole, _, _ = data.rpartition(b"\n")
        one_by_one = [ev.parse_line(line) for line in whole.split(b"\n")]
        assert not all(one_by_one) or list(map(type, ev.parse_lines(whole))) == list(map(type, one_by_one))
        history = read_history(directory.events)
        RunCurves(MEASURES).read(history)
        assert history.step >= 0 and history.total_steps >= 0
        read_newest(directory.events, max(1, len(data) // 16))
        for batch in batched(ev.LogTail(directory.events, len(data) // 3).read_all()):
            history.apply_batch(batch)
        summarize(directory)
        ledger = Ledger(directory, directory.events.stat())
        ledger.read(directory.events.stat())
        ledger.record(0.0)

    yield check


# -- config.toml, a note -----------------------------------------------------------------------------------------------

CONFIGS = [config_toml(make_config({})), b'epochs = 3\nlr = 1e-3\nhidden = [64, 32]\nruns-dir = "x"\n[keys]\na = "b"\n']
toml_lines = st.builds(
    lambda name, value: f"{name} = {value}\n".encode(errors="replace"),
    st.one_of(st.sampled_from(sorted(make_config({}).to_dict())).map(lambda name: name.replace("_", "-")), texts),
    st.one_of(json_values.map(lambda value: as_json(value).decode()), texts),
)


@contextmanager
def open_config(folder: Path) -> Iterator[Check]:
    directory = RunDirectory(folder / "run")
    directory.path.mkdir()

    def check(data: bytes) -> None:
        directory.config.write_bytes(data)
        directory.note.write_bytes(data)
        with suppress(UserError):
            make_config(parse_config(data, directory.config))
        with suppress(UserError):
            read_runs_dir(directory.config)
        with suppress(UserError):
            directory.read_config()
        note = read_note(directory)
        assert note == plain(note)

    yield check


# -- Checkpoints -------------------------------------------------------------------------------------------------------


def with_header(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + bytes(29)


@st.composite
def checkpoint_bytes(draw: st.DrawFn) -> bytes:
    whole = with_checksum(metadata())
    match draw(st.integers(0, 4)):
        case 0:
            return draw(noisy([whole]))
        case 1 | 2:
            return with_checksum(draw(odd_objects([metadata()])))
        case 3:
            length = 8 + int.from_bytes(whole[:8], "little")
            return with_header(draw(changed([whole[8:length]])))
        case _:
            inner = draw(noisy([json.dumps(metadata()).encode()]))
            text = inner.decode(errors="replace")
            try:
                return safetensors.torch.save(TENSORS, {"tui-vae": text})
            except Exception:  # a text that safetensors does not write
                return whole


@contextmanager
def open_checkpoint(folder: Path) -> Iterator[Check]:
    directory, _ = create_run(folder, make_config({"name": "run"}))
    save_checkpoint(folder / "ours", PROGRESS, TENSORS)
    (folder / "theirs").write_bytes(with_checksum(metadata()))  # which the targets change
    for name in ("ours", "theirs"):
        progress, tensors = load_checkpoint(folder / name)
        assert progress == PROGRESS and sorted(tensors) == sorted(TENSORS), name
        assert all(torch.equal(tensors[each], TENSORS[each]) for each in TENSORS), name

    def check(data: bytes) -> None:
        directory.last.write_bytes(data)
        with suppress(UserError):
            check_code(directory)
        with suppress(UserError):
            verify_checkpoint(directory.last)
        try:
            progress, _ = load_checkpoint(directory.last)
        except UserError:
            return
        assert progress.planned_epochs >= 0 <= progress.epoch
        Diagnosis(None, progress.diagnosis)
        with suppress(UserError):
            make_config(progress.config)

    yield check


# -- Previews ----------------------------------------------------------------------------------------------------------


def png(width: int, height: int, mode: str, note: str) -> bytes:
    info, buffer = PngImagePlugin.PngInfo(), io.BytesIO()
    for key in ("indices", "labels", "width"):
        info.add_text(key, note)
    info.add_text("other", note * 30, zip=True)
    Image.new(mode, (width, height)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


PNGS = [png(56, 28, "L", "1,2"), png(3, 5, "RGBA", "4"), png(1, 1, "P", "-1,x,9999999999"), png(8, 8, "I;16", ""),
        png(16, 2, "1", "0")]  # fmt: skip


BOMBS = [zlib.compress(bytes(1 << 20)), b"a\0\0" + zlib.compress(bytes(1 << 24))]
"""Small data that grow when they are inflated."""


def chunked(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    """A chunk of a PNG whose checksum is right."""
    size = len(body) if length is None else length & 0xFFFFFFFF
    return struct.pack(">I", size) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@st.composite
def png_bytes(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return draw(noisy(PNGS))
    sides = st.sampled_from([0, 1, 7, 28, 2048, 70_000, 2**31 - 1, 2**32 - 1])
    depth, colour = draw(st.sampled_from([0, 1, 2, 4, 8, 16, 255])), draw(st.integers(0, 7))
    head = struct.pack(">IIBBBBB", draw(sides), draw(sides), depth, colour, 0, 0, draw(st.integers(0, 2)))
    kinds = st.sampled_from([b"IDAT", b"tEXt", b"zTXt", b"iTXt", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"IEND", b"eXIf"])
    some, text = st.binary(max_size=40), st.just(b"width\0" + b"9" * 40)
    bodies = st.one_of(some, some.map(zlib.compress), text, st.sampled_from(BOMBS))
    chunks = draw(
        st.lists(st.builds(chunked, kinds, bodies, st.sampled_from([None, None, None, 0, 2**31])), max_size=5)
    )
    return b"\x89PNG\r\n\x1a\n" + chunked(b"IHDR", head) + b"".join(chunks) + chunked(b"IEND", b"")


@contextmanager
def open_previews(folder: Path) -> Iterator[Check]:
    whole = Originals((bytes(784),) * 2, (1, 2), (0, 1), 28)
    write_originals(folder, whole)
    write_preview(folder, 1, whole.images, 28)
    assert read_originals(folder) == whole

    def check(data: bytes) -> None:
        (folder / "originals.png").write_bytes(data)
        (folder / "epoch-000001.png").write_bytes(data)
        originals = read_originals(folder)
        assert all(isinstance(image, bytes) for image in originals.images) and originals.width >= 0
        for width in (0, 28, originals.width):
            for _, images in read_previews(folder, width):
                assert images

    yield check


# -- The lock ----------------------------------------------------------------------------------------------------------

HOLDERS = [{"pid": 17, "mode": "train", "socket": "/tmp/a.sock", "host": "here", "boot": "0-1", "trouble": ""}]
holder_bytes = st.one_of(noisy([as_json(each).ljust(512) for each in HOLDERS]), odd_objects(HOLDERS).map(as_json))


@contextmanager
def open_lock(folder: Path) -> Iterator[Check]:
    directory, _ = create_run(folder, make_config({"name": "run"}))
    file = os.open(directory.lock, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)

    def check(data: bytes) -> None:
        os.ftruncate(file, 0)
        os.pwrite(file, data, 0)
        holder = directory.holder()
        assert isinstance(holder, Holder)
        assert holder.elsewhere == plain(holder.elsewhere)
        assert directory.process() is None  # nobody named there is a trainer of this directory

    try:
        yield check
    finally:
        os.close(file)


# -- idx files ---------------------------------------------------------------------------------------------------------

ROLES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IDX_IMAGES = struct.pack(">IIII", 0x803, 2, 28, 28) + bytes(1568)
IDX_LABELS = struct.pack(">II", 0x801, 2) + b"\3\7"
IDX_FLOATS = struct.pack(">IIII", 0xD03, 1, 28, 28) + bytes(3136)


def idx_header(kind: int, sides: list[int], data: bytes) -> bytes:
    return struct.pack(f">HBB{len(sides)}I", 0, kind, len(sides), *sides) + data


sides = st.lists(st.sampled_from([0, 1, 2, 28, 64, 65, 2**16, 2**31, 2**32 - 1]), max_size=6)
idx_bytes = st.tuples(
    st.sampled_from(ROLES),
    st.one_of(noisy([IDX_IMAGES, IDX_LABELS, IDX_FLOATS]),
              st.builds(idx_header, st.sampled_from([8, 9, 0xD, 0xE]), sides, st.binary(max_size=20)),
              changed([gzip.compress(IDX_IMAGES, mtime=0), gzip.compress(IDX_LABELS, mtime=0)])),
)  # fmt: skip


@contextmanager
def open_idx(folder: Path) -> Iterator[Check]:
    whole = {role: IDX_LABELS if "labels" in role else IDX_IMAGES for role in ROLES}
    for role, data in whole.items():
        (folder / role).write_bytes(data)

    def check(given: tuple[str, bytes]) -> None:
        role, data = given
        path = folder / f"{role}.gz" if data[:2] == b"\x1f\x8b" else folder / role
        path.write_bytes(data)
        with suppress(UserError):
            as_array(bytearray(data), path)
        with suppress(UserError):
            load("fashion-mnist", folder)
        (folder / f"{role}.gz").unlink(missing_ok=True)
        (folder / role).write_bytes(whole[role])

    yield check


# -- The user's own settings -------------------------------------------------------------------------------------------

SETTINGS = [b'[keys]\n"run.stop" = "ctrl+x"\n"pane.help" = "h,f1"\n', b'[keys.run]\nstop = "x"\nsave = "s"\n']
PREFERENCES = [{"pane": "browse", "theme": "", "toning": "inverted", "smoothing": 0.9, "marks": {"/a": [1, 2]}}]
settings = st.tuples(
    st.one_of(noisy(SETTINGS), toml_lines.map(lambda line: b"[keys]\n" + line)),
    st.one_of(noisy(list(map(as_json, PREFERENCES))), odd_objects(PREFERENCES).map(as_json)),
)


@contextmanager
def open_settings(folder: Path) -> Iterator[Check]:
    files = {"TUI_VAE_CONFIG": folder / "config.toml", "TUI_VAE_STATE": folder / "state"}
    before = {name: os.environ.get(name) for name in files}
    os.environ.update({name: str(path) for name, path in files.items()})
    (folder / "state").mkdir()
    known = known_commands()

    def check(given: tuple[bytes, bytes]) -> None:
        (folder / "config.toml").write_bytes(given[0])
        (folder / "state" / "habits.json").write_bytes(given[1])
        keys, complaint = read_keys()
        good, _ = checked(keys, known)
        assert set(good) <= set(known) and isinstance(complaint, str)
        preferences = read_preferences()
        preferences.mark(folder, [1])

    try:
        yield check
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


FILES = (
    Target("log", log_bytes, open_log, 2),
    Target("config", st.one_of(noisy(CONFIGS), st.lists(toml_lines, max_size=4).map(b"".join)), open_config, 3),
    Target("checkpoint", checkpoint_bytes(), open_checkpoint, 3),
    Target("preview", png_bytes(), open_previews, 3),
    Target("lock", holder_bytes, open_lock, 2),
    Target("idx", idx_bytes, open_idx, 2),
    Target("settings", settings, open_settings, 2),
)
