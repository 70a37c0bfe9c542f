# SPDX-License-Identifier: Apache-2.0
"""Scripts that train as PaddleGAN's do."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppgan.engine.trainer import Trainer
from ppgan.utils.config import AttrDict, get_config
from ppgan.utils.options import parse_args
from ppgan.utils.setup import setup
from ppzoo.errors import ConfigError
from ppzoo.registry import METRICS
from ppzoo.weights import read

SMOKE = Path(__file__).resolve().parent.parent.parent / "configs" / "smoke" / "lsgan.yaml"
WGAN = SMOKE.with_name("wgan.yaml")


def args_of(**values):
    return argparse.Namespace(seed=3, no_cuda=True, evaluate_only=False, **values)


def test_config_is_a_dictionary_with_attributes():
    cfg = get_config(str(SMOKE), ["total_iters=2", "dataset.train.batch_size=3"])
    assert isinstance(cfg, AttrDict)
    assert cfg.total_iters == cfg["total_iters"] == 2
    assert cfg.dataset.train.batch_size == 3
    assert isinstance(cfg.dataset.train, AttrDict)
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


@pytest.fixture
def trainer(tmp_path):
    return Trainer(get_config(str(WGAN), [f"output_dir={tmp_path}", "total_iters=40"]))


class TestSaving:
    def names(self, trainer):
        return sorted(path.name for path in Path(trainer.output_dir).glob("*.pdparams"))

    def test_weights_leave_checkpoints_alone(self, trainer):
        trainer.save(10)
        trainer.save(20, "weight", keep=-1)
        trainer.save(30, "weight")
        assert self.names(trainer) == [
            "iter_10_checkpoint.pdparams",
            "iter_20_weight.pdparams",
            "iter_30_weight.pdparams",
        ]

    def test_so_many_checkpoints_are_kept(self, trainer):
        for epoch in (9, 10, 11):
            trainer.save(epoch, keep=-1)
        assert len(self.names(trainer)) == 3
        trainer.save(12, keep=2)
        assert self.names(trainer) == ["iter_11_checkpoint.pdparams", "iter_12_checkpoint.pdparams"]
        trainer.save(13)
        assert self.names(trainer) == ["iter_13_checkpoint.pdparams"]
        trainer.resume(str(Path(trainer.output_dir) / "iter_13_checkpoint.pdparams"))

    def test_runs_in_epochs_count_steps(self, tmp_path):
        changes = [f"output_dir={tmp_path}", "epochs=5", "total_iters=null"]
        trainer = Trainer(get_config(str(WGAN), changes))
        steps = trainer.iters_per_epoch
        assert (trainer.by_epoch, trainer.epochs, trainer.total_iters) == (True, 5, 5 * steps)
        trainer.save(3 * steps)
        assert self.names(trainer) == ["epoch_3_checkpoint.pdparams"]

    def test_nothing_else_is_saved(self, trainer):
        with pytest.raises(ConfigError, match="save writes weight or checkpoint, not 'best'"):
            trainer.save(1, "best")


class TestAttributes:
    def test_of_paddlegans(self, trainer):
        engine = trainer.engine
        assert (trainer.by_epoch, trainer.epochs, trainer.total_iters) == (False, None, 40)
        assert trainer.iters_per_epoch == len(trainer.train_dataloader)
        batch = next(iter(trainer.train_dataloader))
        assert len(batch["img"]) == engine.config.dataset.train.batch_size
        assert trainer.optimizers is trainer.model.optimizers
        assert set(trainer.optimizers) == set(engine.config.optimizer)
        assert trainer.lr_schedulers is engine.model.lr_schedulers["lr"]
        assert trainer.current_learning_rate == trainer.lr_schedulers.get_lr() > 0
        trainer.logger.info("a line")
        assert trainer.logger.name.startswith("ppzoo")

    def test_others_are_refused_in_a_sentence(self, trainer):
        with pytest.raises(AttributeError, match=r"no attribute 'vdl_logger': docs/migrating\.md"):
            trainer.vdl_logger  # noqa: B018
        with pytest.raises(AttributeError):
            trainer.total_iters = 3

    @pytest.mark.parametrize(
        "name", ["test", "save", "print_log", "visual", "distributed_data_parallel"]
    )
    def test_methods_that_nobody_would_call_are_refused(self, name):
        with pytest.raises(ConfigError, match=rf"^Mine has a `{name}` of its own.*migrating\.md"):
            type("Mine", (type("Mixin", (), {name: lambda self: None}), Trainer), {})

    def test_methods_that_a_script_calls_are_its_own(self):
        class Mine(Trainer):
            def load(self, weight_path):
                return "mine"

        assert Mine.load(None, "x") == "mine"
        assert Mine.test is Trainer.test


class Darkest(paddle.metric.Metric):
    """A metric as PaddleGAN's are written."""

    def __init__(self, scale=1.0):
        self.scale = scale
        self.reset()

    def reset(self):
        self.values = []

    def update(self, preds, gts):
        for pred, gt in zip(preds, gts, strict=True):
            assert pred.dtype == gt.dtype == np.uint8
            assert pred.shape == gt.shape == (32, 32, 3)
            self.values.append(pred.min() * self.scale)

    def accumulate(self):
        return np.mean(self.values)

    def name(self):
        return "darkest"


class TestOwnMetrics:
    @pytest.fixture
    def evaluated(self, monkeypatch, tmp_path):
        def evaluate(metric, *options):
            monkeypatch.setitem(METRICS._entries, "Mine", metric)
            changes = ["validate.metrics={mine: {name: Mine}}", f"output_dir={tmp_path}", *options]
            return Trainer(get_config(str(SMOKE.with_name("pix2pix.yaml")), changes))

        return evaluate

    def test_of_paddlegans_kind(self, evaluated):
        trainer = evaluated(Darkest)
        found = trainer.test()
        assert 0 <= found["mine"] < 255
        assert trainer.test() == found
        metric = trainer.engine.evaluator.metrics["mine"]
        assert len(metric.metric.values) == 8
        with pytest.raises(ConfigError, match="the metric Darkest cannot be shared"):
            metric.merge([{}, {}])

    def test_pictures_are_written_whatever_save_img_says(self, evaluated):
        trainer = evaluated(Darkest, "validate.save_img=false", "max_eval_steps=1")
        trainer.test()
        names = {path.name[-10:] for path in Path(trainer.output_dir, "visual_test").iterdir()}
        assert names == {"real_A.png", "fake_B.png", "real_B.png"}

    def test_of_no_kind(self, evaluated):
        with pytest.raises(ConfigError, match="the metric int has no method 'reset'"):
            evaluated(lambda: 3).test()


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
