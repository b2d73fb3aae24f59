"""`tui-vae data PATH`, runs on data of one's own, what is refused, and what happens when data change."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import Run, assert_one_sentence
from tests.support.formats.rows import COLOUR, IMAGES, OTHERS, four, idx, labels, pictures, save, write
from tests.support.processes import command, finish
from tui_vae.runs.directory import RunDirectory
from tui_vae.runs.history import read_history

SMALL = ("--device", "cpu", "--threads", "1", "--precision", "float32", "--hidden", "16", "--latent-dim", "4",
         "--batch-size", "8", "--epochs", "1")  # fmt: skip


def test_data_says_what_a_folder_holds(tui_vae: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=IMAGES, y_train=labels(30), x_test=OTHERS, y_test=labels(20))
    code, out, err = tui_vae("data", tmp_path / "x.npz", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert {"format", "files", "train", "test", "shape", "dtype", "range", "classes", "duplicates", "notes"} <= set(
        told
    )
    assert (told["format"], told["train"], told["test"], told["shape"]) == ("npz", 30, 20, [1, 28, 28])
    code, out, err = tui_vae("data", tmp_path / "x.npz")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "x.npz: npz, 30 + 20 images, 28×28, grey, bytes from 0 to 255"
    assert "  test set    given by the source" in lines and "class 0      6     4" in lines


def test_data_shows_pictures_in_colour_and_how_they_would_be_resized(tui_vae: Run, tmp_path: Path) -> None:
    for at, image in enumerate(COLOUR[:6]):
        save(tmp_path / f"{at}.png", image)
    code, out, _ = tui_vae("data", tmp_path, "--image-size", "12", "--json")
    assert code == 0 and json.loads(out)["shape"] == [3, 12, 12]
    code, out, _ = tui_vae("data", tmp_path, "--image-size", "8x12", "--channels", 1)
    assert code == 0 and "8×12, grey" in out and "no labels" in out
    assert "6 pictures were resized to 8×12" in out


def test_the_images_that_are_shown_are_of_several_classes(tui_vae: Run, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "x.npz", x=IMAGES, y=np.sort(labels(30)), class_names=np.array(["ant", "bee", "cat", "dog", "eel"])
    )
    code, out, _ = tui_vae("data", tmp_path / "x.npz")
    shown = out[out.index("eel") :].split("\n", 1)[1]
    assert code == 0 and all(name in shown for name in ("ant", "bee", "cat", "dog", "eel"))


def test_data_that_cannot_be_used_are_told_in_a_sentence(tui_vae: Run, tmp_path: Path) -> None:
    assert_one_sentence(tui_vae("data", tmp_path / "nowhere"), 1, "there is no file or folder")
    assert_one_sentence(tui_vae("data", "mnist"), 1, "tui-vae data --download mnist")
    assert_one_sentence(tui_vae("data", "minst"), 2, "one of fashion-mnist, mnist")
    assert_one_sentence(tui_vae("data", tmp_path, "--data-dir", tmp_path), 1, "data-dir says where a known set is")
    (tmp_path / "page.gz").write_bytes(b"<html>")
    assert_one_sentence(tui_vae("data", tmp_path / "page.gz", "--json"), 1, "is a web page")


@pytest.mark.parametrize("detached", [False, True])
def test_a_refusal_leaves_nothing(tmp_path: Path, own_runs: Path, detached: bool) -> None:
    write(tmp_path / "data", {**four(), "t10k-labels-idx1-ubyte": idx(labels(7))})
    given = ["--dataset", tmp_path / "data", *SMALL, *(["--detach"] if detached else [])]
    assert_one_sentence(finish(command("train", *given)), 1, "expected 20 labels, found 7")
    # What only the trainer can tell: an epoch's last step would have one image.
    write(tmp_path / "data", four())
    given += ["--norm", "batch", "--batch-size", "29", "--name", "refused"]
    assert_one_sentence(finish(command("train", *given)), 1, "batch normalization needs two")
    assert not own_runs.exists() or not list(own_runs.iterdir())


@pytest.mark.slow
def test_a_run_on_other_data_than_its_own_says_so(tui_vae: Run, tmp_path: Path, own_runs: Path) -> None:
    data = write(tmp_path / "my data.v2", four())
    code, out, err = finish(command("train", "--dataset", data, *SMALL))
    assert code == 0, err
    run = RunDirectory(own_runs / "my-data-1")
    facts = read_history(run.events).run
    assert facts is not None and facts.dataset.name == "my data.v2" and facts.dataset.shape == (1, 28, 28)
    assert (facts.dataset.split, len(facts.dataset.fingerprint)) == ("given by the source", 40)
    assert f"30 + 20 images of my data.v2 from {data}" in out
    code, out, _ = tui_vae("eval", run.name)
    assert code == 0 and f"20 test images of my data.v2 from {data}" in out
    write(data, {"t10k-images-idx3-ubyte": idx(pictures(20, 28, 28, seed=5))})
    for words in (["eval"], ["show"], ["export", "--what", "reconstructions", "--out", str(tmp_path / "x.npz")]):
        output = tui_vae(words[0], run.name, *words[1:])
        assert_one_sentence(output, 1, "the data of run 'my-data-1' have changed since it was trained")
        assert f"see what is found: tui-vae data '{data}'" in output[2], "which a shell takes as one word"
    code, _, err = finish(command("resume", run.name, "--epochs", 1))
    assert code == 1 and "have changed since it was trained" in err
    newest = read_history(run.events).state
    assert newest is not None and newest.state == "finished", "what was refused is no failure of the run"
    data.rename(tmp_path / "elsewhere")
    for words in (["eval", run.name], ["show", run.name]):
        assert_one_sentence(
            tui_vae(*words), 1, "run 'my-data-1' was trained on what was there: put it, or a link to it,"
        )
    code, _, err = finish(command("resume", run.name, "--epochs", 1))
    assert code == 1 and "put it, or a link to it, there again" in err
    data.symlink_to(write(tmp_path / "elsewhere", four()))
    assert finish(command("resume", run.name, "--epochs", 1))[0] == 0


def test_test_images_that_are_trained_on_are_told(tmp_path: Path, own_runs: Path) -> None:
    np.savez(tmp_path / "x.npz", x_train=IMAGES, x_test=np.concatenate([OTHERS, IMAGES[:3]]))
    code, out, err = finish(command("train", "--dataset", tmp_path / "x.npz", *SMALL))
    assert code == 0, err
    assert "warning: 3 test images are among the training images too, pixel for pixel" in out


def test_a_split_is_told_and_kept(tmp_path: Path, own_runs: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES)
    code, out, err = finish(command("train", "--dataset", tmp_path / "x.npy", "--test-share", "0.2", *SMALL))
    assert code == 0, err
    assert "warning: the source has no test set: 6 of 30 images set aside, 0.2 of the images, drawn with seed 0" in out
    facts = read_history(RunDirectory(own_runs / "x-1").events).run
    assert facts is not None and (facts.dataset.train, facts.dataset.test) == (24, 6)
