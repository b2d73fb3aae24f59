#!/usr/bin/env bash
# safetensors.safe_open(PATH, framework="pt") opens PATH twice: header and tensors may be of two different files.
#
# Seen with safetensors 0.8.0, torch 2.14.1 and numpy 2.4.6, Python 3.11, Linux, on 28 November 2026; the newest of each that pip
# installed together.
#
# What it does: the constructor opens and maps PATH, reads the header (metadata, names, types, shapes, offsets) from that map,
# then calls torch.UntypedStorage.from_file(PATH, shared=False, nbytes=LENGTH), which opens PATH by its name again; tensors are
# read from this second map. Both happen before safe_open returns: a file that is replaced later changes nothing. (The source:
# `Open::new` in bindings/python/src/lib.rs of huggingface/safetensors; `File::open` first, `from_file` of torch behind it.
# strace shows two `openat` of the path for "pt" and one for "np".)
#
# What follows: where a program replaces PATH by a rename between the two, as it should, to be read whole or not at all, the
# reader gets the metadata of the old file with the tensors of the new one, and no error. safetensors.torch.load_file opens
# files in the same way. With framework="np" the path is opened once, and what is read is always of one file.
# A reader of files that may be replaced meanwhile is safe with safetensors.torch.load(BYTES), given all bytes of one opening.
#
# What was seen here: with the rename placed between the two openings, metadata of file 1 and tensors of file 2, in each try. With
# a second process that renames two files to PATH in turn, 235 of 16,350 openings were mixed in 5 s on two cores for "pt", and 0
# of 43,171 for "np".
#
# Exit status: 0 while it is so, 1 when safe_open behaves otherwise. torch takes about 5 GB in the temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "safetensors==0.8.0" "torch==2.14.1" "numpy==2.4.6" "packaging==25.0"
cat >"$folder/opens_twice.py" <<'PYTHON'
import multiprocessing
import os
import sys
import time

import torch
from safetensors import safe_open
from safetensors.torch import save_file

PATH = "model.safetensors"
LONGEST = 60.0  # seconds in which one mixed opening of "pt" must be met; it takes less than one


def save(value: int, path: str) -> None:
    """A valid file; all have tensors of the same names, types and shapes."""
    save_file({"weight": torch.full((4,), float(value))}, path, metadata={"value": str(value)})


def read(framework: str) -> tuple[int, int]:
    """The value in the metadata, and the value in the tensor: equal if both are of one file."""
    with safe_open(PATH, framework=framework) as file:
        return int(file.metadata()["value"]), int(file.get_tensor("weight")[0])


def replace_between(framework: str) -> tuple[int, int]:
    """Read file 1, which file 2 replaces when torch is about to open the path: later than the first opening."""
    save(1, PATH)
    save(2, "part")
    from_file = torch.UntypedStorage.from_file

    def replaced_before(*arguments, **options):
        os.replace("part", PATH)
        return from_file(*arguments, **options)

    torch.UntypedStorage.from_file = staticmethod(replaced_before)
    try:
        return read(framework)
    finally:
        torch.UntypedStorage.from_file = from_file


def replace_after_opening(framework: str) -> tuple[int, int]:
    save(1, PATH)
    save(2, "part")
    with safe_open(PATH, framework=framework) as file:
        os.replace("part", PATH)
        return int(file.metadata()["value"]), int(file.get_tensor("weight")[0])


def keep_replacing(end) -> None:
    """As a training program does: write beside, then rename."""
    files = []
    for value in (1, 2):
        save(value, f"{value}.safetensors")
        with open(f"{value}.safetensors", "rb") as file:
            files.append(file.read())
    turn = 0
    while not end.is_set():
        with open("part", "wb") as file:
            file.write(files[turn % 2])
        os.replace("part", PATH)
        turn += 1


def mixed(framework: str, seconds: float, enough: float) -> tuple[int, int]:
    """How many openings were mixed, of how many, while another process replaces the file."""
    save(1, PATH)
    end = multiprocessing.Event()
    writer = multiprocessing.Process(target=keep_replacing, args=(end,))
    writer.start()
    found = tries = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and found < enough:
        header, tensors = read(framework)
        found += header != tensors
        tries += 1
    end.set()
    writer.join()
    return found, tries


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    between = {framework: replace_between(framework) for framework in ("pt", "np")}
    after = {framework: replace_after_opening(framework) for framework in ("pt", "np")}
    racing = {"pt": mixed("pt", LONGEST, 10), "np": mixed("np", 5.0, float("inf"))}
    for framework in ("pt", "np"):
        print(f"{framework}: replaced when torch opens the path: metadata and tensors of files {between[framework]}; "
              f"replaced after safe_open: {after[framework]}; "
              f"beside a writer: {racing[framework][0]} of {racing[framework][1]} openings mixed")
    as_described = (
        between == {"pt": (1, 2), "np": (1, 1)} and after == {"pt": (1, 1), "np": (1, 1)}
        and racing["pt"][0] > 0 and racing["np"][0] == 0
    )
    print("as described: two files in one reading" if as_described else "CHANGED: it is not as described any more")
    sys.exit(0 if as_described else 1)
PYTHON
cd "$folder"
"$folder/venv/bin/python" opens_twice.py || exit 1
