"""The command line: what each command prints, and one sentence for everything that can be wrong."""

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.commands import Run, assert_one_sentence
from tests.support.fake_run import FakeProcess, make_run
from tests.support.processes import SMALL, Trained, command, events, finish
from tests.support.training import Script, new_run, train_here
from tui_vae import config
from tui_vae.cli.parser import make_parser
from tui_vae.runs import events as ev
from tui_vae.runs import protocol
from tui_vae.runs.create import create_run
from tui_vae.runs.directory import RunDirectory, list_runs
from tui_vae.trainer.checkpoints import load_checkpoint, save_checkpoint


def test_options_hold_on_either_side_of_the_command(tui_vae: Run, trained: Trained) -> None:
    where = ("--runs-dir", trained.runs_dir)
    for arguments in ((*where, "ls", "--json"), ("ls", "--json", *where)):
        code, out, _ = tui_vae(*arguments)
        assert code == 0 and [run["name"] for run in json.loads(out)] == ["done"]
    both = make_parser().parse_args(["--color", "16", "--debug", "attach", "done"])
    assert (both.color, both.debug, both.runs_dir) == ("16", True, None)


# -- Everything that can be wrong --------------------------------------------------------------------------------------

WRONG_USAGE = [
    (["nonsense"], "nonsense"),
    (["train", "--nonsense"], "--nonsense"),
    (["train", "--epochs"], "--epochs"),
    (["train", "--epochs", "0"], "of at least 1"),
    (["train", "--epochs", "2.5"], "whole number"),
    (["train", "--epochs", "many"], "'many'"),
    (["train", "--batch-size", "-3"], "batch-size"),
    (["train", "--lr", "0"], "above 0"),
    (["train", "--lr", "nan"], "lr"),
    (["train", "--lr", "11"], "at most 10"),
    (["train", "--beta", "-1"], "beta"),
    (["train", "--hidden", "512,,256"], "hidden must be"),
    (["train", "--hidden", "0"], "hidden"),
    (["train", "--latent-dim", "5000"], "at most 4096"),
    (["train", "--objective", "l2"], "one of sigma, mse"),
    (["train", "--schedule", "linear"], "one of one-cycle, cosine, constant"),
    (["train", "--model", "transformer"], "one of mlp"),
    (["train", "--dataset", "imagenet"], "fashion-mnist"),
    (["train", "--preset", "huge"], "preset"),
    (["train", "--precision", "int4"], "precision"),
    (["train", "--device", "tpu"], "cuda:N"),
    (["train", "--name", "../evil"], "letters, digits"),
    (["train", "--name", ".hidden"], "not starting with '.'"),
    (["train", "--name", "x" * 65], "1 to 64"),
    (["train", "--seed", "-1"], "seed"),
    (["train", "--seed", str(2**63)], "seed"),
    (["train", "--checkpoint-every", "often"], "checkpoint-every"),
    (["train", "--data-dir", "~nobody-of-this-name/x"], "data-dir"),
    (["train", "--config", "missing.toml"], "missing.toml"),
    (["train", "extra"], "extra"),
    (["set", "run"], "lr=X"),
    (["set", "run", "lr"], "lr must be"),
    (["set", "run", "faster"], "lr=3e-4"),
    (["set", "run", "lr=fast"], "lr must be"),
    (["set", "run", "beta=-1"], "beta must be"),
    (["set", "run", "epochs=3"], "epochs=3"),
    (["resume"], "RUN"),
    (["resume", "run", "--epochs", "none"], "epochs"),
    (["eval", "run", "--checkpoint", "first"], "first"),
    (["eval", "run", "--iwae", "0"], "from 1 to"),
    (["eval", "run", "--samples", "100"], "--frechet"),
    (["show", "run", "--images", "0"], "1 to 1000"),
    (["show", "run", "--index", "3,x"], "'3,x'"),
    (["show", "run", "--index", "3", "--worst"], "--worst"),
    (["show", "run", "--samples", "--worst"], "neither a class nor an error"),
    (["show", "run", "--samples", "--class", "Bag"], "leave out --class"),
    (["export", "run", "--out", "x"], "--what"),
    (["export", "run", "--what", "weights", "--out", "x"], "weights"),
    (["export", "run", "--what", "metrics"], "--out"),
    (["export", "run", "--what", "metrics", "--checkpoint", "best", "--out", "x"], "leave out --checkpoint"),
    (["export", "run", "--what", "timelapse", "--checkpoint", "last", "--out", "x"], "leave out --checkpoint"),
    (["export", "run", "--what", "grid", "--seed", "0", "--out", "x"], "--seed goes with --what samples only"),
    (["data", "--download", "imagenet"], "imagenet"),
    (["bench", "--rounds", "0"], "rounds"),
    (["ls", "--jason"], "--jason"),
    (["ls", "--\x1b[31mred\x9b\u202e"], r"--\x1b[31mred\x9b\u202e"),
    (["compare", "run"], "two runs"),
    (["sweep", "--latent-dim", "8"], "nothing to sweep"),
    (["sweep", "--latent-dim", "2,many"], "'many'"),
    (["sweep", "--latent-dim", "2,8", "--name", "a,b"], "one name"),
    (["sweep", "--latent-dim", "2,8", "--name", "a", "--name", "b"], "one name"),
    (["sweep", "--latent-dim", "2,8", "--jobs", "0"], "jobs"),
    (["sweep", "--seed", ",".join(map(str, range(1001)))], "1,001 combinations"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG_USAGE, ids=[" ".join(case)[:40] for case, _ in WRONG_USAGE])
def test_wrong_usage_is_one_sentence_and_exit_code_2(
    tui_vae: Run, own_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(tui_vae(*arguments), 2, says)
    assert not own_runs.exists()


@pytest.mark.parametrize(
    "arguments",
    [["attach", "gone"], ["pause", "gone"], ["resume", "gone"], ["stop", "gone"], ["checkpoint", "gone"],
     ["set", "gone", "lr=1e-3"], ["compare", "gone", "other"], ["eval", "gone"], ["show", "gone"],
     ["export", "gone", "--what", "metrics", "--out", "/dev/null"]],
    ids=lambda arguments: arguments[0],
)  # fmt: skip
def test_a_run_that_is_not_there_is_one_sentence(tui_vae: Run, own_runs: Path, arguments: list[str]) -> None:
    assert_one_sentence(tui_vae(*arguments), 1, f"there are no runs in {own_runs}")
    new_run(own_runs, name="here")
    assert_one_sentence(tui_vae(*arguments), 1, "there is no run 'gone'")


def test_a_run_that_cannot_do_it_is_one_sentence(tui_vae: Run, own_runs: Path, tmp_path: Path) -> None:
    new_run(own_runs, name="fresh")
    for arguments in (["pause", "fresh"], ["stop", "fresh"], ["checkpoint", "fresh"], ["set", "fresh", "lr=1e-3"]):
        assert_one_sentence(tui_vae(*arguments), 1, "is not training")
    assert_one_sentence(tui_vae("eval", "fresh"), 1, "no checkpoint yet")
    assert_one_sentence(tui_vae("show", "fresh"), 1, "no checkpoint yet")
    export = ("export", "fresh", "--out", tmp_path / "x", "--what")
    assert_one_sentence(tui_vae(*export, "metrics"), 1, "not finished an epoch")
    assert_one_sentence(tui_vae(*export, "reconstructions"), 1, "no checkpoint yet")
    assert not (tmp_path / "x").exists()


def test_a_finished_run_wants_more_epochs(tui_vae: Run, trained: Trained) -> None:
    size = trained.directory.events.stat().st_size
    assert_one_sentence(tui_vae("resume", "done", "--runs-dir", trained.runs_dir), 1, "--epochs")
    assert_one_sentence(tui_vae("pause", "done", "--runs-dir", trained.runs_dir), 1, "it is finished")
    assert trained.directory.events.stat().st_size == size


def test_places_that_cannot_be_used_are_one_sentence(tui_vae: Run, trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("lr = fast\n")
    assert_one_sentence(tui_vae("train", "--config", file), 2, "not a TOML file")
    file.write_text("speed = 3\n")
    assert_one_sentence(tui_vae("train", "--config", file), 2, "no option 'speed'")
    file.write_text('lr = "fast"\n')
    assert_one_sentence(tui_vae("train", "--config", file), 2, str(file))
    file.write_bytes(b"\xff\xfe")
    assert_one_sentence(tui_vae("train", "--config", file), 2, str(file))
    assert_one_sentence(tui_vae("train", "--runs-dir", file / "x"), 1, "cannot create a run")
    export = ("export", "done", "--runs-dir", trained.runs_dir, "--what", "metrics", "--out")
    assert_one_sentence(tui_vae(*export, tmp_path / "none" / "x.csv"), 1, "there is no folder")
    assert_one_sentence(tui_vae(*export, tmp_path), 1, "cannot write")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    show = ("show", "done", "--runs-dir", trained.runs_dir)
    assert_one_sentence(tui_vae(*show, "--class", "Spaceship"), 2, "T-shirt/top, Trouser")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_one_sentence_and_its_run_not_in_the_way(own_runs: Path) -> None:
    output = finish(command("train", "--json", "--name", "gpu", "--device", "cuda:3", *SMALL[2:]))
    assert_one_sentence(output, 1, "there is no device 'cuda:3'")
    create_run(own_runs, config.make_config({"name": "gpu"}))


def test_debug_shows_where_it_happened() -> None:
    code, _, err = finish(command("pause", "gone", "--debug"))
    assert code == 1
    assert "Traceback" in err
    assert "there are no runs" in err


def test_an_unread_pipe_is_no_error() -> None:
    code = "from tui_vae.cli import main; import sys; sys.exit(main(['train', '--help']))"
    process = subprocess.Popen(f"{sys.executable} -c \"{code}\" | head -1", shell=True, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    out, err = process.communicate()
    assert (len(out.splitlines()), err) == (1, "")


@pytest.mark.parametrize(("when", "code"), [("starts", 130), ("ends", 0)])
def test_ctrl_c_while_python_starts_or_ends_is_no_traceback(when: str, code: int) -> None:
    """What a command has done by its end stays done."""
    program = """
import atexit, os, signal, sys
def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)
class Reading:
    def find_spec(self, name, *_):
        if name == "tui_vae.cli.parser":
            interrupt()
if sys.argv[1] == "starts":
    sys.meta_path.insert(0, Reading())
else:
    atexit.register(interrupt)
from tui_vae.cli import main
sys.exit(main(["--version"]))
"""
    process = subprocess.run([sys.executable, "-c", program, when], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (code, "")


# -- Help --------------------------------------------------------------------------------------------------------------

COMMANDS = ("attach", "train", "sweep", "ls", "compare", "pause", "resume", "stop", "checkpoint", "set", "eval", "show",
            "export", "bench", "doctor", "data")  # fmt: skip


def test_help_is_complete(tui_vae: Run) -> None:
    code, out, err = tui_vae("--help")
    assert (code, err) == (0, "")
    assert all(f"\n    {name} " in out for name in COMMANDS)
    for name in COMMANDS:
        code, out, err = tui_vae(name, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"usage: tui-vae {name}")
    _, out, _ = tui_vae("train", "--help")
    assert all(f"--{config.option_name(option)} " in out for option in config.options())
    assert tui_vae("--version")[1].startswith("tui-vae ")


# -- train -------------------------------------------------------------------------------------------------------------


def test_train_json_prints_the_epoch_events_and_nothing_else(trained: Trained) -> None:
    lines = trained.stdout.splitlines()
    assert len(lines) == 3
    for number, line in enumerate(lines, start=1):
        event = json.loads(line)
        assert (event["kind"], event["epoch"], event["step"]) == ("epoch", number, 21 * number)
        assert {"t", "seconds", "images_per_s", "train", "test"} <= event.keys()
        assert 0 < event["seconds"] < 60
        assert event["images_per_s"] > 2000 / event["seconds"] * 0.9
        assert "legacy" not in event
        for side in (event["train"], event["test"]):
            assert list(side) == ["loss", "recon", "kl", "mse", "accuracy", "elbo_bpd", "active_units", "kl_per_dim"]
            assert len(side["kl_per_dim"]) == 8
            assert sum(side["kl_per_dim"]) == pytest.approx(side["kl"])
            assert 0 < side["mse"] < 0.2
            assert 0.5 < side["accuracy"] < 1
    written = [line for line in trained.directory.events.read_text().splitlines() if '"kind":"epoch"' in line]
    assert lines == written
    losses = [json.loads(line)["test"]["loss"] for line in lines]
    assert losses == sorted(losses, reverse=True)


def test_the_bundled_sample_is_announced(trained: Trained) -> None:
    (warning,) = events(trained.directory, ev.WarningEvent)
    assert "bundled sample of 5,000 + 1,000 images" in warning.message
    assert "TUI_VAE_OFFLINE" in warning.hint
    assert warning.message in trained.stderr
    run = events(trained.directory, ev.RunEvent)[0]
    assert (run.dataset.train, run.dataset.test, run.dataset.source) == (2000, 500, warning.message.split("the ")[1].
                                                                         removesuffix(", not on "))  # fmt: skip


def test_a_run_leaves_what_the_design_says(trained: Trained) -> None:
    directory = trained.directory
    files = "best.safetensors config.toml events.jsonl last.safetensors lock previews trainer.log"
    assert sorted(path.name for path in directory.path.iterdir()) == files.split()
    told = events(directory)
    assert [event.state for event in told if isinstance(event, ev.StateEvent) and not event.reason] == [
        "training", "finished"]  # fmt: skip
    (run,) = events(directory, ev.RunEvent)
    assert (run.name, run.device, run.epochs, run.steps_per_epoch, run.step) == ("done", "cpu", 3, 21, 0)
    assert {"torch", "python", "tui-vae"} <= run.versions.keys()
    assert run.parameters == sum(t.numel() for t in load_checkpoint(directory.best)[1].values())
    previews = events(directory, ev.PreviewEvent)
    assert [event.epoch for event in previews] == [1, 2, 3]
    for file in ["originals.png", *(event.file for event in previews)]:
        with Image.open(directory.previews / file) as image:
            assert image.size == (8 * 28, 28)
    assert events(directory, ev.CheckpointEvent)[-1].step == 63
    assert load_checkpoint(directory.last)[0].step == 63


def test_without_a_terminal_nothing_is_drawn_and_a_config_file_gives_the_same_run(trained: Trained) -> None:
    """A run's config.toml, with another name over it, trains the same to the last bit."""
    code, out, err = finish(command("train", "--config", trained.directory.config, "--name", "again"))
    assert (code, err) == (0, "")
    assert not set(out) & set("\r\x1b\b")
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    again = RunDirectory(Path(os.environ["TUI_VAE_RUNS"]) / "again")
    first, second = (load_checkpoint(directory.last)[1] for directory in (trained.directory, again))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert config.make_config({**trained.directory.read_config().to_dict(), "name": "again"}) == again.read_config()


def test_what_stands_on_the_command_line_goes_over_the_file(
    tui_vae: Run, own_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "seed"\nlr = 0.25\nhidden = [30, 20]\nepochs = 7\n')
    monkeypatch.setattr("tui_vae.cli.train.start_training", lambda directory: None)
    assert tui_vae("train", "--config", file, "--epochs", 5, "--detach") == (0, "fashion-1\n", "")
    made = RunDirectory(own_runs / "fashion-1").read_config()
    assert (made.preset, made.lr, made.hidden, made.epochs, made.latent_dim) == ("seed", 0.25, (30, 20), 5, 20)


@pytest.mark.parametrize("word", ["runs-dir", "runs_dir"])
def test_a_file_says_where_the_runs_are_unless_the_command_line_does(
    tui_vae: Run, own_runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The file was named on the command line, so it counts more than TUI_VAE_RUNS, which the tests set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tui_vae.cli.train.start_training", lambda directory: None)
    file = tmp_path / "mine.toml"
    file.write_text(f'{word} = "elsewhere"\nname = "mine"\n')
    train = ("train", "--config", file, "--detach")
    assert tui_vae(*train) == (0, "mine\n", "")
    assert RunDirectory(tmp_path / "elsewhere" / "mine").read_config().name == "mine"
    assert tui_vae("--runs-dir", "here", *train) == (0, "mine\n", "")
    assert (tmp_path / "here" / "mine").is_dir() and not own_runs.exists()
    assert_one_sentence(tui_vae("sweep", "--config", file, "--latent-dim", "2"), 2, "nothing to sweep")
    for wrong in ("3", '""', "[]", '"~nobody-of-this-name/x"', r'"\u0000"'):
        file.write_text(f"{word} = {wrong}\n")
        assert_one_sentence(tui_vae(*train), 2, f"{file}: runs-dir must be a path")


# -- ls ----------------------------------------------------------------------------------------------------------------


def test_ls_lists_the_runs(tui_vae: Run, trained: Trained, own_runs: Path) -> None:
    code, out, err = tui_vae("ls")
    assert (code, err) == (0, "")
    assert "tui-vae train" in out
    assert tui_vae("ls", "--json") == (0, "[]\n", "")

    create_run(Path(trained.runs_dir), config.make_config({"name": "untrained"}))
    try:
        code, out, _ = tui_vae("ls", "--json", "--runs-dir", trained.runs_dir)
        runs = {run["name"]: run for run in json.loads(out)}
        code, table, _ = tui_vae("ls", "--runs-dir", trained.runs_dir)
    finally:
        (Path(trained.runs_dir) / "untrained" / "config.toml").unlink()
    last = json.loads(trained.stdout.splitlines()[-1])["test"]
    wanted = {"name": "done", "state": "finished", "epochs": 3, "planned": 3, "test_loss": last["loss"],
              "mse": last["mse"], "kl": last["kl"], "active_units": last["active_units"], "device": "cpu"}  # fmt: skip
    assert wanted.items() <= runs["done"].items()
    assert runs["done"]["age"] >= 0
    assert (runs["untrained"]["epochs"], runs["untrained"]["mse"]) == (0, None)
    (row,) = [line for line in table.splitlines() if line.startswith("done")]
    assert row.split()[:5] == ["done", "finished", "3/3", f"{last['loss']:.2f}", f"{last['mse']:.5f}"]


def test_ls_is_as_wide_as_a_terminal_whatever_the_figures(tui_vae: Run, own_runs: Path) -> None:
    directory = make_run(own_runs, "wild", epochs=1)
    huge = ev.Metrics(1e308, 1e308, -1e308, 1e308, 1e308, 1e308, 2**53)
    log = ev.EventLog(directory.events)
    log.write(ev.EpochEvent(epoch=2, step=470, seconds=1, images_per_s=1, train=huge, test=huge))
    line = ev.encode_line(ev.EpochEvent(epoch=3, step=705, seconds=1, images_per_s=1, train=huge, test=huge))
    with directory.events.open("ab") as file:
        file.write(line.replace(b'"epoch":3', b'"epoch":3' + b"0" * 300))
    code, table, err = tui_vae("ls")
    assert (code, err) == (0, "")
    (row,) = [line for line in table.splitlines() if line.startswith("wild")]
    assert len(row) < 100
    assert row.split()[2:7] == ["2/10", "1e+308", "1e+308", "-1e+308", "9.01e+15"]


def test_a_run_that_is_deleted_while_ls_reads_is_left_out(
    tui_vae: Run, own_runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(own_runs, "stays", epochs=1)
    gone = make_run(own_runs, "gone", epochs=1)

    def deleted_once_listed(runs_dir: Path) -> list[RunDirectory]:
        found = list_runs(runs_dir)
        shutil.rmtree(gone.path)
        return found

    monkeypatch.setattr("tui_vae.cli.listing.list_runs", deleted_once_listed)
    code, out, err = tui_vae("ls", "--json")
    assert (code, err) == (0, "") and [run["name"] for run in json.loads(out)] == ["stays"]


# -- eval, export, show ------------------------------------------------------------------------------------------------


def test_eval_equals_the_last_epoch_event_to_the_last_bit(tui_vae: Run, trained: Trained) -> None:
    last = json.loads(trained.stdout.splitlines()[-1])
    code, out, err = tui_vae("eval", "done", "--json", "--runs-dir", trained.runs_dir)
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["test"] == last["test"]
    assert (found["run"], found["checkpoint"], found["epoch"], found["step"], found["images"]) == (
        "done", "last", 3, 63, 500)  # fmt: skip
    code, table, _ = tui_vae("eval", "done", "--runs-dir", trained.runs_dir, "--checkpoint", "best")
    assert code == 0
    assert f"{last['test']['mse']:.6g}" in table  # the last epoch was the best


def test_eval_of_best_is_that_of_the_best_epoch_in_the_middle_of_a_warm_up(tui_vae: Run, own_runs: Path) -> None:
    """β counts in full, and the epoch is that of the weights, not of the moment at which they were written."""
    directory = new_run(own_runs, **{"name": "warm", "epochs": 4, "kl-warmup": 8, "beta": 3, "objective": "mse",
                                     "schedule": "constant", "lr": 2e-3})  # fmt: skip
    assert train_here(directory, Script({11: [protocol.Set(beta=500)]})) == 0
    epochs = events(directory, ev.EpochEvent)
    best = min(epochs, key=lambda event: event.test.loss if event.test.loss is not None else float("inf"))
    for which, event in (("best", best), ("last", epochs[-1])):
        code, out, _ = tui_vae("eval", "warm", "--json", "--checkpoint", which)
        found = json.loads(out)
        assert code == 0
        assert (found["epoch"], found["step"]) == (event.epoch, event.step)
        assert found["test"] == msgspec.to_builtins(json.loads(msgspec.json.encode(event.test)))
    assert best.epoch < 4
    assert best.test.loss == pytest.approx(best.test.recon + 3 * best.test.kl)


def test_figures_that_are_not_finite_are_null_in_json(tui_vae: Run, own_runs: Path) -> None:
    wild = {"lr": 10, "objective": "mse", "schedule": "constant", "norm": "none", "output": "linear"}
    assert train_here(new_run(own_runs, name="wild", **wild)) == 1
    tame = new_run(own_runs, name="tame", epochs=1)
    assert train_here(tame) == 0
    progress, tensors = load_checkpoint(tame.last)
    huge = {name: value * 1e25 if name.startswith("model.") else value for name, value in tensors.items()}
    save_checkpoint(tame.last, progress, huge)

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is not JSON")

    _, out, _ = tui_vae("eval", "tame", "--json", "--checkpoint", "last")
    assert json.loads(out, parse_constant=refuse)["test"]["loss"] is None
    _, out, _ = tui_vae("ls", "--json")
    losses = {run["name"]: run["test_loss"] for run in json.loads(out, parse_constant=refuse)}
    assert losses["wild"] is None is not losses["tame"]
    code, out, _ = tui_vae("ls")
    assert code == 0
    assert "wild" in out
    assert tui_vae("eval", "tame", "--checkpoint", "last")[0] == 0
    _, out, _ = tui_vae("compare", "tame", "wild", "--json")
    assert [run["name"] for run in json.loads(out, parse_constant=refuse)] == ["tame", "wild"]
    assert tui_vae("compare", "tame", "wild")[0] == 0


def test_show_prints_half_blocks_where_there_are_colours_and_ascii_elsewhere(
    tui_vae: Run, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = ("show", "done", "--runs-dir", trained.runs_dir, "--images", 2, "--class", "sneaker")
    monkeypatch.setenv("COLUMNS", "130")
    monkeypatch.setenv("TERM", "xterm-256color")
    code, plain, _ = tui_vae(*show)
    assert code == 0
    assert plain.isascii()
    assert plain.count("Sneaker #") == 2
    assert "\x1b" not in plain

    monkeypatch.setenv("FORCE_COLOR", "1")
    code, coloured, _ = tui_vae(*show)
    assert code == 0
    assert coloured.count("▀") > 300
    assert "\x1b[38;5;" in coloured
    monkeypatch.setenv("LC_ALL", "C")
    assert "▀" not in tui_vae(*show)[1]


def test_show_puts_the_worst_first_and_knows_classes_and_samples(
    tui_vae: Run, trained: Trained, tmp_path: Path
) -> None:
    where = ("--runs-dir", trained.runs_dir)
    _, out, _ = tui_vae("show", "done", *where, "--images", 5, "--worst")
    shown = [float(word) for word in out.replace("mse", " ").split() if word.startswith("0.") and len(word) == 6]
    assert shown == sorted(shown, reverse=True)
    arrays = tmp_path / "all.npz"
    tui_vae("export", "done", *where, "--what", "reconstructions", "--out", arrays)
    with np.load(arrays) as file:
        errors = ((file["reconstruction"] - file["original"] / 255.0) ** 2).mean(axis=(1, 2))
        labels = file["label"]
    assert shown == pytest.approx(np.sort(errors)[:-6:-1], abs=1e-4)
    _, out, _ = tui_vae("show", "done", *where, "--images", 3, "--class", "Bag")
    assert [int(word[1:]) for word in out.split() if word[0] == "#" and word[1:].isdigit()] == list(
        np.flatnonzero(labels == 8)[:3]
    )
    code, out, _ = tui_vae("show", "done", *where, "--samples", "--images", 2)
    assert code == 0
    assert "fitted" in out.splitlines()[0]
    assert len(out.splitlines()) > 14


def test_show_says_where_a_class_has_no_images(tui_vae: Run, own_runs: Path) -> None:
    class FewImages(FakeProcess):
        """The test set was limited to so few images that not every class is among them."""

        def _answer(self, request: protocol.AnyRequest) -> protocol.AnyReply:
            reply = super()._answer(request)
            return msgspec.structs.replace(reply, labels=reply.labels[:3]) if isinstance(
                reply, protocol.Description) else reply  # fmt: skip

    with FewImages(make_run(own_runs, "few", epochs=1), "serve"):
        output = tui_vae("show", "few", "--class", "bag")
        assert_one_sentence(output, 2, "none of the run's 3 test images is of class 'Bag'")
        assert "there are some of T-shirt/top, Trouser, Pullover" in output[2]
        assert_one_sentence(tui_vae("show", "few", "--class", "bag", "--worst"), 2, "of class 'Bag'")


# -- data, doctor, app -------------------------------------------------------------------------------------------------


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


def test_the_app_says_in_a_sentence_where_it_cannot_run(trained: Trained) -> None:
    assert_one_sentence(finish(command("attach", "done", "--runs-dir", trained.runs_dir)), 1, "needs a terminal")
    ours, theirs = pty.openpty()
    process = command("--runs-dir", trained.runs_dir, stdin=theirs, stdout=theirs, env={**os.environ, "TERM": "dumb"})
    os.close(theirs)
    code, _, err = finish(process)
    os.close(ours)
    assert_one_sentence((code, "", err), 1, "TERM")


def test_every_command_has_a_function_behind_it() -> None:
    """A mistyped name in the table of commands would show only when that command is run."""
    import importlib

    parser = make_parser()
    needed = {"set": ["x", "lr=1"], "export": ["x", "--what", "grid", "--out", "y"]}
    for name in COMMANDS:
        takes_run = name in ("compare", "pause", "resume", "stop", "checkpoint", "eval", "show")
        options = parser.parse_args([name, *needed.get(name, ["x"] if takes_run else [])])
        module, function = (cell.cell_contents for cell in options.run.__closure__[::-1])
        assert callable(getattr(importlib.import_module(f"tui_vae.cli.{module}"), function))


def test_bench_compares_in_one_run_and_hides_no_ratio() -> None:
    options = ("--rounds", 1, "--seconds", 1, "--hidden", 8, "--latent-dim", 2, "--batch-size", 32, "--device", "cpu")
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
