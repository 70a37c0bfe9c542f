# SPDX-License-Identifier: Apache-2.0
"""Enlarging pictures: any kind, by the network that the weights belong to, within memory."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap

import numpy as np
import paddle
import pytest
from PIL import Image, ImageCms

from ppzoo import cli, registry
from ppzoo.apps import super_resolution
from ppzoo.apps.esrgan import ESRGANPredictor
from ppzoo.apps.inference import Runner
from ppzoo.apps.rcan import RCANPredictor
from ppzoo.apps.realsr import RealSRPredictor
from ppzoo.apps.srgan import SRGANPredictor
from ppzoo.apps.super_resolution import infer_network
from ppzoo.errors import DataError, UserError, WeightsError
from ppzoo.media.bicubic import resize_bicubic
from ppzoo.media.picture import as_picture, read_picture
from ppzoo.weights import manifest, write_pdparams

RRDB = {"name": "RRDBNet", "in_nc": 3, "out_nc": 3, "nf": 8, "nb": 1, "gc": 4}
RCAN = {"name": "RCAN", "scale": 2, "n_resgroups": 2, "n_resblocks": 1, "n_feats": 8}
RCAN |= {"reduction": 4}
SRRESNET = {"name": "SRResNet", "nf": 4, "nb": 1}
PREDICTORS = {"RRDBNet": ESRGANPredictor, "RCAN": RCANPredictor, "SRResNet": SRGANPredictor}
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))


def network(spec, seed=0):
    paddle.seed(seed)
    net = registry.build(registry.GENERATORS, spec)
    net.eval()
    return net


def saved(path, net):
    write_pdparams(path, {"generator": {k: v.numpy() for k, v in net.state_dict().items()}})
    return path


def bilinear():
    """Return a network that enlarges fourfold, about as bilinear enlargement does."""
    net = network(RRDB)
    net.start_as_bilinear()
    return net


@pytest.fixture
def weights(tmp_path):
    return saved(tmp_path / "w.pdparams", bilinear())


def noise(*shape, dtype="uint8", seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, shape, dtype, endpoint=True)


def smooth(height, width, channels=3, dtype="uint8"):
    """Return slopes, whose bilinear enlargement is known away from the borders."""
    top = np.iinfo(dtype).max
    y, x = np.mgrid[:height, :width]
    planes = [(x + 2 * y) * top / (width + 2 * height) / (1 + i) for i in range(channels)]
    return np.stack(planes, axis=2).astype(dtype)


def expected(net, picture, white=1.0):
    x = picture.astype("float32").transpose(2, 0, 1)[np.newaxis] / 255 * white
    with paddle.no_grad():
        y = net(paddle.to_tensor(x)).numpy()[0].transpose(1, 2, 0)
    return np.rint(y / white * 255).clip(0, 255).astype(np.uint8)


def off(first, second):
    assert first.shape == second.shape
    return np.abs(first.astype(int) - second.astype(int)).max()


@pytest.mark.parametrize(
    "spec",
    [
        RRDB | {"scale": 4},
        RRDB | {"scale": 2, "nb": 2, "gc": 6},
        RRDB | {"scale": 1, "in_nc": 1, "out_nc": 1},
        RCAN | {"rgb_range": 255.0, "kernel_size": 3},
        RCAN | {"rgb_range": 1.0, "kernel_size": 5, "scale": 3, "n_resblocks": 3},
        RCAN | {"rgb_range": 255.0, "kernel_size": 3, "scale": 8, "reduction": 2},
        SRRESNET | {"in_nc": 3, "out_nc": 3, "scale": 4, "norm_type": "batch"},
        SRRESNET | {"in_nc": 3, "out_nc": 3, "scale": 2, "norm_type": "none", "nb": 3},
    ],
)
def test_the_network_is_recognised_by_its_weights(spec):
    arrays = {key: value.numpy() for key, value in network(spec).state_dict().items()}
    assert infer_network(arrays) == spec


def test_weights_of_something_else_are_refused(tmp_path, weights):
    with pytest.raises(WeightsError, match="no network that enlarges pictures"):
        infer_network({"fc.weight": np.zeros((2, 2))})
    with pytest.raises(WeightsError, match="belongs to RRDBNet, `ppzoo predict rcan` takes RCAN"):
        RCANPredictor(tmp_path, weights)
    with pytest.raises(WeightsError, match="there are no official weights of RCAN: name yours"):
        RCANPredictor(tmp_path)


@pytest.mark.parametrize("spec", [RRDB, RRDB | {"scale": 2}, RCAN, SRRESNET, RRDB | {"scale": 1}])
def test_results_are_those_of_the_network(tmp_path, spec):
    net, picture = network(spec), noise(18, 24, 3)
    predictor = PREDICTORS[spec["name"]](tmp_path, saved(tmp_path / "w.pdparams", net))
    white = 255.0 if spec["name"] == "RCAN" else 1.0
    multiple = getattr(net, "size_multiple", 1)
    mirrored = np.pad(picture, ((0, -18 % multiple), (0, 0), (0, 0)), mode="symmetric")
    wanted = expected(net, mirrored, white)[: 18 * net.scale]
    assert off(predictor.upscale(picture), wanted) <= 1
    assert off(np.asarray(predictor.run_image(picture)), wanted) <= 1
    assert predictor.describe().startswith("ppzoo's layers (dynamic")


@pytest.mark.parametrize("scale", [4, 2])
def test_tiles_are_as_good_as_the_whole(tmp_path, scale):
    net, picture = network(RRDB | {"scale": scale}), noise(90, 71, 3)
    for parameter in net.parameters():
        if parameter.ndim == 4:
            parameter.set_value(parameter * 3)  # so that neighbours count
    path = saved(tmp_path / "w.pdparams", net)
    tiled = ESRGANPredictor(tmp_path, path, tile=48, overlap=16).upscale(picture)
    whole = ESRGANPredictor(tmp_path, path, tile=128).upscale(picture)
    assert off(tiled, whole) <= 1
    seams = ESRGANPredictor(tmp_path, path, tile=48, overlap=0).upscale(picture)
    assert off(seams, whole) > 1


def test_the_configs_range_and_options_count(tmp_path):
    net, picture = network(RRDB), noise(16, 16, 3)
    path = saved(tmp_path / "w.pdparams", net)
    (tmp_path / "config.yaml").write_text(
        "total_iters: 1\noutput_dir: o\nmin_max: [0., 255.]\n"
        "model: {name: BaseSRModel, generator: {name: RRDBNet, in_nc: 3, out_nc: 3, nf: 8, nb: 1, "
        "gc: 4}}\n"
        "dataset: {train: {name: EmbeddedSRDataset, mode: train}}\n"
        "optimizer: {optim: {name: Adam, net_names: [generator]}}\n"
        "lr_scheduler: {name: MultiStepDecay, learning_rate: 0.1, milestones: [1], gamma: 0.1}\n"
    )
    predictor = ESRGANPredictor(tmp_path, path)
    assert off(predictor.upscale(picture), expected(net, picture, 255.0)) <= 1


def test_run_writes_where_paddlegan_does(tmp_path, weights):
    predictor = RealSRPredictor(str(tmp_path / "output"), str(weights))
    Image.fromarray(smooth(20, 30)).save(tmp_path / "old.photo.png")
    image, path = predictor.run(str(tmp_path / "old.photo.png"))
    assert path == str(tmp_path / "output/RealSR/old.png")
    assert (image.mode, image.size) == ("RGB", (120, 80))
    np.testing.assert_array_equal(image, Image.open(path))
    for given in (smooth(20, 30), Image.fromarray(smooth(20, 30))):
        again, path = predictor.run(given)
        assert path == str(tmp_path / "output/RealSR/result.png")
        np.testing.assert_array_equal(again, image)
    # What is enlarged is in its place: half a pixel of the small one is two of the large one.
    inner = np.asarray(image).astype(int)[8:-8, 8:-8]
    bicubic = resize_bicubic(smooth(20, 30), 4)[8:-8, 8:-8]
    assert np.abs(inner - bicubic).max() <= 2


def test_large_results_are_not_decoded_before_they_are_used(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30 * 30)
    image, _ = RealSRPredictor(tmp_path, weights).run(smooth(20, 30))
    assert Image.MAX_IMAGE_PIXELS == 900
    assert image.fp is not None
    assert np.asarray(image).shape == (80, 120, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3])
def test_grey_stays_grey_and_sixteen_bits_stay_sixteen(tmp_path, weights, channels, dtype, suffix):
    picture = smooth(20, 30, channels, dtype)
    target = tmp_path / f"result{suffix}"
    predictor = ESRGANPredictor(tmp_path, weights)
    predictor._write(as_picture(picture), target, "")
    result = read_picture(target).samples
    assert (result.dtype, result.shape) == (np.dtype(dtype), (80, 120, channels))
    inner, wanted = result[8:-8, 8:-8], resize_bicubic(picture, 4)[8:-8, 8:-8]
    # Of 16 bits, more is right than 8 could hold: steps of a level are 257.
    assert off(inner, wanted) <= (2 if dtype == "uint8" else 40)


def test_transparency_is_enlarged_bicubically(tmp_path, weights):
    picture = np.concatenate([smooth(30, 40), noise(30, 40, 1, seed=1)], axis=2)
    predictor = ESRGANPredictor(tmp_path, weights, tile=24, overlap=8)
    image = np.asarray(predictor.run_image(picture))
    assert image.shape == (120, 160, 4)
    np.testing.assert_array_equal(image[..., 3], resize_bicubic(picture[..., 3], 4))


def test_hidden_colours_do_not_shine_through(tmp_path, weights):
    picture = np.zeros((20, 20, 4), np.uint8)
    picture[:, 10:] = (200, 100, 50, 255)
    image = np.asarray(ESRGANPredictor(tmp_path, weights).run_image(picture))[8:-8, 8:-8]
    visible = image[image[..., 3] > 0][:, :3].astype(int)
    assert np.abs(visible - (200, 100, 50)).max() <= 1


def test_what_the_file_says_is_kept(tmp_path, weights):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    photo = Image.fromarray(smooth(20, 30))
    photo.save(tmp_path / "a.jpg", exif=exif, icc_profile=PROFILE, dpi=(300, 300), quality=100)
    _, path = RealSRPredictor(tmp_path, weights).run(tmp_path / "a.jpg")
    result = read_picture(path)
    assert result.size == (120, 80)
    assert result.extras.icc_profile == PROFILE
    assert result.extras.dpi == pytest.approx((300, 300), abs=0.01)
    tags = Image.open(path).getexif()
    assert tags[0x010F] == "Camera"
    assert tags.get(0x0112, 1) == 1


def test_networks_for_grey_take_colours_one_by_one(tmp_path):
    net = network(RRDB | {"in_nc": 1, "out_nc": 1})
    predictor = ESRGANPredictor(tmp_path, saved(tmp_path / "w.pdparams", net))
    picture = noise(12, 10, 3)
    wanted = np.concatenate([expected(net, picture[..., [i]]) for i in range(3)], axis=2)
    assert off(predictor.upscale(picture), wanted) <= 1
    grey = np.asarray(predictor.run_image(picture[..., 0]))
    assert off(grey[..., np.newaxis], wanted[..., :1]) <= 1


def test_values_that_are_no_numbers_are_refused(tmp_path):
    net = network(RRDB)
    net.conv_last.bias.set_value(np.array([0.0, np.nan, 0.0], "float32"))
    path = saved(tmp_path / "diverged.pdparams", net)
    with pytest.raises(WeightsError, match=r"diverged\.pdparams makes values that are no numbers"):
        ESRGANPredictor(tmp_path, path).run(noise(8, 8, 3))
    assert [entry.name for entry in tmp_path.iterdir() if entry.is_file()] == [path.name]


def test_films_frame_by_frame(tmp_path, weights):
    from ppzoo.media.video import VideoReader, VideoWriter

    with VideoWriter(tmp_path / "old.mp4", 25) as film:
        for level in (40, 90, 140):
            film.write(np.full((16, 24, 3), level, np.uint8))
    predictor = RealSRPredictor(tmp_path / "out", weights, progress=False)
    pattern, path = predictor.run(str(tmp_path / "old.mp4"))
    assert path == str(tmp_path / "out/RealSR/old/old_realsr_out.mp4")
    assert pattern == str(tmp_path / "out/RealSR/old/frames_pred/%08d.png")
    with VideoReader(path) as film:
        frames = list(film)
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 3
    centres = [int(frame[32, 48].mean()) for frame in frames]
    assert np.abs(np.array(centres) - (40, 90, 140)).max() <= 4
    assert Image.open(pattern % 1).size == (96, 64)


def test_damaged_files_are_called_by_what_their_names_say(tmp_path, weights):
    predictor = ESRGANPredictor(tmp_path / "out", weights, backend="dynamic")
    for name, message in (("a.jpg", "is not an image file"), ("a.mp4", "is not a video file")):
        (tmp_path / name).write_bytes(b"neither of them")
        with pytest.raises(DataError, match=message):
            predictor.run(tmp_path / name)


def test_a_result_never_replaces_its_picture(tmp_path, weights):
    (tmp_path / "RealSR").mkdir()
    path = tmp_path / "RealSR/a.png"
    Image.fromarray(smooth(9, 9)).save(path)
    with pytest.raises(UserError, match="would replace the picture"):
        RealSRPredictor(tmp_path, weights).run(path)
    assert Image.open(path).size == (9, 9)


def test_what_a_format_cannot_hold_is_said_before_the_network_runs(tmp_path, weights, monkeypatch):
    monkeypatch.setattr(Runner, "__call__", lambda *a: pytest.fail("the network ran"))
    Image.fromarray(noise(9, 9, 4)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="JPEG has no transparency"):
        ESRGANPredictor(tmp_path, weights).run_folder(tmp_path / "a.png", tmp_path / "b.jpg")
    assert not (tmp_path / "b.jpg").exists()


def test_folders(tmp_path, weights):
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    Image.fromarray(smooth(9, 9)).save(source / "a.jpg")
    Image.fromarray(smooth(9, 9)).save(source / "a.png")
    Image.fromarray(smooth(9, 9)).save(source / "deep/b.bmp")
    (source / "broken.png").write_bytes(b"no picture")
    predictor = ESRGANPredictor(tmp_path, weights)
    with pytest.raises(DataError, match=r"broken\.png is not an image.*; 2 of 4 pictures are done"):
        predictor.run_folder(source, tmp_path / "out")
    done = predictor.run_folder(
        source, tmp_path / "out", suffix=".webp", on_error="skip", skip_existing=True
    )
    names = sorted(str(path.relative_to(tmp_path / "out")) for path in done.written)
    assert names == ["a.jpg.webp", "a.png.webp", "deep/b.webp"]
    assert len(done.problems) == 1
    again = predictor.run_folder(
        source, tmp_path / "out", suffix=".webp", on_error="skip", skip_existing=True
    )
    assert (again.written, len(again.existing)) == ([], 3)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/c.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of 1 pictures can be used"):
        predictor.run_folder(tmp_path / "bad", tmp_path / "out", on_error="skip")


def test_backends_are_measured_when_there_are_many_tiles(tmp_path, weights, monkeypatch):
    asked = []

    def make(net, example, backend, *, measured, multiple):
        asked.append((example.shape, measured, multiple))
        return Runner(net)

    monkeypatch.setattr(super_resolution, "make_runner", make)
    predictor = ESRGANPredictor(tmp_path, weights, tile=16, overlap=2)
    predictor.upscale(noise(16, 16, 3))
    predictor.upscale(noise(16, 100, 3))
    predictor.upscale(noise(50, 40, 3))
    predictor.upscale(noise(50, 40, 3))
    assert asked == [((1, 3, 16, 16), False, 1), ((1, 3, 16, 16), True, 1)]


def test_tiles_are_halved_once_where_memory_does_not_suffice(
    tmp_path, weights, monkeypatch, caplog
):
    predictor = ESRGANPredictor(tmp_path, weights, tile=64, overlap=8)
    picture = noise(70, 60, 3)
    whole = ESRGANPredictor(tmp_path, weights, tile=80, overlap=8).upscale(picture)
    run, sides = Runner.__call__, []

    def limited(self, x):
        sides.append(max(x.shape[2:]))
        if max(x.shape[2:]) > 40:
            raise MemoryError
        return run(self, x)

    monkeypatch.setattr(Runner, "__call__", limited)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert off(predictor.upscale(picture), whole) <= 1
    assert len(caplog.records) == 1
    assert sides.count(64) == 1
    assert predictor.describe().endswith("tiles of 32 pixels")


def test_options_out_of_range_are_said(tmp_path, weights):
    with pytest.raises(UserError, match="tile is 24 and overlap 12"):
        ESRGANPredictor(tmp_path, weights, tile=24)
    with pytest.raises(UserError, match="backend is 'fast'"):
        ESRGANPredictor(tmp_path, weights, backend="fast")


def test_official_weights_go_by_their_names(tmp_path, monkeypatch, weights):
    asked = []

    def find(name, path=None):
        asked.append((name, path))
        return weights

    monkeypatch.setattr(super_resolution, "find_weights", find)
    for given in (None, "realsr_dped", weights):
        RealSRPredictor(tmp_path, given)
    assert asked == [("realsr", None), ("realsr_dped", None), ("realsr", weights)]
    for predictor in (ESRGANPredictor, RealSRPredictor):
        assert set(predictor.official) <= set(manifest.OFFICIAL)


def test_the_command_line_sends_films_where_they_belong(tmp_path, weights, capsys):
    film = tmp_path / "film.mp4"
    film.write_bytes(b"no picture")
    command = ["predict", "esrgan", "--weights", str(weights), "--input", str(film)]
    assert cli.main([*command, "--output", str(tmp_path / "out")]) == 2
    assert "film.mp4 is no picture; films are for: ppzoo predict restore" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_command_line(tmp_path, weights, capsys):
    Image.fromarray(smooth(20, 30)).save(tmp_path / "a.png")
    command = ["predict", "esrgan", "--weights", str(weights), "--input", str(tmp_path / "a.png")]
    assert cli.main([*command, "--output", str(tmp_path / "out"), "--tile", "32"]) == 0
    output = capsys.readouterr()
    assert output.out == f"picture: {tmp_path / 'out/a.png'}\n"
    assert "pictures: 1 written; ppzoo's layers (dynamic" in output.err
    assert "tiles of 32 pixels" in output.err
    assert Image.open(tmp_path / "out/a.png").size == (120, 80)
    target = tmp_path / "large.tif"
    assert cli.main([*command, "--output", str(target)]) == 0
    assert Image.open(target).size == (120, 80)
    assert cli.main([*command, "--output", str(tmp_path / "a.png")]) == 2
    assert "would replace the picture" in capsys.readouterr().err


def peak(tmp_path, weights, height, width):
    """Return the most memory in bytes that a process enlarging a picture of a size has taken."""
    Image.fromarray(smooth(height, width)).save(tmp_path / "photo.jpg")
    code = f"""
        import pathlib, resource, sys
        from ppzoo.apps.esrgan import ESRGANPredictor

        predictor = ESRGANPredictor(weight_path={str(weights)!r})
        # In place of the network, whose memory the tile bounds, what takes no time.
        predictor._runner_for = lambda x: lambda x: x.repeat(4, axis=2).repeat(4, axis=3)
        predictor.run_folder({str(tmp_path / "photo.jpg")!r}, {str(tmp_path / "large.png")!r})
        if sys.platform == "linux":  # where the other figure is no less than the parent's
            status = pathlib.Path("/proc/self/status").read_text()
            print(int(status.split("VmHWM:")[1].split()[0]) * 1024)
        else:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    return int(output.stdout)


def test_memory_is_bounded_by_the_tile(tmp_path, weights):
    small, large = peak(tmp_path, weights, 160, 1600), peak(tmp_path, weights, 800, 1600)
    # The picture itself is in memory, and was decoded; its result, 49 MB more, never is.
    assert large - small < 16e6
    assert Image.open(tmp_path / "large.png").size == (6400, 3200)
