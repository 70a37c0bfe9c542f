# SPDX-License-Identifier: Apache-2.0
"""Sampling from trained generators: which weights, which network, what is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import paddle
import pytest

from ppzoo import cli, registry
from ppzoo.apps.gan import GANPredictor, infer_generator
from ppzoo.config import load_config
from ppzoo.errors import UserError, WeightsError
from ppzoo.media.image import to_uint8_images
from ppzoo.weights import read, write_pdparams

from ..runs import SMOKE, checkpoint_in, trained

Predict = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def dcgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = ["total_iters=3", "ema={decay: 0.9, nets: [netG]}"]
    return trained("dcgan", tmp_path_factory.mktemp("dcgan"), *options).run_dir


@pytest.fixture(scope="module")
def cgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("cgan", tmp_path_factory.mktemp("cgan"), "total_iters=1").run_dir


@pytest.fixture
def predict(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Predict:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: Any) -> tuple[int, str, str]:
        capfd.readouterr()
        return (cli.main(["predict", *map(str, arguments)]), *capfd.readouterr())

    return call


def test_command_of_the_issue(predict: Predict, tmp_path: Path, dcgan: Path) -> None:
    weights = dcgan / "iter_3_weight.pdparams"
    code, out, err = predict(
        *("dcgan", "--weights", weights, "--num", 64, "--seed", 0, "--interpolate")
    )
    assert (code, err) == (0, "")
    assert out == "film: samples.gif\ngrid: samples.png\n"
    grid, film = imageio.imread("samples.png"), imageio.imread("samples.gif")
    # 8 walks of 8 pictures, 64 pixels and 2 of border each.
    assert grid.shape == (8 * 66 + 2, 8 * 66 + 2, 3)
    assert film.shape == (14, 68, 8 * 66 + 2, 3)  # there and back


def test_grid_and_separate_pictures(predict: Predict, tmp_path: Path, cgan: Path) -> None:
    weights = cgan / "iter_1_weight.pdparams"
    code, out, _ = predict(
        *("cgan", "--weights", weights, "--num", 10, "--class-id", 7, "--seed", 5),
        *("--output", "deep/er/x.png", "--separate", "each"),
    )
    assert code == 0
    assert out == "grid: deep/er/x.png\npictures: each\n"
    assert imageio.imread("deep/er/x.png").shape == (2 * 58 + 2, 8 * 58 + 2, 3)
    files = sorted((tmp_path / "each").iterdir())
    assert [file.name for file in files] == [f"{i:05d}.png" for i in range(10)]
    expected = GANPredictor(weights).sample(10, seed=5, class_id=7)
    assert all(np.array_equal(imageio.imread(f), e) for f, e in zip(files, expected, strict=True))


def test_same_seed_same_pictures_whatever_their_number(dcgan: Path) -> None:
    predictor = GANPredictor(dcgan / "iter_3_weight.pdparams")
    first, again, other = (predictor.sample(3, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (3, 64, 64, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    walks = predictor.interpolate(2, 3, seed=1)
    assert walks.shape == (2, 3, 64, 64, 3)
    assert np.array_equal(walks[:, 0], predictor.sample(4, seed=1)[:2])
    assert np.array_equal(walks[:, -1], predictor.sample(4, seed=1)[2:])


def test_averaged_weights_are_preferred_and_all_files_serve(dcgan: Path, tmp_path: Path) -> None:
    content = read(checkpoint_in(dcgan))
    generator = registry.build(
        registry.GENERATORS, load_config(dcgan / "config.yaml").model.kwargs["generator"]
    )
    expected = {}
    for name in ("netG", "netG_ema"):
        generator.set_state_dict(content[name])
        expected[name] = to_uint8_images(generator.sample(4, seed=3))
    assert not np.array_equal(expected["netG"], expected["netG_ema"])

    files = {
        dcgan / "iter_3_weight.pdparams": "netG_ema",
        checkpoint_in(dcgan): "netG_ema",
        tmp_path / "raw.pdparams": "netG",
        tmp_path / "paddlegan.pdparams": "netG",
        tmp_path / "flat.pdparams": "netG",
    }
    write_pdparams(tmp_path / "raw.pdparams", {"netG": content["netG"], "netD": content["netD"]})
    write_pdparams(tmp_path / "flat.pdparams", content["netG"])
    tensors = {key: paddle.to_tensor(value) for key, value in content["netG"].items()}
    paddle.save({"netG": tensors, "epoch": 3}, str(tmp_path / "paddlegan.pdparams"))
    for path, which in files.items():
        assert np.array_equal(GANPredictor(path).sample(4, seed=3), expected[which]), path


@pytest.mark.parametrize(
    ("name", "overrides", "n_class"),
    [
        ("dcgan", [], 0),
        ("dcgan", ["model.generator.norm_type=instance"], 0),
        ("dcgan", ["model.generator.norm_type=none", "model.generator.output_nc=3"], 0),
        ("wgan", ["model.generator.size=32", "model.generator.latent_dim=5"], 0),
        ("wgan", ["model.generator.output_nc=3", "model.generator.ngf=6"], 0),
        ("cgan", [], 10),
        ("cgan", ["model.generator.n_class=3"], 3),
    ],
)
def test_generator_is_recognised_by_the_shapes_of_its_weights(
    tmp_path: Path, name: str, overrides: list[str], n_class: int
) -> None:
    spec = load_config(SMOKE / f"{name}.yaml", overrides).model.kwargs["generator"]
    generator = registry.build(registry.GENERATORS, spec)
    arrays = {key: value.numpy() for key, value in generator.state_dict().items()}
    write_pdparams(tmp_path / "x.pdparams", {"netG": arrays})
    predictor = GANPredictor(tmp_path / "x.pdparams", n_class=n_class)
    assert type(predictor.generator) is type(generator)
    expected = to_uint8_images(generator.sample(4, seed=1))
    assert np.array_equal(predictor.sample(4, seed=1), expected)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"a": np.zeros(3)},
        {"l1.0.weight": np.zeros(3), "conv_blocks.9.weight": np.zeros(3)},
        {"l1.0.weight": np.zeros([3, 4])},
        {"l1.0.weight": np.zeros([3, 4]), "conv_blocks.9.weight": np.zeros([1, 0, 3, 3])},
        {"model.0.weight": np.zeros([3, 4, 4, 4]), "model.12.weight": np.zeros([3])},
    ],
)
def test_weights_of_something_else_are_not_guessed_at(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises(WeightsError, match=r"FILE holds no generator.*--config"):
        infer_generator(arrays, source="FILE")


def test_more_classes_than_inputs() -> None:
    arrays = {"l1.0.weight": np.zeros([8, 392]), "conv_blocks.9.weight": np.zeros([1, 4, 3, 3])}
    assert infer_generator(arrays)["latent_dim"] == 8
    with pytest.raises(WeightsError, match=r"takes 8 values.* one of 10 classes"):
        infer_generator(arrays, n_class=10)


def test_weights_that_translate_pictures(tmp_path: Path) -> None:
    run = trained("pix2pix", tmp_path, "total_iters=1").run_dir
    with pytest.raises(WeightsError, match=r"a UnetGenerator, .*`ppzoo predict pix2pix`"):
        GANPredictor(checkpoint_in(run))


def test_config_of_another_place_and_of_another_network(dcgan: Path, cgan: Path) -> None:
    weights = dcgan / "iter_3_weight.pdparams"
    assert GANPredictor(weights, config=SMOKE / "dcgan.yaml").sample(1).shape == (1, 64, 64, 3)
    with pytest.raises(WeightsError, match=r"iter_3_weight\.pdparams does not fit the network"):
        GANPredictor(weights, config=cgan / "config.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--truncation", "0"], "truncation is 0.0, expected"),
        (["--truncation", "nan"], "truncation is nan, expected"),
        (["--num", "0"], "num is 0, expected at least 1"),
        (["--num", "0", "--interpolate"], "num is 0, expected at least 1"),
        (["--class-id", "3"], "not conditional"),
        (["--interpolate", "--steps", "1"], "steps is 1, expected at least 2"),
        (["--interpolate", "--output", "x.gif"], "x.gif, the film's name"),
        (["--output", "x.txt"], r"x\.txt: the name must end in \.png"),
        (["--output", "blocked/x.png"], r"blocked/x\.png: Not a directory"),
        (["--device", "gpu"], "built for CPUs only"),
        (["--config", "nope.yaml"], "nope.yaml: there is no such file"),
        (["--weights", "nope"], "there is no file nope"),
        (["--weights", "blocked"], "blocked is a text file"),
        (["--seed", "-1"], "--seed is -1, expected at least 0"),
    ],
)
def test_mistake_is_one_sentence(
    predict: Predict, tmp_path: Path, dcgan: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "blocked").write_text("mine")
    code, _, err = predict("dcgan", "--weights", dcgan / "iter_3_weight.pdparams", *arguments)
    assert code == 2
    assert re.search(message, err), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["blocked"]


def test_class_that_does_not_exist(predict: Predict, cgan: Path) -> None:
    weights = cgan / "iter_1_weight.pdparams"
    code, _, err = predict("cgan", "--weights", weights, "--class-id", 10)
    assert (code, err) == (2, "error: class_id is 10, expected 0 to 9\n")


def test_weights_of_a_discriminator(tmp_path: Path, dcgan: Path) -> None:
    write_pdparams(tmp_path / "d.pdparams", read(checkpoint_in(dcgan))["netD"])
    with pytest.raises(UserError, match="holds no generator"):
        GANPredictor(tmp_path / "d.pdparams")
