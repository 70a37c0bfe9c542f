# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

from typing import Any

import pytest

from ppzoo.config import load_config
from ppzoo.config.inherit import MAX_BASES
from ppzoo.errors import ConfigError

from .conftest import Write

BASE = """\
epochs: 5
model:
  name: M
  generator: {name: G, ngf: 64, norms: [a, b]}
  params: {x: 1, y: {z: 2}}
dataset:
  train: {name: D, root: data, batch_size: 4}
optimizer:
  optimG: {name: Adam, beta1: 0.5}
  optimD: {name: Adam, beta1: 0.5}
lr_scheduler: {name: LinearDecay, learning_rate: 0.1, start_epoch: 3}
validate:
  metrics:
    fid: {name: FID, batch_size: 2}
"""


def merged(write: Write, child: str, base: str = BASE) -> dict[str, Any]:
    write(base, "base.yaml")
    return load_config(write("_base_: base.yaml\n" + child, "child.yaml")).to_dict()


def test_mappings_are_merged_and_lists_replaced(write: Write) -> None:
    model = merged(write, "model: {generator: {ngf: 8, norms: [c]}, params: {y: {w: 3}}}")["model"]
    assert model == {
        "name": "M",
        "generator": {"name": "G", "ngf": 8, "norms": ["c"]},
        "params": {"x": 1, "y": {"z": 2, "w": 3}},
    }


def test_a_new_name_replaces_the_arguments_of_the_old_class(write: Write) -> None:
    config = merged(write, "model: {generator: {name: Other, size: 3}}")
    assert config["model"]["generator"] == {"name": "Other", "size": 3}
    assert config["model"]["params"] == {"x": 1, "y": {"z": 2}}
    config = merged(write, "dataset: {train: {name: Other}}")
    assert config["dataset"]["train"]["batch_size"] == 1


def test_the_same_name_keeps_them(write: Write) -> None:
    config = merged(write, "model: {generator: {name: G, ngf: 8}}")
    assert config["model"]["generator"] == {"name": "G", "ngf": 8, "norms": ["a", "b"]}


def test_a_name_can_complete_a_base_without_one(write: Write) -> None:
    base = "total_iters: 1\nmodel: {name: M}\ndataset: {train: {batch_size: 4}}\n"
    config = merged(write, "dataset: {train: {name: D}}", base)
    assert config["dataset"]["train"]["batch_size"] == 4


def test_one_optimizer_and_several_replace_each_other(write: Write) -> None:
    assert merged(write, "optimizer: {name: SGD}")["optimizer"] == {"name": "SGD"}
    single = BASE.partition("optimizer:")[0] + "optimizer: {name: SGD, beta1: 0.5}\n"
    groups = merged(write, "optimizer: {optimG: {name: Adam}}", single)["optimizer"]
    assert groups == {"optimG": {"name": "Adam"}}
    assert merged(write, "optimizer: {beta1: 0.1}", single)["optimizer"] == {
        "name": "SGD",
        "beta1": 0.1,
    }
    assert merged(write, "optimizer: {optimG: {beta1: 0.1}}")["optimizer"]["optimG"] == {
        "name": "Adam",
        "beta1": 0.1,
    }


def test_one_metric_and_several_replace_each_other(write: Write) -> None:
    config = merged(write, "validate: {metrics: {name: PSNR}}")
    assert config["validate"]["metrics"] == {"psnr": {"name": "PSNR"}}
    config = merged(write, "validate: {metrics: {psnr: {name: PSNR}}}")
    assert set(config["validate"]["metrics"]) == {"fid", "psnr"}


def test_null_removes_a_section(write: Write) -> None:
    assert "validate" not in merged(write, "validate: null")
    assert merged(write, "validate: {metrics: null}")["validate"]["metrics"] == {}


def test_the_childs_length_replaces_the_bases(write: Write) -> None:
    write(BASE, "base.yaml")
    config = load_config(write("_base_: base.yaml\ntotal_iters: 7\n"))
    assert (config.epochs, config.total_iters, config.warnings) == (None, 7, ())


def test_several_bases_and_bases_of_bases(write: Write) -> None:
    write(BASE, "common/base.yaml")
    write("_base_: base.yaml\nmodel: {generator: {ngf: 1}}\nseed: 1\n", "common/a.yaml")
    write("seed: 2\noutput_dir: b\n", "b.yaml")
    path = write("_base_: [../common/a.yaml, ../b.yaml]\noutput_dir: c\n", "here/child.yaml")
    config = load_config(path)
    assert config.name == "child"
    assert config.model.kwargs["generator"].kwargs["ngf"] == 1
    assert (config.seed, config.output_dir) == (2, "c")


def test_lines_name_the_file_of_origin(write: Write) -> None:
    base = write(BASE, "base.yaml")
    child = write("_base_: base.yaml\nmodel:\n  generator:\n    ngf: 8\n", "child.yaml")
    config = load_config(child, ["model.params.x=2"])
    assert str(config.origin("model.generator.ngf")) == f"{child}:4"
    assert str(config.origin("model.generator.name")) == f"{base}:4"
    assert str(config.origin("model.params.y")) == f"{base}:5"
    assert str(config.origin("model.params.x")) == "-o"
    assert config.model.kwargs["generator"].line == 4


def test_problems_name_the_file_of_origin(write: Write) -> None:
    base = write(BASE + "log_config: {interval: 0}\n", "base.yaml")
    child = write("_base_: base.yaml\nsnapshot_config: {interval: 0}\n", "child.yaml")
    with pytest.raises(ConfigError) as error:
        load_config(child)
    first, second = str(error.value).splitlines()
    assert first.startswith(f"{base}:15 log_config.interval: ")
    assert second.startswith(f"{child}:2 snapshot_config.interval: ")


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        ("missing.yaml", "x.yaml:1 _base_: there is no file"),
        ("xs.yaml", r"did you mean 'x.yaml'\?"),
        ("x.yaml", "'x.yaml' inherits from this file in turn"),
        ("[x.yaml]", "inherits from this file"),
        ("3", "expected a file or a list of files"),
        ("{a: b}", "expected a file or a list of files"),
        ("[[x.yaml]]", "expected a file or a list of files"),
        ("''", "expected a file or a list of files"),
        ("'a\\0b'", "there is no file"),
        (".", "is a folder"),
    ],
)
def test_bases_that_cannot_be(write: Write, base: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load_config(write(f"_base_: {base}\n"))


def test_a_circle_of_files_is_an_error(write: Write) -> None:
    write("_base_: c.yaml\n", "b.yaml")
    write("seed: 1\n_base_: a.yaml\n", "c.yaml")
    with pytest.raises(ConfigError, match=r"c.yaml:2 _base_: 'a.yaml' inherits from this file"):
        load_config(write("_base_: b.yaml\n", "a.yaml"))


def test_a_long_chain_is_an_error_and_a_net_is_read_once(write: Write) -> None:
    write(BASE, "0.yaml")
    for i in range(1, MAX_BASES + 2):
        write(f"_base_: [{i - 1}.yaml, {i - 1}.yaml]\nseed: {i}\n", f"{i}.yaml")
    config = load_config(write(f"_base_: {MAX_BASES - 2}.yaml\n"))  # 2 ** 14 ways to 0.yaml
    assert config.seed == MAX_BASES - 2
    with pytest.raises(ConfigError, match="files build on one another"):
        load_config(write(f"_base_: {MAX_BASES + 1}.yaml\n"))


def test_a_broken_base_is_named(write: Write) -> None:
    base = write("a: [\n", "base.yaml")
    with pytest.raises(ConfigError) as error:
        load_config(write("_base_: base.yaml\n"))
    assert str(error.value).startswith(str(base))


def test_synonyms_are_merged_as_one_key(write: Write) -> None:
    config = merged(
        write, "log_config: {visual_interval: 3}", BASE + "log_config: {visiual_interval: 9}\n"
    )
    assert config["log_config"]["visiual_interval"] == 3
    with pytest.raises(ConfigError, match="mean the same; keep one"):
        merged(write, "log_config: {visual_interval: 3, visiual_interval: 3}")
