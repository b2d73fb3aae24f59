#!/usr/bin/env bash
# safetensors writes a file's metadata in another order at each save: equal checkpoints have unequal checksums.
#
# Seen with safetensors 0.8.0, numpy, Python 3.11, Linux, on 29 November 2026. Its manual describes the metadata as a map of text to text in
# the header, says nothing of an order, and orders the tensors, by type and name, whatever order they come in.
#
# Guess before it was run: a file is a function of the tensors and the metadata, so that two saves of the same give the same bytes, as they do
# of the same tensors in another order.
#
# What it does: the entries of `__metadata__` come in an order that is drawn anew for every save, within one process as well as between
# two, though Python keeps the order of the dictionary that is given. Eight entries gave as good as always another file. The data behind the
# header are the same bytes, and so is the header's length. With one entry, or none, equal things are equal files.
#
# What follows: a checksum, a content-addressed store, a build cache or a deduplicating backup takes each save of an unchanged model for a new
# one, and "resumed bit for bit" cannot be shown by comparing files. Whoever needs that puts all that they have to say into one entry, as JSON
# with sorted keys, or compares tensor by tensor.
#
# Exit status: 0 while it is so, 1 when safetensors behaves otherwise.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "safetensors==0.8.0" "numpy<3"
"$folder/venv/bin/python" - <<'PYTHON' || exit 1
import sys

import numpy as np
from safetensors.numpy import save

SAVES = 20
tensors = {"weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.ones(3, np.float32)}
turned = dict(reversed(tensors.items()))
eight = {name: f"value of {name}" for name in ("name", "step", "epoch", "seed", "loss", "lr", "beta", "host")}


def files(metadata, *others):
    return {save(each, metadata) for each in [tensors, *others] for _ in range(SAVES)}


def data(file):
    return file[8 + int.from_bytes(file[:8], "little") :]


many = files(eight)
print(f"eight entries: {len(many)} different files of {SAVES} saves, {len({data(file) for file in many})} of their data")
print(f"one entry: {len(files({'all': 'in one'}, turned))}; none: {len(files(None, turned))}")
so = len(many) > SAVES // 2 and len({data(file) for file in many}) == 1 and len({len(file) for file in many}) == 1
sys.exit(0 if so and len(files({"all": "in one"}, turned)) == 1 and len(files(None, turned)) == 1 else 1)
PYTHON
echo "the same tensors and the same metadata are another file at each save"
