"""What the help of each command ends with: lines that work as they stand, and what they do."""

from __future__ import annotations

COLUMNS = 80
"""Columns of a line, at most, with what it does behind it; where one has more, that stands above each."""

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("", "the app"),
        ("train --latent-dim 10", "train, and follow it here"),
        ("attach", "the app, on the newest run"),
        ("doctor", "what this machine has"),
    ),
    "attach": (
        ("attach", "on the newest run"),
        ("attach fashion-1 --theme light", "on this one, in colours for a light background"),
    ),
    "train": (
        ("train", "the default preset on FashionMNIST"),
        ("train --dataset pictures/ --image-size 64 --model conv", "a folder of pictures"),
        ("train --name wide --latent-dim 64 --beta 4 --detach", "in the background"),
        ("train --preset quick --json", "the epochs as JSON lines"),
        ("train --devices auto", "on all GPUs of this machine"),
    ),
    "sweep": (
        ("sweep --latent-dim 2,8,32 --beta 1,4", "six runs"),
        ("sweep --preset quick,adam --seed 0,1,2 --jobs 2", "mean and spread over three seeds"),
        ("sweep --hidden 512,256 --hidden 256 --detach", "two shapes of network, in the background"),
    ),
    "ls": (
        ("ls", "the runs, the newest first"),
        ("ls --json | jq -r '.[] | select(.state == \"crashed\") | .name'", "names of crashed runs"),
    ),
    "verify": (("verify", "all runs"), ("verify fashion-1 --json", "one, for a script")),
    "log": (
        ("log fashion-1", "what has happened"),
        ("log -f fashion-1", "and what happens next"),
        ("log fashion-1 --json", "one JSON object a line"),
    ),
    "compare": (
        ("compare fashion-1 fashion-2", "two runs"),
        ("compare fashion-1 fashion-2 --out curves.csv", "every epoch of both in a table"),
        ("compare fashion-1 fashion-2 --out both.html", "a page with curves and images"),
    ),
    "rm": (("rm fashion-1", "asks first"), ("rm --force fashion-1 fashion-2", "does not")),
    "rename": (("rename fashion-1 baseline", "call it baseline"),),
    "note": (
        ("note fashion-1 'wider, for figure 3'", "keep a note"),
        ("note fashion-1", "print it"),
        ("note fashion-1 ''", "remove it"),
    ),
    "tag": (("tag fashion-1 good paper @widths", "two tags and a group"), ("tag fashion-1 ''", "none")),
    "clone": (("clone fashion-1 other", "copy it, then: resume other"),),
    "pause": (("pause fashion-1", "it waits in memory; resume goes on"),),
    "resume": (
        ("resume fashion-1", "go on, bit for bit as if nothing had happened"),
        ("resume fashion-1 --epochs 10", "ten epochs more"),
        ("resume fashion-1 --lr-factor 0.1", "at a tenth of the learning rate, where it diverged"),
        ("resume fashion-1 --from 5", "from the end of epoch 5, if that was kept"),
    ),
    "stop": (("stop fashion-1", "resume goes on from that very step"),),
    "checkpoint": (("checkpoint fashion-1", "now"),),
    "set": (
        ("set fashion-1 lr=3e-4 beta=2", "both from the next step on"),
        ("set fashion-1 muon-lr=0.02", "of Muon's matrices alone"),
    ),
    "eval": (
        ("eval fashion-1", "the test metrics"),
        ("eval fashion-1 --checkpoint best --json", "of the best weights, for a script"),
        ("eval fashion-1 --iwae 100 --split-kl", "a tighter bound, and the KL's parts"),
    ),
    "show": (
        ("show fashion-1 --worst", "the largest errors first"),
        ("show fashion-1 --class Bag --images 4", "four bags"),
        ("show fashion-1 --samples", "decoded samples"),
    ),
    "export": (
        ("export fashion-1 --what metrics --out metrics.csv", "the figures of every epoch"),
        ("export fashion-1 --what samples --images 100 --out samples.png", "a sheet of 100 samples"),
        ("export fashion-1 --what samples --class Bag --out bags.png", "samples of one class"),
        ("export fashion-1 --what decoder --out decoder.onnx", "for other programs"),
        ("export fashion-1 --what hub --out fashion-1-hub", "a folder for a model hub"),
    ),
    "bench": (
        ("bench", "about a minute"),
        ("bench --preset quick --until bits=6.74 --json", "seconds to that test figure, too"),
    ),
    "serve": (
        ("serve", "prints the address, which is secret"),
        ("serve --port 8000", "behind: ssh -L 8000:127.0.0.1:8000 HOST"),
    ),
    "doctor": (("doctor", "what is here, and what to do about the rest"),),
    "completion": (('eval "$(tui-vae completion bash)"', "in ~/.bashrc; also zsh, fish"),),
    "data": (
        ("data", "the known sets"),
        ("data pictures/ --image-size 64", "what a folder holds, as it would be trained on"),
        ("data --download mnist", "fetch a known set"),
    ),
}
"""By command, "" for none: what stands behind `tui-vae`, or a whole line of a shell, and what it does."""


def lines_of(command: str) -> list[tuple[str, str]]:
    """The examples of a command as lines for a shell, each with what it does."""
    found = EXAMPLES.get(command, ())
    return [(line if "$(" in line else f"tui-vae {line}".rstrip(), what) for line, what in found]


def examples_of(command: str) -> str:
    """The end of a command's help; empty where it has no examples."""
    lines = lines_of(command)
    if not lines:
        return ""
    width = max(len(line) for line, _ in lines)
    beside = [f"  {line:{width}}   # {what}\n" for line, what in lines]
    if max(map(len, beside)) > COLUMNS:
        beside = [f"  # {what}\n  {line}\n" for line, what in lines]
    return "\nexamples:\n" + "".join(beside)
