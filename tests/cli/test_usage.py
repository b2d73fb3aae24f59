"""What every command has in common: options, help, and one sentence for everything that can be wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.commands import Run, assert_one_sentence
from tests.support.processes import SMALL, Trained, command, finish
from tests.support.training import new_run
from tui_vae import config
from tui_vae.cli.parser import make_parser
from tui_vae.runs.create import create_run


def test_options_hold_on_either_side_of_the_command(tui_vae: Run, trained: Trained) -> None:
    where = ("--runs-dir", trained.runs_dir)
    for arguments in ((*where, "ls", "--json"), ("ls", "--json", *where)):
        code, out, _ = tui_vae(*arguments)
        assert code == 0 and [run["name"] for run in json.loads(out)] == ["done"]
    both = make_parser().parse_args(["--color", "16", "--debug", "attach", "done"])
    assert (both.color, both.debug, both.runs_dir) == ("16", True, None)


WRONG_USAGE = [
    (["nonsense"], "nonsense"),
    (["train", "--nonsense"], "--nonsense"),
    (["trian"], "no command 'trian', the nearest is train; see tui-vae --help"),
    (["train", "--latent_dim", "10"], "no option --latent_dim of tui-vae train, the nearest is --latent-dim"),
    (["ls", "--jsn"], "no option --jsn of tui-vae ls, the nearest is --json; see tui-vae ls --help"),
    (["sweep", "--latent-dim", "2", "8"], "what '8' is for; several values of an option have commas between them"),
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
    (["set", "run", "lr"], "like lr=3e-4"),
    (["set", "run", "beta", "1"], "'beta' has no value; write both in one word, like beta=2"),
    (["set", "run", "faster"], "lr=3e-4"),
    (["set", "run", "lr=fast"], "lr must be"),
    (["set", "run", "beta=-1"], "beta must be"),
    (["set", "run", "epochs=3"], "epochs=3"),
    (["resume"], "RUN"),
    (["resume", "run", "--epochs", "none"], "epochs"),
    (["resume", "run", "--lr-factor", "0"], "--lr-factor"),
    (["resume", "run", "--lr-factor", "nan"], "such as 0.1"),
    (["eval", "run", "--checkpoint", "first"], "first"),
    (["eval", "run", "--iwae", "0"], "from 1 to"),
    (["eval", "run", "--samples", "100"], "--frechet"),
    (["show", "run", "--images", "0"], "1 to 1000"),
    (["show", "run", "--index", "3,x"], "'3,x'"),
    (["show", "run", "--index", "3", "--worst"], "--worst"),
    (["show", "run", "--samples", "--worst"], "leave out --worst"),
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
     ["export", "gone", "--what", "metrics", "--out", "gone.csv"]],
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
    best_alone = new_run(own_runs, name="best-alone")
    best_alone.best.write_bytes(b"")
    for arguments in (["stop", "best-alone"], ["train", "--name", "best-alone"]):  # no advice that would be refused
        code, _, said = tui_vae(*arguments)
        assert code == 1 and "best-alone" in said and "tui-vae resume" not in said
    export = ("export", "fresh", "--out", tmp_path / "x", "--what")
    assert_one_sentence(tui_vae(*export, "metrics"), 1, "not finished an epoch")
    assert_one_sentence(tui_vae(*export, "reconstructions"), 1, "no checkpoint yet")
    assert not (tmp_path / "x").exists()


def test_a_finished_run_wants_more_epochs(tui_vae: Run, trained: Trained) -> None:
    change = ("set", "done", "lr=1e-3", "--runs-dir", trained.runs_dir)
    assert_one_sentence(tui_vae(*change), 1, "it is finished; continue it with: tui-vae resume done --epochs 10")
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
    assert_one_sentence(tui_vae(*export, tmp_path), 1, "is a folder")
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
