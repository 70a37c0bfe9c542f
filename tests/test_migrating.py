# SPDX-License-Identifier: Apache-2.0
"""docs/migrating.md says what is true of names, flags, scripts, commands and quirks, twice."""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import inspect
import re
import shlex
from pathlib import Path

import paddle
import pytest

from ppgan.engine.trainer import Trainer
from ppgan.metrics import build_metric
from ppgan.models.base_model import BaseModel
from ppgan.models.builder import build_model
from ppgan.utils import options
from ppgan.utils.config import get_config
from ppzoo import cli
from ppzoo.config import load_config
from ppzoo.errors import ConfigError, NotHereYetError
from ppzoo.paddlegan_names import REGISTERED
from ppzoo.registry import CRITERIONS, DATASETS, DISCRIMINATORS, GENERATORS, MODELS
from ppzoo.weights.manifest import PADDLEGAN_FOLDERS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/migrating.md"
TEXT = PAGE.read_text(encoding="utf-8")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
VERDICTS = {"kept": "保留", "fixed": "修复", "refused": "拒绝"}

# The surprises that were found when PaddleGAN was read: none is to be forgotten.
SURPRISES = {
    "fom-no-face": "a still film where there is no face",
    "fom-largest-face": "faces sorted by size, in vain",
    "fom-batch": "wrong frames in batches",
    "fom-memory": "the whole driving film in memory",
    "lip-picture-name": "pictures told by the first dot of their name",
    "lip-shell": "names of files in a line of the shell",
    "lip-no-face": "one frame without a face ends the run",
    "lip-reload": "weights read in each run",
    "lip-rotate": "cv2.cv2",
    "lip-checkpoint": "checkpoints of a training do not load",
    "film-rate": "29.97 becomes 29",
    "edvr-last-batch": "a short last batch",
    "anime-returns-input": "the input is returned",
    "cache-in-package": "downloads into site-packages",
    "lip-outfile-folder": "the result's folder is missing",
    "lip-static-text": "--static False",
    "anime-brightness-flag": "a flag that turns off what it names",
    "no-cuda": "a flag without effect",
    "val-interval": "a flag without effect",
    "ctrl-c": "an epoch where an iteration is expected",
    "visualdl-steps": "every point at step 0",
    "epoch-is-iterations": "an entry with another name than meaning",
}
# What ppgan.apps of PaddleGAN 2.1 has, and what stands in modules beside it.
PREDICTORS = """
    AOTGAN AnimeGAN BasiVSRPlusPlus BasicVSR DAIN DeOldify DeepRemaster EDVR FaceParse FirstOrder
    GPEN IconVSR InvDN LapStyle MPR MiDaS NAFNet PPMSVSR PPMSVSRLarge PSGAN PhotoPen
    Photo2Cartoon Pixel2Style2Pixel RealSR SinGAN StyleGANv2 StyleGANv2Clip StyleGANv2Editing
    StyleGANv2Fitting StyleGANv2Mixing SwinIR Wav2Lip
"""
FLAGS = """
    --config-file --opt --resume --load --evaluate-only --seed --amp --amp_level
    --profiler_options --no-cuda --val-interval --source_path --reference_dir --model_path
"""
REGISTRIES = {
    "models": (MODELS, "ppgan.models"),
    "generators": (GENERATORS, "ppgan.models.generators"),
    "discriminators": (DISCRIMINATORS, "ppgan.models.discriminators"),
    "criterions": (CRITERIONS, "ppgan.models.criterions"),
    "datasets": (DATASETS, "ppgan.datasets"),
}


def rows(marker):
    """The cells of the table between two comments, without its head."""
    (block,) = re.findall(rf"<!-- {marker} -->\n\n(.*?)\n<!-- /{marker} -->", TEXT, re.DOTALL)
    lines = block.splitlines()
    assert re.fullmatch(r"[|-]+", lines[1])
    return [[cell.strip() for cell in line[1:-1].split("|")] for line in lines[2:]]


def quirks():
    """Rows of the tables of quirks, by their first cell."""
    text = TEXT.split("\n## Quirks")[1]
    lines = re.findall(r"^\| `([\w-]+)` \| \*\*(\w+)\*\* (\S+) \| (.*) \|$", text, re.MULTILINE)
    return [(name, verdict, word, *rest.split(" | ")) for name, verdict, word, rest in lines]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@functools.cache
def names_of_tests(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def carry_out(statement):
    """Import what `from module import name, ...` does."""
    (node,) = ast.parse(statement).body
    names = ", ".join(alias.name for alias in node.names)
    exec(f"from {node.module} import {names}", {})  # noqa: S102  (two names of ours)


def words_of(line):
    return shlex.split(line, comments=True)


class TestQuirks:
    def test_every_surprise_has_its_row(self):
        names = [row[0] for row in quirks()]
        assert len(names) == len(set(names)) > 50
        assert not SURPRISES.keys() - set(names)

    @pytest.mark.parametrize("row", quirks(), ids=lambda row: row[0])
    def test_row(self, row):
        _, verdict, word, english, chinese, shown_by = row
        assert VERDICTS[verdict] == word
        assert english.endswith(".")
        assert not CHINESE.search(english)
        assert len(CHINESE.findall(chinese)) > 8
        links = re.findall(r"\[([^\]]+)\]\(\.\./([^)]+)\)", shown_by)
        assert links
        for title, path in links:
            assert f"test_{title.replace(' ', '_')}" in names_of_tests(ROOT / path)


class TestNames:
    def test_every_predictor_is_listed_once(self):
        listed = [name for row in rows("predictors") for name in re.findall(r"`(\w+)`", row[0])]
        assert sorted(listed) == sorted(f"{name}Predictor" for name in PREDICTORS.split())

    @pytest.mark.parametrize("row", rows("predictors"), ids=lambda row: row[0])
    def test_predictors(self, row):
        apps = importlib.import_module("ppgan.apps")
        names, is_here, command = re.findall(r"`(\w+)`", row[0]), row[1], row[2].strip("`")
        assert is_here in ("yes", "not yet")
        if is_here == "not yet":
            for name in names:
                with pytest.raises(NotHereYetError, match=name):
                    getattr(apps, name)
            return
        (name,) = names
        parameters = inspect.signature(getattr(apps, name)).parameters.values()
        ours = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
        new = re.findall(r"`(\w+)`", row[3].partition("<br>new")[2])
        assert new
        assert set(new) <= ours
        cli._parser(["predict"]).parse_args(_with_required(words_of(command)[1:]))

    @pytest.mark.parametrize("row", rows("names"), ids=lambda row: row[0])
    def test_registered_names(self, row):
        kind = row[0].split(" ")[0]
        here, missing = (re.findall(r"`(\w+)`", cell) for cell in row[1:3])
        if kind not in REGISTRIES:
            assert (row[1].startswith("all "), missing) == (True, [])
            return
        registry, package = REGISTRIES[kind]
        assert sorted([*here, *missing]) == sorted(REGISTERED[registry.label])
        module = importlib.import_module(package)
        for name in here:
            assert getattr(module, name) is registry.get(name)
        for name in missing:
            assert name not in registry
            with pytest.raises(NotHereYetError, match=name):
                getattr(module, name)

    def test_modules(self):
        names = [name for row in rows("modules") for name in re.findall(r"`([\w.]+)`", row[0])]
        assert len(names) > 20
        parent = ""
        for name in names:
            if name.startswith("."):  # after a sibling: `utils.config`, `.options`
                name = parent + name
            parent = name.rpartition(".")[0]
            importlib.import_module(f"ppgan.{name}")

    def test_the_sentence_that_is_shown(self):
        (shown,) = [block for block in blocks("text") if block.startswith(">>> from ppgan")]
        statement, answer = shown.removeprefix(">>> ").splitlines()
        with pytest.raises(ImportError) as caught:
            carry_out(statement)
        kind = type(caught.value)
        assert answer == f"{kind.__module__}.{kind.__qualname__}: {caught.value}"


class TestCommands:
    def test_flags(self, monkeypatch):
        table = {re.findall(r"--[\w-]+", row[0])[0]: row for row in rows("flags")}
        listed = {flag for row in rows("flags") for flag in re.findall(r"--[\w-]+", row[0])}
        assert listed >= set(FLAGS.split())
        parser = argparse.ArgumentParser()
        cli._add_run_arguments(parser)
        known = {option for action in parser._actions for option in action.option_strings}
        known.add("--list")
        refused = set(re.findall(r"--[\w-]+", table["--source_path"][0]))
        assert table["--source_path"][1].startswith("refused")
        assert listed - known == refused
        assert {option for option in known if option.startswith("--")} - {"--help"} <= listed
        monkeypatch.setattr("sys.argv", ["main.py", *(f"{flag}=x" for flag in sorted(refused))])
        assert options.parse_args().source_path == "x"

    @pytest.mark.parametrize("row", rows("scripts"), ids=lambda row: row[0][:40])
    def test_scripts(self, row):
        names = [Path(name.split(" ")[0]) for name in re.findall(r"`([^`]+\.py[^`]*)`", row[0])]
        found = [(ROOT / "tools" / path.name).is_file() for path in names]
        if row[1].startswith(("not yet", "left out", "`ppzoo")):
            assert not any(found)
        else:
            assert all(found)

    def test_commands_of_tables_exist(self):
        named = set(re.findall(r"`ppzoo ([a-z]+)(?: ([a-z0-9]+))?", TEXT))
        assert len(named) > 8
        for command, second in named:
            if command in ("train", "eval", "list"):
                continue
            parser = cli._parser([command])
            (commands,) = (a for a in parser._actions if a.choices and command in a.choices)
            chosen = commands.choices[command]
            if second:
                (places,) = (a for a in chosen._actions if a.choices)
                assert second in places.choices, (command, second)

    def test_code_imports_what_there_is(self):
        imports = [line for block in blocks("python") for line in block.splitlines()]
        imports = [line for line in imports if line.startswith(("from ", "import "))]
        assert imports
        for line in imports:
            carry_out(line)


class TestModelsOfOnesOwn:
    def test_the_example_trains_and_is_measured(self, monkeypatch):
        (example,) = [block for block in blocks("python") if "(BaseModel)" in block]
        monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
        exec(example, {})  # noqa: S102
        net = {"name": "RRDBNet", "in_nc": 3, "out_nc": 3, "nf": 4, "nb": 1, "scale": 1}
        criterion = {"name": "L1Loss"}
        model = build_model({"name": "Denoiser", "generator": net, "pixel_criterion": criterion})
        model.setup_lr_schedulers({"name": "MultiStepDecay", "learning_rate": 1, "milestones": []})
        model.setup_optimizers({"optim": ({"name": "SGD"}, ["generator"])})
        pictures = paddle.rand([2, 3, 8, 8])
        batch = {"lq": pictures, "gt": pictures}
        before = model.nets["generator"].parameters()[0].numpy()
        assert float(model.train_step(batch)["loss_pixel"]) > 0
        assert (model.nets["generator"].parameters()[0].numpy() != before).any()
        metric = build_metric({"name": "PSNR", "crop_border": 0})
        metric.update_from(model.eval_step(batch), (0.0, 1.0))
        assert 0 < metric.accumulate() < 60

    def test_what_the_trainer_has(self):
        (row,) = [row for row in rows("modules") if row[0] == "`engine.trainer`"]
        names = re.findall(r"`([a-z_]+)`", row[1])
        assert len(names) > 15
        trainer = Trainer(get_config(str(ROOT / "configs/smoke/wgan.yaml")))
        for name in set(names) - {"output_dir"}:  # which would be made
            assert getattr(trainer, name) is not None or name == "epochs"

    @pytest.mark.parametrize(
        ("base", "names"),
        [
            (BaseModel, ["setup_lr_schedulers", "setup_optimizers", "setup_metrics"]),
            (Trainer, ["test", "save", "print_log", "visual", "distributed_data_parallel"]),
        ],
    )
    def test_what_is_refused(self, base, names):
        (row,) = re.findall(r"^\| methods that ppzoo's.*$", TEXT, re.MULTILINE)
        for name in names:
            assert f"`{name}`" in row
            with pytest.raises(ConfigError, match=f"^Mine has a `{name}`"):
                type("Mine", (base,), {name: print})


class TestProse:
    def test_every_paragraph_is_in_both_languages(self):
        prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
        prose = re.sub(r"<!-- configs -->.*?<!-- /configs -->", "", prose, flags=re.DOTALL)
        prose = re.sub(r"<!--.*?-->", "", prose, flags=re.DOTALL)  # nobody sees comments
        paragraphs = [p for p in re.split(r"\n\s*\n", prose) if p.strip()]
        assert len(paragraphs) > 30
        wrong = [p[:60] for p in paragraphs if p[0] != "|" and not CHINESE.search(p)]
        assert not wrong

    def test_links_within_pages_lead_to_headings(self):
        for target in re.findall(r"\]\(([^)\s]*#[^)\s]+)\)", TEXT):
            if target.startswith("http"):
                continue
            path, anchor = target.split("#")
            page = (PAGE.parent / path).resolve() if path else PAGE
            assert anchor in headings(page), target


def headings(page):
    """Anchors of a page as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def _with_required(words):
    """The words of a command with a value for each option that it needs."""
    families = {
        "firstorder": "--source a --driving b --output c",
        "wav2lip": "--face a --audio b --output c",
    }
    return [*words, *families.get(words[-1], "--input a --output b").split()]


@pytest.mark.parametrize("page", ["migrating", "weights"])
def test_pages_say_where_paddlegans_weights_are_found(page):
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    assert len(PADDLEGAN_FOLDERS) == 2
    for place in (*PADDLEGAN_FOLDERS, "weight_path="):
        assert text.count(f"`{place}`") >= 2  # in English and in Chinese


def test_the_first_command_with_a_yaml_needs_no_more_than_it_gives(monkeypatch):
    monkeypatch.chdir(ROOT)
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    line = next(line for line in lines if " -c configs/" in line)
    words = words_of(line)
    config = load_config(words[words.index("-c") + 1], words[words.index("-o") + 1 :], check=True)
    assert config.dataset.train.component.kwargs["dataroot"].startswith("my/")
    assert config.validation is None  # neither test data nor weights of a metric
