#!/usr/bin/env bash
# One picture whose name has the word "test", "eval", "dev", "valid" or "train" in it makes `datasets`' imagefolder drop all the others.
#
# Seen with datasets 5.2.0, Pillow, Python 3.11, Linux, on 29 November 2026. Its manual says that an image folder without split folders is one
# split, `train`, with a class for each folder, and that splits are told by folders or by file names.
#
# Guess before it was run: a picture called `go-dev.png` in the folder of a class is a picture like the others, ten of one class; at worst it
# alone becomes another split and the ten stay `train`.
#
# What it does: as soon as any file matches a split's words anywhere in its path, between characters that are no letters, only files that
# match some split are loaded. Eleven pictures load as one, in `validation`, and nothing is said of the ten that are left out. `training.png`
# does the same under the name `train`, where even the split's name looks right.
#
# What follows: icons, photographs and scans that are called after what they show lose most of the set in silence. Whoever loads a folder of
# their own gives `data_files` by name (`{"train": "**"}`), and compares the number of rows with the number of files.
#
# Exit status: 0 while it is so, 1 when datasets behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "datasets==5.2.0" pillow
cd "$folder"
HF_HUB_OFFLINE=1 HF_HOME="$folder/home" "$folder/venv/bin/python" - <<'PYTHON' || exit 1
import sys
from pathlib import Path

import datasets
from PIL import Image

datasets.disable_progress_bars()


def rows(number, name):
    """Of a folder with ten pictures in two classes, and one more of this name: the rows of each split."""
    root = Path(f"pictures-{number}")
    for at, file in enumerate([f"{which}/{each}.png" for which in ("cat", "dog") for each in range(5)] + [f"cat/{name}"]):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 20 * at).save(root / file)
    found = datasets.load_dataset("imagefolder", data_dir=str(root), cache_dir=f"cache-{number}")
    return {split: len(part) for split, part in found.items()}


names = ["5.png", "go-dev.png", "text-test.png", "training.png"]
seen = {name: rows(number, name) for number, name in enumerate(names)}
for name, splits in seen.items():
    print(name, splits)
expected = [{"train": 11}, {"validation": 1}, {"test": 1}, {"train": 1}]
sys.exit(0 if list(seen.values()) == expected else 1)
PYTHON
echo "one name decides for all eleven pictures"
