"""`data`, `doctor`, `bench`, and the app without a terminal."""

import json
import os
import pty
import sys
from pathlib import Path

import pytest
import torch

from tests.support.commands import Run, assert_one_sentence
from tests.support.processes import Trained, command, finish
from tui_vae.cli import doctor

OWN = """
from torch import nn

class Net(nn.Module):
    def __init__(self, shape, config):
        super().__init__()
        self.shape = shape
        self.encoder = nn.Linear(shape[0] * shape[1], 2 * config.latent_dim)
        self.decoder = nn.Linear(config.latent_dim, shape[0] * shape[1])

    def encode(self, x):
        return self.encoder(x.flatten(1)).chunk(2, 1)

    def decode(self, z):
        return self.decoder(z).tanh().view(-1, 1, *self.shape)
"""


def test_data_lists_what_is_found(tui_vae: Run) -> None:
    code, out, err = tui_vae("data")
    assert (code, err) == (0, "")
    (row,) = out.splitlines()[1:]
    assert row.split()[:4] == ["fashion-mnist", "sample", "5,000", "1,000"]
    assert_one_sentence(tui_vae("data", "--download", "fashion-mnist"), 1, "TUI_VAE_OFFLINE")


def test_doctor_says_what_is_wrong_and_what_to_do(tui_vae: Run, own_runs: Path, tmp_path: Path) -> None:
    code, out, err = tui_vae("doctor", "--json")
    assert (code, err) == (0, "")
    findings = {finding["name"]: finding for finding in json.loads(out)["findings"]}
    assert {"torch", "textual", "terminal", "fashion-mnist", "runs directory", "sockets"} <= findings.keys()
    assert torch.__version__ in findings["torch"]["found"]
    assert str(own_runs) in findings["runs directory"]["found"]
    assert not findings["terminal"]["ok"]
    assert not findings["fashion-mnist"]["ok"]
    assert all(finding["ok"] or finding["hint"] for finding in findings.values())

    (tmp_path / "file").touch()
    code, out, _ = tui_vae("doctor", "--runs-dir", tmp_path / "file")
    assert code == 1
    assert "BAD  runs directory" in out
    assert "--runs-dir" in out


def test_doctor_says_that_torchvision_is_of_another_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with PyTorch for CPUs and torchvision for CUDA: its version alone looks well."""
    whole = doctor.Finding("torchvision", True, "0.29.1")
    monkeypatch.setitem(sys.modules, "torchvision", None)
    found = doctor.fits_torch(whole)
    assert not found.ok and found.found.startswith("0.29.1 does not import: ") and "one build" in found.hint


def test_the_app_says_in_a_sentence_where_it_cannot_run(trained: Trained) -> None:
    assert_one_sentence(finish(command("attach", "done", "--runs-dir", trained.runs_dir)), 1, "needs a terminal")
    ours, theirs = pty.openpty()
    process = command("--runs-dir", trained.runs_dir, stdin=theirs, stdout=theirs, env={**os.environ, "TERM": "dumb"})
    os.close(theirs)
    code, _, err = finish(process)
    os.close(ours)
    assert_one_sentence((code, "", err), 1, "TERM")


@pytest.mark.slow
def test_bench_compares_in_one_run_and_hides_no_ratio() -> None:
    options = ("--rounds", 1, "--seconds", 1, "--hidden", 8, "--latent-dim", 2, "--batch-size", 32, "--device", "cpu",
               "--train-limit", 640, "--test-limit", 100, "--until", "mse=0.25")  # fmt: skip
    code, out, err = finish(command("bench", *options, "--threads", 1, "--json"))
    assert code == 0, err
    facts = json.loads(out)
    by_name = {result["name"]: result for result in facts["results"]}
    assert list(by_name) == ["ours", "ordinary", "ordinary-2-workers", "products"]
    assert facts["batch_size"] == 32 and facts["hidden"] == [8] and facts["versions"]["torch"]
    ours = by_name["ours"]["images_per_s"]
    for result in facts["results"]:
        assert result["memory_bytes"] > 2**20 and result["lowest"] <= result["images_per_s"] <= result["highest"]
        assert result["ours_over_this"] == pytest.approx(ours / result["images_per_s"])
    assert facts["ours_over_products"] == by_name["products"]["ours_over_this"]
    assert facts["ours_over_ordinary"] == min(by_name[name]["ours_over_this"] for name in list(by_name)[1:3])
    until = facts["until"]
    assert (until["figure"], until["value"]) == ("mse", 0.25)
    for name in ("ours", "ordinary"):
        one = until[name]
        assert one["reached"] and one["value"] <= 0.25 and one["epoch"] >= 1, one
        assert 0 < one["seconds"] < one["wall"]
    assert until["ordinary_over_ours"] == pytest.approx(until["ordinary"]["seconds"] / until["ours"]["seconds"])


@pytest.mark.slow
def test_bench_times_a_network_of_the_users_own_and_says_what_is_not_reached(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    options = ("--rounds", 1, "--seconds", 1, "--device", "cpu", "--threads", 1, "--model", "mine:Net",
               "--train-limit", 64, "--test-limit", 32, "--batch-size", 32, "--epochs", 2,
               "--lr", "1e-9", "--muon-lr", "1e-9")  # fmt: skip
    code, out, err = finish(command("bench", *options, "--until", "mse=0.14", cwd=tmp_path))
    assert code == 0, err
    assert "bare matrix products" not in out  # which are not all of its work
    assert "tui-vae does not reach mse 0.14: it is at " in out and "after 2 epochs" in out
    assert "the ordinary loop reaches mse 0.14 after " in out


def test_what_keeps_a_network_from_being_timed_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OWN)
    assert_one_sentence(finish(command("bench", "--model", "mine:Nat", cwd=tmp_path)), 1, "has no class Nat")
    assert_one_sentence(finish(command("bench", "--until", "bits=nan")), 2, "bits=6.74 or mse=0.0085, not 'bits=nan'")
