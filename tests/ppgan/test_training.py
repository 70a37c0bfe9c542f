# SPDX-License-Identifier: Apache-2.0
"""Scripts that train as PaddleGAN's do."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from ppgan.engine.trainer import Trainer
from ppgan.utils.config import AttrDict, get_config
from ppgan.utils.options import parse_args
from ppgan.utils.setup import setup
from ppzoo.errors import ConfigError
from ppzoo.weights import read

SMOKE = Path(__file__).resolve().parent.parent.parent / "configs" / "smoke" / "lsgan.yaml"


def args_of(**values):
    return argparse.Namespace(seed=3, no_cuda=True, evaluate_only=False, **values)


def test_config_is_a_dictionary_with_attributes():
    cfg = get_config(str(SMOKE), ["total_iters=2", "dataset.train.batch_size=3"])
    assert isinstance(cfg, AttrDict)
    assert cfg.total_iters == cfg["total_iters"] == 2
    assert cfg.dataset.train.batch_size == 3
    assert cfg.get("validate") is None or isinstance(cfg.validate, AttrDict)
    with pytest.raises(AttributeError):
        cfg.nothing  # noqa: B018
    cfg.new = 1
    assert cfg["new"] == 1


def test_a_script_trains_loads_and_tests(tmp_path):
    cfg = get_config(str(SMOKE), ["total_iters=2"])
    cfg.output_dir = str(tmp_path)
    setup(args_of(), cfg)
    trainer = Trainer(cfg)
    trainer.train()
    assert trainer.current_iter == 3
    assert Path(trainer.output_dir).parent == tmp_path
    weights = next(Path(trainer.output_dir).glob("*_weight.pdparams"))
    again = Trainer(cfg)
    again.load(str(weights))
    for name, net in again.model.nets.items():
        for key, value in read(weights)[name].items():
            np.testing.assert_array_equal(net.state_dict()[key].numpy(), value)
    again.close()


def test_changes_after_reading_are_checked(tmp_path):
    cfg = get_config(str(SMOKE), [])
    cfg.model.generator.nonsense = 1
    with pytest.raises(ConfigError, match="nonsense"):
        Trainer(cfg)


def test_options_are_paddlegans(monkeypatch):
    monkeypatch.setattr(
        "sys.argv",
        [
            "main.py",
            "-c",
            "a.yaml",
            "-o",
            "x=1",
            "y=2",
            "--evaluate-only",
            "--load",
            "w",
            "--seed",
            "0",
            "--amp_level",
            "O2",
        ],
    )
    args = parse_args()
    assert (args.config_file, args.opt, args.load) == ("a.yaml", ["x=1", "y=2"], "w")
    assert args.evaluate_only
    assert args.seed == 0
    assert (args.amp, args.amp_level, args.val_interval, args.resume) == (False, "O2", 1, None)
