# SPDX-License-Identifier: Apache-2.0
"""Predictors from picture to picture: any picture, any size, which generator, folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
from PIL import Image

from ppzoo import cli, registry
from ppzoo.apps import image_to_image
from ppzoo.apps.cyclegan import CycleGANPredictor
from ppzoo.apps.image_to_image import infer_generator, planned
from ppzoo.apps.inference import Runner
from ppzoo.apps.pix2pix import Pix2PixPredictor
from ppzoo.apps.ugatit import UGATITPredictor, heat_over
from ppzoo.config import load_config
from ppzoo.errors import DataError, UserError, WeightsError
from ppzoo.media.image import read_image, to_uint8_images, write_image
from ppzoo.weights import write_pdparams

from ..runs import SMOKE

UNET = {"name": "UnetGenerator", "num_downs": 5, "ngf": 2, "norm_type": "batch"}
RESNET = {"name": "ResnetGenerator", "n_blocks": 1, "ngf": 2, "norm_type": "instance"}
LIGHT = {"name": "ResnetUGATITGenerator", "n_blocks": 1, "ngf": 2, "light": True}
FULL = {"name": "ResnetUGATITGenerator", "n_blocks": 1, "ngf": 2, "img_size": 32, "light": False}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))


def generator(spec: Mapping[str, Any], scale: float = 8.0) -> paddle.nn.Layer:
    import ppzoo.translation.ugatit  # noqa: F401

    net = registry.build(registry.GENERATORS, {"input_nc": 3, "output_nc": 3, **spec})
    # Larger weights than the initial ones, so that results differ from mean grey.
    for parameter in net.parameters():
        if parameter.ndim == 4:
            parameter.set_value(parameter * scale)
    net.eval()
    return net


def arrays_of(net: paddle.nn.Layer) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in net.state_dict().items()}


def saved(path: Path, **nets: paddle.nn.Layer) -> Path:
    write_pdparams(path, {name: arrays_of(net) for name, net in nets.items()})
    return path


def translated(net: paddle.nn.Layer, picture: np.ndarray) -> np.ndarray:
    x = picture.astype("float32").transpose(2, 0, 1)[np.newaxis] / 127.5 - 1
    with paddle.no_grad():
        output = net(paddle.to_tensor(x))
    return to_uint8_images(output[0] if isinstance(output, tuple) else output)[0]


def photo(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, [height, width, channels], "uint8")


def close(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and np.abs(first.astype(int) - second).max() <= 1


@pytest.fixture
def unet(tmp_path: Path) -> tuple[paddle.nn.Layer, Pix2PixPredictor]:
    net = generator(UNET)
    return net, Pix2PixPredictor(saved(tmp_path / "w.pdparams", netG=net))


@pytest.mark.parametrize(
    "spec",
    [
        UNET,
        UNET | {"num_downs": 7, "ngf": 3, "norm_type": "instance", "input_nc": 1},
        UNET | {"norm_type": "none", "output_nc": 1},
        RESNET | {"use_dropout": True, "padding_type": "reflect"},
        RESNET | {"n_blocks": 3, "norm_type": "batch", "padding_type": "zero", "input_nc": 1},
        RESNET | {"norm_type": "none", "use_dropout": True, "padding_type": "zero"},
        LIGHT | {"img_size": 256, "norm_type": "instance"},
        FULL | {"n_blocks": 2, "norm_type": "batch", "output_nc": 1},
    ],
)
def test_generator_is_recognised_by_its_weights(spec: dict[str, Any]) -> None:
    spec = {"input_nc": 3, "output_nc": 3, **spec}
    arrays = arrays_of(registry.build(registry.GENERATORS, spec))
    found = infer_generator(arrays)
    assert spec.items() <= found.items()
    again = registry.build(registry.GENERATORS, found)
    assert {k: v.shape for k, v in arrays_of(again).items()} == {
        k: v.shape for k, v in arrays.items()
    }


def test_unknown_weights(tmp_path: Path) -> None:
    write_pdparams(tmp_path / "x.pdparams", {"netG": {"conv.weight": np.zeros([2, 3, 5, 5])}})
    with pytest.raises(WeightsError, match=r"begin with conv\.weight\): give its config"):
        Pix2PixPredictor(tmp_path / "x.pdparams")


def test_weights_that_draw_from_random_numbers(tmp_path: Path) -> None:
    spec = load_config(SMOKE / "dcgan.yaml").model.kwargs["generator"]
    path = saved(tmp_path / "w.pdparams", netG=registry.build(registry.GENERATORS, spec))
    with pytest.raises(WeightsError, match=r"random numbers.*`ppzoo predict dcgan`"):
        Pix2PixPredictor(path, SMOKE / "dcgan.yaml")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 50), (33, 64), (64, 32)])
def test_any_size(unet: tuple[paddle.nn.Layer, Pix2PixPredictor], height: int, width: int) -> None:
    net, predictor = unet
    picture = photo(height, width)
    rows, columns = -height % 32, -width % 32
    top, left = rows // 2, columns // 2
    around = ((top, rows - top), (left, columns - left), (0, 0))
    whole = translated(net, np.pad(picture, around, mode="symmetric"))
    expected = whole[top : top + height, left : left + width]
    result = predictor.run(picture)
    assert result.dtype == np.uint8
    assert close(result, expected)
    assert expected.size < 100 or expected.std() > 3


@pytest.mark.parametrize("spec", [RESNET, LIGHT])
@pytest.mark.parametrize(("height", "width"), [(1, 3), (18, 41)])
def test_residual_generators_take_any_size(
    tmp_path: Path, spec: dict[str, Any], height: int, width: int
) -> None:
    path = saved(tmp_path / "w.pdparams", netG_A=generator(spec), netG_B=generator(spec))
    assert CycleGANPredictor(path).run(photo(height, width)).shape == (height, width, 3)


def test_photo2cartoons_generator_takes_any_size(tmp_path: Path) -> None:
    config = SMOKE / "ugatit_photo2cartoon.yaml"
    net = registry.build(registry.GENERATORS, load_config(config).model.kwargs["generator"])
    predictor = UGATITPredictor(saved(tmp_path / "w.pdparams", genA2B=net), config=config)
    assert predictor.run(photo(1, 3)).shape == (1, 3, 3)


def test_ways_to_give_a_picture(
    unet: tuple[paddle.nn.Layer, Pix2PixPredictor], tmp_path: Path
) -> None:
    _, predictor = unet
    grey, colour = photo(20, 24, 1), photo(20, 24)
    expected = predictor.run(colour)
    on_grey = predictor.run(np.repeat(grey, 3, axis=2))
    assert np.array_equal(predictor.run(grey), on_grey)
    assert np.array_equal(predictor.run(grey[..., 0].astype("uint16") * 256 + 9), on_grey)
    opaque = np.concatenate([colour, np.full_like(grey, 255)], axis=2)
    assert np.array_equal(predictor.run(Image.fromarray(opaque)), expected)
    clear = np.concatenate([colour, np.zeros_like(grey)], axis=2)
    white = np.full_like(colour, 255)
    assert np.array_equal(predictor.run(clear), predictor.run(white))
    write_image(tmp_path / "a.png", colour)
    assert np.array_equal(predictor.run(tmp_path / "a.png"), expected)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise
    Image.fromarray(np.ascontiguousarray(np.rot90(colour))).save(tmp_path / "b.png", exif=exif)
    assert np.array_equal(predictor.run(str(tmp_path / "b.png")), expected)
    with pytest.raises(DataError, match="expected a path, a Pillow image or an array"):
        predictor.run(colour.astype("float32"))


def shapes_seen(predictor: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    run = Runner.run

    def watched(self: Runner, *arrays: np.ndarray) -> Any:
        seen.extend(array.shape for array in arrays)
        return run(self, *arrays)

    monkeypatch.setattr(Runner, "run", watched)
    return seen


def test_size_and_max_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = saved(tmp_path / "w.pdparams", netG=generator(RESNET))
    predictor = Pix2PixPredictor(path, size=20, max_size=32)
    seen = shapes_seen(predictor, monkeypatch)
    assert predictor.run(photo(10, 15)).shape == (10, 15, 3)
    assert seen.pop() == (1, 3, 20, 32)  # 20 x 30, and 30 is no multiple of 4
    assert not caplog.records
    assert predictor.run(photo(10, 30)).shape == (10, 30, 3)
    assert seen.pop() == (1, 3, 16, 32)  # 11 x 32, with the least side
    assert "a picture of 30 x 10 pixels is translated at 32 x 11" in caplog.text
    for option in ({"size": 0}, {"max_size": 0}, {"backend": "fast"}):
        with pytest.raises(UserError, match=f"{next(iter(option))} is"):
            Pix2PixPredictor(path, **option)


def test_grey_generator(tmp_path: Path) -> None:
    net = generator(RESNET | {"input_nc": 1, "output_nc": 1})
    predictor = Pix2PixPredictor(saved(tmp_path / "w.pdparams", netG=net))
    picture = np.repeat(photo(16, 16, 1), 3, axis=2)
    assert close(predictor.run(picture), translated(net, picture[..., :1]))


def test_full_generator_takes_one_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = generator(FULL)
    predictor = UGATITPredictor(saved(tmp_path / "w.pdparams", genA2B=net, genB2A=net))
    seen = shapes_seen(predictor, monkeypatch)
    square = photo(32, 32)
    assert close(predictor.run(square), translated(net, square))
    assert predictor.run(photo(60, 20)).shape == (60, 20, 3)
    assert set(seen) == {(1, 3, 32, 32)}


def test_attention(tmp_path: Path) -> None:
    net = generator(LIGHT)
    path = saved(tmp_path / "w.pdparams", genA2B=net, genB2A=net)
    predictor = UGATITPredictor(path, attention=True)
    picture = photo(40, 30)
    result, heat = predictor.run_with_attention(picture)
    assert np.array_equal(result, predictor.run(picture))
    assert heat.shape == (40, 30)
    assert (heat.min(), heat.max()) == (0, pytest.approx(1, abs=0.2))
    over = heat_over(np.zeros([1, 2, 3], "uint8"), np.array([[0.0, 1.0]]))
    assert (over[0, 0].argmax(), over[0, 1].argmax()) == (2, 0)  # blue, red
    predictor.run_folder(_folder(tmp_path / "in", "a.png"), tmp_path / "out", compare=True)
    assert read_image(tmp_path / "out/a.png").shape == (20, 3 * 24, 3)


def test_direction(tmp_path: Path) -> None:
    nets = {"netG_A": generator(RESNET), "netG_B": generator(RESNET)}
    path, picture = saved(tmp_path / "w.pdparams", **nets), photo(16, 16)
    by_net = {name: translated(net, picture) for name, net in nets.items()}
    assert not close(*by_net.values())
    for direction, name in ((None, "netG_A"), ("a2b", "netG_A"), ("b2a", "netG_B")):
        assert close(CycleGANPredictor(path, direction).run(picture), by_net[name])
    config = tmp_path / "config.yaml"
    config.write_text(
        "total_iters: 1\noutput_dir: x\nmodel:\n  name: CycleGANModel\n  direction: b2a\n"
        "  generator: {name: ResnetGenerator, input_nc: 3, output_nc: 3, n_blocks: 1, ngf: 2}\n"
        "dataset:\n  train: {name: DigitsDataset}\n  test: {name: DigitsDataset}\n"
        "lr_scheduler: {name: MultiStepDecay, learning_rate: 0.1, milestones: [1]}\n"
        "optimizer: {name: Adam, net_names: [netG_A, netG_B]}\n",
        encoding="utf-8",
    )
    # Beside weights that were trained from B to A, the first generator makes A.
    for direction, name in ((None, "netG_A"), ("a2b", "netG_B"), ("b2a", "netG_A")):
        assert close(CycleGANPredictor(path, direction).run(picture), by_net[name])
    with pytest.raises(UserError, match="direction is 'up', expected 'a2b' or 'b2a'"):
        CycleGANPredictor(path, "up")


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    net, average = generator(RESNET), generator(RESNET)
    path = saved(tmp_path / "w.pdparams", netG=net, netG_ema=average)
    picture = photo(16, 16)
    assert close(Pix2PixPredictor(path).run(picture), translated(average, picture))


def _folder(folder: Path, *names: str) -> Path:
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(20, 24, seed=i)).save(path)
    return folder


@pytest.fixture
def predict(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple]:
    weights = saved(tmp_path / "w.pdparams", netG=generator(RESNET))

    def call(*arguments: Any) -> tuple[int, str, str]:
        capfd.readouterr()
        command = ["predict", "pix2pix", "--weights", weights, "--backend", "dynamic", *arguments]
        return (cli.main(list(map(str, command))), *capfd.readouterr())

    return call


def test_command_on_a_folder(predict: Callable[..., tuple], tmp_path: Path) -> None:
    source = _folder(tmp_path / "in", "a.png", "deep/er/b.jpg", "c.bmp", "c.png")
    (source / "notes.txt").write_text("no picture", encoding="utf-8")
    output = tmp_path / "out"
    code, out, err = predict("--input", source, "--output", output)
    assert (code, out) == (0, f"pictures: {output}\n")
    assert "left out: notes.txt (in folders, names of pictures end in .bmp, .jpeg, " in err
    assert "pictures: 4 written; ppzoo's layers (dynamic)" in err
    found = sorted(path.relative_to(output).as_posix() for path in output.rglob("*.*"))
    assert found == ["a.png", "c.bmp.png", "c.png", "deep/er/b.jpg"]
    predictor = Pix2PixPredictor(tmp_path / "w.pdparams")
    assert np.array_equal(read_image(output / "a.png"), predictor.run(source / "a.png"))
    # Going on after an interruption, without touching what is there.
    (output / "c.png").unlink()
    before = (output / "a.png").stat().st_mtime_ns
    _, _, err = predict("--input", source, "--output", output, "--skip-existing")
    assert "pictures: 1 written, 3 there already" in err
    assert (output / "a.png").stat().st_mtime_ns == before


def test_command_on_a_picture(predict: Callable[..., tuple], tmp_path: Path) -> None:
    source = _folder(tmp_path / "in", "a.png") / "a.png"
    assert predict("--input", source, "--output", tmp_path / "x.jpg")[0] == 0
    assert read_image(tmp_path / "x.jpg").shape == (20, 24, 3)
    code, out, _ = predict("--input", source, "--output", tmp_path / "new", "--compare")
    assert (code, out) == (0, f"picture: {tmp_path / 'new/a.png'}\n")
    both = read_image(tmp_path / "new/a.png")
    assert both.shape == (20, 48, 3)
    assert np.array_equal(both[:, :24], read_image(source))
    code, _, err = predict("--input", source, "--output", tmp_path / "x.bmp")
    assert (code, (tmp_path / "x.bmp").exists()) == (2, False)
    assert "x.bmp, but results are written as .png, .jpg, .jpeg only" in err


def test_damaged_pictures(predict: Callable[..., tuple], tmp_path: Path) -> None:
    source, output = _folder(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"
    (source / "a.png").write_bytes((source / "a.png").read_bytes()[:60])
    code, _, err = predict("--input", source, "--output", output)
    assert code == 2
    assert "a.png" in err.splitlines()[-1]
    assert "0 of 2 pictures are done, --on-error skip leaves such ones out" in err
    code, _, err = predict("--input", source / "a.png", "--output", output)
    assert (code, "--on-error" in err) == (2, False)
    code, _, err = predict("--input", source, "--output", output, "--on-error", "skip")
    assert code == 0
    assert "left out: " in err
    assert "pictures: 1 written, 1 left out" in err
    (source / "b.png").write_bytes(b"")
    code, _, err = predict("--input", source, "--output", output, "--on-error", "skip")
    assert (code, "none of 2 pictures can be used" in err) == (2, True)


def test_pictures_are_never_replaced(tmp_path: Path) -> None:
    source = _folder(tmp_path / "in", "a.png", "deep/b.png")
    for output in (source, tmp_path / "in" / "deep" / ".."):
        with pytest.raises(UserError, match=r"would replace the picture .*a\.png: choose another"):
            planned(source, output)
    with pytest.raises(UserError, match="would replace"):
        planned(source / "a.png", source)
    with pytest.raises(UserError, match="would replace"):
        planned(source / "a.png", source / "a.png")
    link = tmp_path / "link"
    link.symlink_to(source)
    with pytest.raises(UserError, match="would replace"):
        planned(source, link)
    # Results in a folder inside the input's are no input the next time.
    _folder(source / "out", "a.png")
    names = [p.relative_to(source).as_posix() for p, _ in planned(source, source / "out")]
    assert names == ["a.png", "deep/b.png"]
    with pytest.raises(DataError, match="no file or folder"):
        planned(tmp_path / "missing", tmp_path / "out")


def test_fastest_backend_is_searched_for_when_it_pays(
    unet: tuple[paddle.nn.Layer, Pix2PixPredictor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, predictor = unet
    searched: list[bool] = []

    def make_runner(net: Any, x: np.ndarray, backend: Any, **options: Any) -> Runner:
        assert options["multiple"] == 32
        searched.append(options["measured"])
        results = {"dynamic": {"seconds": 1.0}} if options["measured"] else {}
        return Runner(net, results=results)

    monkeypatch.setattr(image_to_image, "make_runner", make_runner)
    for _ in range(10):
        predictor.run(photo(8, 8))
    assert searched == [False, True]
    searched.clear()
    other = Pix2PixPredictor(tmp_path / "w.pdparams")
    other.run_folder(_folder(tmp_path / "in", *(f"{i}.png" for i in range(8))), tmp_path / "out")
    assert searched == [True]
    assert "dynamic 1000 ms" in other.describe()
