# SPDX-License-Identifier: Apache-2.0
"""What our pages and notebooks name within sentences is there: commands, options, files, names."""

from __future__ import annotations

import re

import pytest

from ..runs import ROOT
from .mentions import Reader, check_command, commands, commands_of_blocks
from .spans import Text, sentences, sources, texts

SOURCES = sources()
# Options of programs that are not ours, by page: PaddleGAN's scripts, pip, Python, tar, a launcher.
FOREIGN = {
    "docs/distributed.md": {"--backend", "--log_dir", "--nproc_per_node"},
    "docs/install.md": {"-c"},
    "docs/migrating.md": {"--export_serving_model", "--model_path", "--source_path", "-e"},
    "docs/security.md": {"-o", "-p", "--hard-dereference"},
}
# What pages say is not there, and examples of how something is written.
ABSENT = {
    "docs/migrating.md": {"No module named 'ppgan.gan_model'", "a.b.0.c=value"},
    "ppzoo/apps/template/README.md-tpl": {"tests/test_training.py"},
}


def name_of(path):
    return str(path.relative_to(ROOT))


def reader_of(path):
    """Return what checks a page or a notebook."""
    name = name_of(path)
    shown = [command for text in texts(path) for command in commands_of_blocks(path, text)]
    return Reader(shown, FOREIGN.get(name, ()), ABSENT.get(name, ()))


def problems_of(markdown, *shown):
    reader = Reader([command for text in shown for command in commands(text)])
    return reader.problems(sentences(Text("page", markdown)))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_what_sentences_name_is_there(path):
    reader = reader_of(path)
    parts = [part for text in texts(path) for part in sentences(text)]
    assert reader.problems(parts) == []
    # An exemption that nothing needs any more hides the next mistake.
    assert reader.used == reader.foreign | reader.absent


NOTEBOOKS = [path for path in SOURCES if path.suffix == ".ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name_of)
def test_commands_in_texts_of_notebooks_are_right(path):
    for text in texts(path):  # those of pages are executed
        for command in commands_of_blocks(path, text):
            check_command(command)


def test_messages_of_ours_are_quoted_as_they_are():
    source = " ".join(file.read_text(encoding="utf-8") for file in (ROOT / "ppzoo").rglob("*.py"))
    source = re.sub(r'"\s+f?"', "", source)  # texts that go on in the next line
    page = texts(ROOT / "docs" / "troubleshooting.md")
    spans = [span for text in page for part in sentences(text) for span in part.spans]
    quoted = [span for span in spans if span.startswith("... ")]
    assert len(quoted) > 2
    for message in quoted:
        start = message.removeprefix("... ").partition("'")[0].removesuffix("...").strip()
        assert start in source, message


def test_all_kinds_of_texts_are_read():
    names = {name_of(path) for path in SOURCES}
    assert names >= {"README.zh-CN.md", "docs/course/handin.md", "homework/source/day2/day2.ipynb"}
    spans = [
        span for path in SOURCES for t in texts(path) for p in sentences(t) for span in p.spans
    ]
    found = [command for span in spans for command in commands(span)]
    for program in ("ppzoo", "make", "tools/prove.py"):
        assert sum(command[0] == program for command in found) > 10, program
    assert names >= set(FOREIGN) | set(ABSENT)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("`ppzoo predict wav2lip --feathre 2`", "`ppzoo predict wav2lip --feather 2`"),
        ("`ppzoo predict wav2lpi`", "`ppzoo predict wav2lip`"),
        ("`ppzoo predict wav2lip --sound loud`", "`ppzoo predict wav2lip --sound keep`"),
        ("`ppzoo predict wav2lip --seconds two`", "`ppzoo predict wav2lip --seconds N`"),
        ("`ppzoo predict wav2lip --weigths ...`", "`ppzoo predict wav2lip --weights ...`"),
        ("`ppzoo predict wav2lip --fps --loud`", "`ppzoo predict wav2lip --fps --static`"),
        ("`ppzoo predict wav2lip --feat 2`", "`ppzoo predict MODEL`"),  # no abbreviations
        ("`ppzoo trian`", "`ppzoo train`"),
        ("`ppzoo data prepare tlking`", "`ppzoo data prepare NAME`"),
        ("`ppzoo measure sync --video F --pades 0`", "`ppzoo measure sync --video F --pads 0`"),
        ("`ppzoo list model`", "`ppzoo list models`"),
        ("`python -m my_gan predict dcgan --weihgts F`", "`python -m my_gan predict dcgan`"),
        ("`wav2lip --sond none`", "`wav2lip --sound none`"),
        ("`weights convert --nett X`", "`weights convert --net X`"),
        ("`python tools/prove.py dcgann`", "`python tools/prove.py dcgan`"),
        ("`python tools/proof.py dcgan`", "`python tools/prove.py all --untrained`"),
        ("`python tools/wav2lip.py --audoi A`", "`cd applications; python tools/wav2lip.py`"),
        ("`python tools/main.py --relaod F`", "`python tools/main.py --load F`"),
        ("`extract_weight.py C --net-nam N`", "`extract_weight.py C --net-name N`"),
        ("`python tools/showcase.py --fast`", "`python tools/showcase.py`"),
        ("`make prov F=dcgan`", "`make prove F=dcgan`"),
        ("`make prove F=dcgann`", "`make prove F=NAME`"),
        ("`make prove G=dcgan`", "`make PYTHON=python3.12 demo`"),
        ("`configs/dcgan_minst.yaml`", "`configs/dcgan_mnist.yaml`"),
        ("`homework/day2`", "`homework/release/day2/`"),
        ("`configs/dcgan_minst*.yaml`", "`configs/dcgan_*.yaml`"),
        ("`ppzoo train -c configs/dcgan.yaml`", "`ppzoo train -c configs/X.yaml`"),
        (
            "`ppzoo train -c configs/dcgan_mnist.yaml -o model.generator.input_nx=4`",
            "`ppzoo train -c configs/dcgan_mnist.yaml -o model.generator.input_nz=4`",
        ),
        ("`tools/main.py`, `-o dataset.trian.b=4`", "`tools/main.py`, `-o epochs=4`"),
        ("`dataset.train.batchsize=4`", "`dataset.train.batch_size=4`"),
        ("`ppzoo.read_curve(run)`", "`ppzoo.read_curves(run)`"),
        ("`ppzoo.figures.draw_curve`", "`ppzoo.figures.draw_curves`"),
        ("`ppgan.models.Pix2PixModell`", "`ppgan.models.Pix2PixModel`"),
        ("`from ppgan.apps import Wav2LipPredicter`", "`from ppgan.apps import ...`"),
        ("`Trainer(config, breif=True)`", "`Trainer(config, brief=True)`"),
        ("`Wav2LipPredictor(facedetector='sfd')`", "`Wav2LipPredictor(face_detector='sfd')`"),
    ],
)
def test_a_mistake_is_found(wrong, right):
    assert len(problems_of(f"Type {wrong} there.")) == 1
    assert problems_of(f"Type {right} there.") == []


@pytest.mark.parametrize(
    ("sentence", "is_right"),
    [
        ("`--tile 64` of `ppzoo predict realsr`", True),
        ("`--tyle 64` of `ppzoo predict realsr`", False),
        ("`--tile 64` of `realsr`", True),
        ("`--tile some` of `realsr`", False),
        ("`--tile` alone", False),
        ("`-o` of `ppzoo train`", True),
        ("`--evaluate-only --load` of `ppzoo train`", True),
        ("`--load --evaluate` of `ppzoo train`", False),
        ("`--box 上 下 左 右` of `wav2lip`", True),
        ("`--box TOP BOTTOM` of `wav2lip`", True),  # the number is not looked at
        ("`--boxes TOP BOTTOM` of `wav2lip`", False),
        ("`docker run --shm-size=2g`, `tar --hard-dereference`", True),  # not ours
    ],
)
def test_options_alone_are_those_of_a_command_of_the_page(sentence, is_right):
    assert (problems_of(sentence) == []) == is_right
    assert (problems_of(f"{sentence}\n\n- another", "ppzoo list") == []) == is_right


def test_options_alone_may_belong_to_a_command_in_a_block():
    assert problems_of("`--feather 0`", "ppzoo predict wav2lip --face F --audio A") == []
    assert problems_of("`--feather 0`", "ppzoo predict firstorder") != []


def test_places_are_those_of_the_lines():
    (problem,) = problems_of("# Title\n\nText\nand `make it`.\n\n```bash\nmake nothing\n```\n")
    assert problem == "page:3: `make it`: the Makefile has no target it"
    (problem,) = problems_of("| a | b |\n|---|---|\n| `--nothing` | `ppzoo train` |\n")
    assert problem.startswith("page:3: `--nothing`")
