# SPDX-License-Identifier: Apache-2.0
"""Every family, by its smoke config: builds, trains, evaluates, resumes, and samples repeatably.

A new family is tested the day it gets `configs/smoke/<family>.yaml`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppzoo.config import Component, load_config
from ppzoo.engine import Trainer
from ppzoo.registry import DISCRIMINATORS, GENERATORS, MODELS
from tests.runs import (
    SMOKE,
    assert_same,
    make_trainer,
    resumed,
    smoke_config,
    state_of,
    stopped,
    trained,
)

FAMILIES = sorted(path.stem for path in SMOKE.glob("*.yaml"))
STEPS = 4

pytestmark = pytest.mark.smoke


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def names_in(component: Component) -> set[str]:
    """Return the names of a component and of those nested in it."""
    nested = [value for value in component.kwargs.values() if isinstance(value, Component)]
    return {component.name}.union(*map(names_in, nested))


def parameters(trainer: Trainer) -> dict[str, np.ndarray]:
    """Return copies of all parameters that learn."""
    return {
        f"{name}.{key}": value.numpy()
        for name, net in trainer.model.nets.items()
        for key, value in net.named_parameters()
        if not value.stop_gradient
    }


def test_the_families_are_here() -> None:
    assert set(FAMILIES) >= {"dcgan", "lsgan", "wgan", "wgangp", "cgan"}


@pytest.mark.parametrize("registry", [MODELS, GENERATORS, DISCRIMINATORS], ids=lambda r: r.label)
def test_every_network_is_in_a_family(registry: Any) -> None:
    used = set().union(*(names_in(load_config(p).model) for p in SMOKE.glob("*.yaml")))
    assert set(registry) <= used


def test_trains(family: str, tmp_path: Path) -> None:
    trainer = make_trainer(family, tmp_path, f"total_iters={STEPS}")
    model = trainer.model
    assert tuple(model.nets) == type(model).NETS
    before = parameters(trainer)
    trainer.fit()
    assert tuple(model.optimizers) == type(model).OPTIMIZERS
    assert sorted(trainer.recorder.steps) == list(range(1, STEPS + 1))
    losses = [value for step in trainer.recorder.steps.values() for value in step.values()]
    assert np.isfinite(losses).all()
    after = parameters(trainer)
    assert all(np.isfinite(value).all() for value in after.values())
    # Biases may stand still: a Wasserstein critic's last one cancels.
    still = [key for key in before if np.array_equal(before[key], after[key])]
    assert [key for key in still if before[key].ndim > 1] == []


def test_evaluates_and_shows_without_a_trace(family: str, tmp_path: Path) -> None:
    config = smoke_config(family, tmp_path, "enable_visualdl=false")
    trainer = Trainer(config)
    trainer.model.train()
    before = state_of(trainer)
    first, second = trainer.evaluate(), trainer.evaluate()
    assert first
    assert np.isfinite(list(first.values())).all()
    assert first == second
    batch = next(trainer.train_loader.epoch(0))
    pictures = trainer.model.visuals(batch)
    assert pictures
    assert all(value.ndim == 4 and value.shape[0] for value in pictures.values())
    assert_same(state_of(trainer), before)
    layers = [layer for net in trainer.model.nets.values() for layer in net.sublayers(True)]
    assert all(layer.training for layer in layers)


# PaddleGAN's labels; it draws no faces of Wav2Lip's, and SyncNet is ours.
SCALED = {"lq", "output", "gt"}
FACES = {"fake", "real", "source", "fake_other_sound"}
LABELS = {
    "GANModel": {"fake_imgs", "real_imgs"},
    "DCGANModel": {"fake", "real"},
    "Pix2PixModel": {"real_A", "fake_B", "real_B"},
    "CycleGANModel": {"real_A", "fake_B", "rec_A", "real_B", "fake_A", "rec_B"},
    "UGATITModel": {"real_A", "fake_A2B", "real_B", "fake_B2A"},
    "BaseSRModel": SCALED,
    "RCANModel": SCALED,
    "SRGANModel": SCALED,
    "ESRGAN": SCALED,
    "EDVRModel": SCALED | {"lq-2", "lq-1", "lq+1", "lq+2", "still"},
    "FirstOrderModel": {"driving_source_gen", "animated"},
    "FirstOrderModelMobile": {"driving_source_gen", "animated"},
    "Wav2LipModel": FACES,
    "Wav2LipModelHq": FACES,
    "SyncNetModel": {"in_sync", "other"},
}


# What options or data of ours add.
OPTIONAL = {"still", "animated", "fake_other_sound"}


def test_pictures_of_test_data_have_paddlegans_labels(family: str, tmp_path: Path) -> None:
    options = ["validate=null", "max_eval_steps=1", "dataset.test.batch_size=1"]
    trainer = Trainer(smoke_config(family, tmp_path, "enable_visualdl=false", *options))
    trainer.evaluate(pictures=True)
    names = [path.stem for path in trainer.visual_test_dir.iterdir()]
    known = LABELS[trainer.config.model.name]
    found = {label for label in known for name in names if name.endswith(f"_{label}")}
    assert [name for name in names if not name.endswith(tuple(f"_{x}" for x in known))] == []
    assert known - found <= OPTIONAL


def test_resumes_as_if_it_had_not_stopped(family: str, tmp_path: Path) -> None:
    options = [f"total_iters={STEPS}"]
    whole = trained(family, tmp_path / "whole", *options)
    checkpoint = stopped(family, tmp_path / "first", STEPS // 2, *options)
    second = resumed(checkpoint, family, tmp_path / "second", *options)
    assert_same(state_of(second), state_of(whole))


def test_weights_come_back(family: str, tmp_path: Path) -> None:
    first = trained(family, tmp_path / "first", "total_iters=2")
    second = make_trainer(family, tmp_path / "second", "seed=99")
    assert any(
        not np.array_equal(value, parameters(first)[key])
        for key, value in parameters(second).items()
    )
    second.load(first.run_dir / "iter_2_weight.pdparams")
    for name, net in first.model.nets.items():
        loaded = second.model.nets[name].state_dict()
        for key, value in net.state_dict().items():
            assert np.array_equal(value.numpy(), loaded[key].numpy()), (name, key)


def test_generator_samples_are_a_function_of_the_seed(family: str, tmp_path: Path) -> None:
    generator = make_trainer(family, tmp_path).model.nets.get("netG")
    if not hasattr(generator, "sample"):  # a family that does not draw latents
        return
    first, again, other = (generator.sample(3, seed=seed).numpy() for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.abs(first).max() <= 1.0
