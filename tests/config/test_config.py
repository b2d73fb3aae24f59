"""The one description of a run: every option, from a shell, a file or a log."""

import json
import os
import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_vae import config
from tui_vae.cli.parser import given_options, make_parser
from tui_vae.config import RunConfig, check_option, make_config, option_name, options, read_config, recorded_config
from tui_vae.errors import UsageError
from tui_vae.runs.create import config_toml, create_run

PARSER = make_parser()
NAME = set(string.ascii_letters + string.digits + "._-")


@given(name=st.text(max_size=70) | st.text(alphabet="ab.-_/ \n", max_size=66))
def test_names_are_those_that_the_design_allows(name: str) -> None:
    allowed = 1 <= len(name) <= 64 and set(name) <= NAME and not name.startswith(".") and name != "auto"
    try:
        assert (check_option("name", name) == name) == allowed or name in ("auto", "")
    except UsageError:
        assert not allowed


def values(name: str) -> st.SearchStrategy[Any]:
    """What people may write for an option, in a shell or a file; much of it wrong."""
    option = options()[name]
    near = [edge + shift for edge in (option.minimum, option.maximum) if edge is not None for shift in (-1, 0, 1)]
    return st.one_of(
        st.sampled_from([*option.choices, "auto", "all", "", "cuda:1", "cpu", "1e-3", "0.1", "512,256", "nan", "-1",
                         "every:7", "every:0"]),
        st.integers(-5, 3000), st.integers(2**53, 2**63), st.integers(2**53, 2**63).map(str), st.booleans(),
        st.sampled_from([*near, 0]), st.sampled_from([*map(str, near), "0"]), st.floats(), st.floats().map(str),
        st.floats(0, 1e6), st.floats(0, 10).map(str), st.lists(st.integers(0, 600), max_size=4),
        st.lists(st.integers(1, 600), min_size=1, max_size=4).map(lambda widths: ",".join(map(str, widths))),
        st.text(max_size=20), st.sampled_from(["~/data", "~nobody-of-this-name/x", "a b/ö", "/tmp/\udcff", "x\ny"]),
    )  # fmt: skip


@given(data=st.data(), name=st.sampled_from(sorted(options())))
@settings(max_examples=700)
def test_what_an_option_accepts_survives_file_shell_and_log(data: st.DataObject, name: str) -> None:
    given_value = data.draw(values(name))
    try:
        value = check_option(name, given_value)
    except UsageError as error:
        assert option_name(name) in error.message
        assert "\n" not in str(error).replace(repr(given_value), "")
        return
    beside = {"objective": "bce"} if value == "logits" else {}  # which goes with no other
    wanted = make_config({name: value, **beside})
    assert getattr(wanted, name) == value
    assert check_option(name, value) == value

    path = Path(os.environ["TUI_VAE_CACHE"]).with_name("round-trip.toml")
    path.write_bytes(config_toml(wanted))
    assert make_config(read_config(path)) == wanted
    assert make_config(json.loads(json.dumps(wanted.to_dict()))) == wanted
    if name != "preset":
        assert check_option(name, config.text_of(name, value)) == value
    words = ["train", *config.train_options(wanted)]
    assert make_config(given_options(PARSER.parse_args(words))) == wanted


@pytest.mark.parametrize("preset", ["default", "seed"])
def test_a_preset_fills_in_what_is_not_given_and_nothing_else(preset: str) -> None:
    wanted = make_config({"preset": preset, "lr": 0.5, "latent-dim": "7"})
    assert (wanted.lr, wanted.latent_dim, wanted.preset) == (0.5, 7, preset)
    assert (wanted.hidden, wanted.objective) == {"default": ((512, 256), "sigma"), "seed": ((256,), "mse")}[preset]
    assert (wanted.output, wanted.beta, wanted.batch_size) == {
        "default": ("auto", 1.0, 512), "seed": ("sigmoid", 0.5, 128)}[preset]  # fmt: skip


def test_the_recipes_for_adam_say_so() -> None:
    muon = {name for name in config.PRESETS if make_config({"preset": name}).optimizer == "muon"}
    assert muon == {"default", "quick", "best"}
    former = replace(make_config({"preset": "adam"}), preset="default")
    assert former == replace(make_config({}), optimizer="adam", batch_size=256)


def test_a_run_recorded_before_there_was_muon_is_adams(tmp_path: Path) -> None:
    directory, wanted = create_run(tmp_path, make_config({"name": "old", "preset": "adam"}))
    text = directory.config.read_text()
    directory.config.write_text(
        "".join(line for line in text.splitlines(True) if "optim" not in line and "muon" not in line)
    )
    assert "optim" not in directory.config.read_text()
    assert directory.read_config() == wanted
    assert recorded_config({}).optimizer == "adam" and recorded_config({"optimizer": "muon"}).optimizer == "muon"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("latent-dim = " + "9" * 5000, "a number of more than 4,300 digits"),
        ("latent-dim = 0x" + "f" * 5000, "latent-dim must be a whole number of at least 1 and at most 4096, not a num"),
        ("hidden = [0x" + "f" * 5000 + "]", "hidden must be whole numbers with commas between them"),
        ("latent-dim = " + "9" * 4000, "not '9999"),
        ("hidden = " + "[" * 5000, "too many brackets"),
        ("latent-dim = 3\nlatent_dim = 4", "gives latent-dim twice, once as latent_dim"),
        ("runs-dir = 'a'\nruns_dir = 'b'", "gives runs-dir twice"),
    ],
    ids=["decimal", "hexadecimal", "in a list", "long", "brackets", "twice", "twice no option"],
)  # fmt: skip
def test_what_no_file_may_say_is_one_short_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text + "\n")
    with pytest.raises(UsageError) as error:
        read_config(path)
    assert str(path) in error.value.message and says in error.value.message
    assert len(str(error.value)) < len(str(path)) + 200


@pytest.mark.parametrize("word", ["every:0", "every:", "every:-1", "every:1.5", "every:12345678", "every:٣", "EVERY:2",
                                  "every: 2", "each:2", "-1", "100001", "1.5", 1.5, True, -1, ["every:2"]])  # fmt: skip
def test_what_keep_does_not_take_is_told_what_it_takes(word: Any) -> None:
    with pytest.raises(UsageError) as error:
        check_option("keep", word)
    takes = "a whole number of at least 0 and at most 100000, or every:K with K from 1"
    assert error.value.message.startswith(f"keep must be {takes}, not ")
    assert config.allowed("keep") == takes


def test_the_designs_options_all_exist() -> None:
    wanted = (
        "name preset dataset data-dir model hidden latent-dim objective epochs batch-size lr schedule beta kl-warmup"
        " free-bits seed device threads precision train-limit test-limit checkpoint-every"
    )
    assert {name.replace("-", "_") for name in wanted.split()} <= set(options())
    assert RunConfig() == make_config({})
