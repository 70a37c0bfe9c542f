# SPDX-License-Identifier: Apache-2.0
"""EDVR on films: which network, windows within scenes, batches, sizes, tiles, memory."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

import ppzoo.video.edvr  # noqa: F401  (registers the network)
from ppzoo import cli, registry
from ppzoo.apps import edvr
from ppzoo.apps.edvr import EDVRPredictor, fitting_tile, infer_edvr
from ppzoo.apps.tiles import count_tiles
from ppzoo.apps.windows import neighbours
from ppzoo.config import load_config
from ppzoo.errors import DataError, UserError, WeightsError
from ppzoo.media.image import read_image
from ppzoo.media.video import VideoReader, probe
from ppzoo.weights import write_pdparams

from ..media.video.clips import make_film, tone
from ..runs import SMOKE

TINY = {"name": "EDVRNet", "nf": 8, "groups": 2, "front_RBs": 1, "back_RBs": 1}
SHARPENER = {**TINY, "predeblur": True, "HR_in": True, "scale_factor": 1}


def network(spec=TINY):
    """A network whose alignment moves, which that of initial weights does not."""
    net = registry.build(registry.GENERATORS, spec)
    for name, parameter in net.named_parameters():
        if "conv_offset_mask" in name:
            parameter.set_value(paddle.randn(parameter.shape) * 0.05)
    net.eval()
    return net


def arrays_of(net):
    return {key: value.numpy() for key, value in net.state_dict().items()}


def saved(path, net=None):
    write_pdparams(path, {"generator": arrays_of(net or network())})
    return path


@pytest.fixture
def weights(tmp_path):
    return saved(tmp_path / "edvr.pdparams")


def predictor(weights, net=None, **options):
    options = {"backend": "dynamic", "progress": False, "frames": False, **options}
    made = EDVRPredictor(weights.parent / "output", weights, **options)
    if net is not None:
        made.generator = net
    return made


class Mixer(nn.Layer):
    """Takes and gives what EDVR does, and is a thousand times as fast."""

    scale, size_multiple, nframes = 4, 4, 5

    def forward(self, x):
        assert not any(side % 4 for side in x.shape[3:])
        weights = paddle.to_tensor([0.1, 0.25, 0.4, 0.2, 0.05]).reshape([1, 5, 1, 1, 1])
        mixed = F.avg_pool2d((x * weights).sum(1), 3, 1, 1, exclusive=False)
        return F.interpolate(mixed, scale_factor=4, mode="bilinear")


def scene(seed, count, size=(16, 24)):
    """A pattern that moves by a pixel a frame."""
    random = np.random.default_rng(seed)
    shape = size[0] // 4 + 1, (size[1] + count) // 4 + 1, 3
    coarse = random.integers(0, 256, shape, dtype=np.uint8)
    wide = np.kron(coarse, np.ones((4, 4, 1), np.uint8))
    return [wide[: size[0], i : i + size[1]] for i in range(count)]


def expected(net, frames, bs=1):
    """What the network makes of a clip of one scene, without the predictor."""
    around = [[frames[j] for j in neighbours(i, len(frames), 5)] for i in range(len(frames))]
    x = np.array(around, np.float32).transpose(0, 1, 4, 2, 3) / np.float32(255)
    with paddle.no_grad():
        y = [net(paddle.to_tensor(x[i : i + bs])).numpy() for i in range(0, len(x), bs)]
    return np.rint(np.concatenate(y) * 255).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


class TestWhichNetwork:
    @pytest.mark.parametrize(
        "spec",
        [
            TINY,
            {**TINY, "w_TSA": False, "nframes": 7},
            {**TINY, "predeblur": True, "back_RBs": 3},
            {**SHARPENER, "front_RBs": 2, "groups": 4},
        ],
    )
    def test_it_is_recognised_by_its_weights(self, spec):
        arrays = arrays_of(network(spec))
        found = infer_edvr(arrays)
        assert {key: found[key] for key in spec} == spec
        built = registry.build(registry.GENERATORS, found)
        assert {k: v.shape for k, v in arrays_of(built).items()} == {
            k: v.shape for k, v in arrays.items()
        }

    def test_official_large_network(self):
        net = registry.build(
            registry.GENERATORS, {"name": "EDVRNet", "nf": 128, "back_RBs": 40, "groups": 8}
        )
        found = infer_edvr(net.state_dict())
        assert (found["nf"], found["back_RBs"], found["front_RBs"]) == (128, 40, 5)
        assert (found["groups"], found["nframes"], found["scale_factor"]) == (8, 5, 4)

    def test_other_weights_are_refused(self, tmp_path):
        write_pdparams(tmp_path / "a.pdparams", {"conv.weight": np.zeros((3, 3), np.float32)})
        with pytest.raises(WeightsError, match=r"a\.pdparams holds no weights of EDVR"):
            predictor(tmp_path / "a.pdparams")

    def test_the_config_of_a_run_folder_decides(self, tmp_path):
        config = load_config(SMOKE / "edvr.yaml", ["model.generator.center=1"])
        (tmp_path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
        weights = saved(tmp_path / "iter_4_checkpoint.pdparams")
        assert predictor(weights).generator.center == 1

    def test_the_config_of_another_model_is_refused(self, weights):
        with pytest.raises(WeightsError, match="describes UnetGenerator, expected EDVRNet"):
            predictor(weights, config=SMOKE / "pix2pix.yaml")

    def test_options_are_checked(self, weights):
        with pytest.raises(UserError, match="bs is 0"):
            predictor(weights, bs=0)
        with pytest.raises(UserError, match="tile is 64 and overlap 32"):
            predictor(weights, tile=64, overlap=32)
        with pytest.raises(UserError, match="tile is 16 and overlap 8"):
            predictor(weights, tile=16)
        with pytest.raises(UserError, match="backend is 'magic'"):
            predictor(weights, backend="magic")


class TestStream:
    def test_the_network_itself(self, weights):
        made = predictor(weights)
        frames = scene(0, 3)
        result = list(made.stream(iter(frames)))
        np.testing.assert_array_equal(result, expected(made.generator, frames))

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 11])
    def test_each_frame_is_made_of_its_neighbours(self, weights, count):
        made = predictor(weights, Mixer())
        frames = scene(0, count)
        result = list(made.stream(iter(frames)))
        np.testing.assert_array_equal(result, expected(made.generator, frames))
        assert (made.cuts, made.remarks) == ([], [])

    @pytest.mark.parametrize("bs", [2, 3, 8])
    def test_batches_with_a_short_last_one(self, weights, bs):
        made = predictor(weights, Mixer(), bs=bs)
        frames = scene(0, 7)
        sizes = []
        made.generator.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
        result = list(made.stream(iter(frames)))
        assert sizes == [bs] * (7 // bs) + [7 % bs] * bool(7 % bs)
        np.testing.assert_array_equal(result, expected(made.generator, frames, bs))
        difference = np.abs(np.int16(result) - np.int16(expected(made.generator, frames)))
        assert difference.max() <= 1

    @pytest.mark.parametrize("lengths", [(6, 7), (1, 6), (5, 2, 3)])
    @pytest.mark.parametrize("bs", [1, 2])
    def test_scenes_are_as_if_they_were_films_of_their_own(self, weights, lengths, bs):
        made = predictor(weights, Mixer(), bs=bs)
        scenes = [scene(seed, length, (32, 48)) for seed, length in enumerate(lengths)]
        # Of different brightness, as scenes of a film are.
        scenes = [[f // 2 + 60 * i for f in frames] for i, frames in enumerate(scenes)]
        together = list(made.stream(itertools.chain(*scenes)))
        assert made.cuts == list(np.cumsum(lengths)[:-1])
        apart = [frame for frames in scenes for frame in made.stream(iter(frames))]
        assert made.cuts == []
        np.testing.assert_array_equal(together, apart)

    def test_without_looking_for_scenes_they_bleed(self, weights):
        scenes = [scene(0, 6, (32, 48)), [255 - frame for frame in scene(1, 6, (32, 48))]]
        watchful, careless = (
            predictor(weights, Mixer()),
            predictor(weights, Mixer(), find_cuts=False),
        )
        film = scenes[0] + scenes[1]
        apart = np.array(list(watchful.stream(iter(film))))
        mixed = np.array(list(careless.stream(iter(film))))
        assert (watchful.cuts, careless.cuts) == ([6], [])
        changed = [i for i in range(12) if not np.array_equal(apart[i], mixed[i])]
        assert changed == [4, 5, 6, 7]

    @pytest.mark.parametrize("size", [(16, 24), (17, 23), (4, 5), (1, 30)])
    def test_any_size(self, weights, size):
        made = predictor(weights, Mixer())
        frames = scene(0, 6, size)
        result = np.array(list(made.stream(iter(frames))))
        assert result.shape == (6, 4 * size[0], 4 * size[1], 3)
        height, width = (-(-side // 4) * 4 for side in size)
        around = [(0, height - size[0]), (0, width - size[1]), (0, 0)]
        padded = [np.pad(frame, around, mode="symmetric") for frame in frames]
        whole = expected(made.generator, padded)
        np.testing.assert_array_equal(result, whole[:, : 4 * size[0], : 4 * size[1]])

    def test_a_network_that_sharpens(self, tmp_path):
        weights = saved(tmp_path / "edvr.pdparams", network(SHARPENER))
        made = predictor(weights)
        assert made.scale == 1
        frames = scene(0, 5, (32, 48))
        np.testing.assert_array_equal(
            list(made.stream(iter(frames))), expected(made.generator, frames)
        )
        odd = [frame[:31, :41] for frame in frames]
        assert np.array(list(made.stream(iter(odd)))).shape == (5, 31, 41, 3)

    def test_tiles_of_large_frames(self, weights):
        frames = scene(0, 5, (72, 120))
        whole = np.array(list(predictor(weights, Mixer()).stream(iter(frames))), np.int16)
        made = predictor(weights, Mixer(), tile=64, overlap=24)
        shapes = set()
        made.generator.register_forward_pre_hook(
            lambda _, inputs: shapes.add(tuple(inputs[0].shape))
        )
        tiled = np.array(list(made.stream(iter(frames))), np.int16)
        assert shapes == {(1, 5, 3, 64, 64)}
        assert np.abs(whole - tiled).max() <= 1

    def test_small_tiles_overlap_less(self, weights):
        overlaps = {tile: predictor(weights, tile=tile).overlap for tile in (192, 96, 95, 64, 32)}
        assert overlaps == {192: 32, 96: 32, 95: 15, 64: 10, 32: 8}

    def test_tiles_are_no_larger_than_needed(self):
        assert fitting_tile((100, 100), 192, 32) == 192
        assert fitting_tile((90, 400), 192, 32) == 400
        assert fitting_tile((256, 256), 192, 32) == 160
        assert fitting_tile((270, 480), 192, 32) == 168
        assert fitting_tile((180, 320), 192, 32) == 192
        for side in range(193, 900, 7):
            tile = fitting_tile((side, side), 192, 32)
            assert tile <= 192
            assert count_tiles((side, side), tile, 32) == count_tiles((side, side), 192, 32)

    def test_a_long_frame_is_not_taken_apart(self, weights):
        made = predictor(weights, Mixer(), tile=80, overlap=8)
        shapes = set()
        made.generator.register_forward_pre_hook(
            lambda _, inputs: shapes.add(tuple(inputs[0].shape))
        )
        list(made.stream(iter(scene(0, 3, (40, 160)))))
        assert shapes == {(1, 5, 3, 40, 160)}

    def test_frames_are_read_only_as_far_as_needed(self, weights):
        made, read = predictor(weights, Mixer()), 0

        def film():
            nonlocal read
            for frame in scene(0, 40):
                read += 1
                yield frame

        for given, _ in enumerate(made.stream(film())):
            # Two for the window, two for flashes, and what the first windows take at once.
            assert read <= given + 12
        assert read == 40


class TestMemory:
    def limited(self, made, most):
        """Let the network run out of memory above a number of values."""
        seen = []
        net = type(made.generator)
        forward = net.forward

        def scarce(layer, x):
            if x.size > most:
                raise RuntimeError("ResourceExhaustedError: Out of memory error")
            seen.append(tuple(x.shape))
            return forward(layer, x)

        made.generator.forward = scarce.__get__(made.generator)
        return seen

    def test_the_batch_is_halved(self, weights, caplog):
        frames = scene(0, 9)
        right = expected(predictor(weights, Mixer()).generator, frames)
        made = predictor(weights, Mixer(), bs=8)
        seen = self.limited(made, 3 * 5 * 3 * 16 * 24)
        with caplog.at_level(logging.WARNING):
            result = list(made.stream(iter(frames)))
        assert {shape[0] for shape in seen} == {1, 2}
        assert np.abs(np.int16(result) - np.int16(right)).max() <= 1
        assert made.remarks == ["memory sufficed for 2 windows at once, not 8"]
        assert len(caplog.records) == 2

    def test_then_the_tile_and_it_stays_small(self, weights):
        frames = scene(0, 5, (96, 144))
        right = np.array(list(predictor(weights, Mixer()).stream(iter(frames))), np.int16)
        made = predictor(weights, Mixer(), bs=2, tile=256, overlap=16)
        seen = self.limited(made, 5 * 3 * 80 * 80)
        tried = []
        made.generator.register_forward_pre_hook(lambda _, inputs: tried.append(inputs[0].shape))
        result = np.array(list(made.stream(iter(frames))), np.int16)
        assert np.abs(result - right).max() <= 1
        # The rest of the film has smaller overlaps, and hence smaller tiles.
        assert seen == [(1, 5, 3, 72, 72)] * 12 + [(1, 5, 3, 64, 64)] * 18
        assert len(tried) - len(seen) == 2
        assert made.remarks == [
            "memory sufficed for 1 windows at once, not 2",
            "memory sufficed for tiles of 72 pixels only",
        ]

    def test_other_errors_are_not_taken_for_it(self, weights):
        made = predictor(weights, Mixer(), bs=2)

        def broken(layer, x):
            raise RuntimeError("wrong shape")

        made.generator.forward = broken.__get__(made.generator)
        with pytest.raises(RuntimeError, match="wrong shape"):
            list(made.stream(iter(scene(0, 3))))


class TestRun:
    def test_film_and_frames_are_where_paddlegan_puts_them(self, tmp_path, weights):
        film = tmp_path / "old.film.mp4"
        make_film(film, pictures=scene(0, 6), fps=25, sound=(tone(0.24), 0))
        made = EDVRPredictor(tmp_path / "out", weights, backend="dynamic", progress=False)
        pattern, path = made.run(str(film))
        assert path == str(tmp_path / "out/EDVR/old_edvr_out.mp4")
        assert pattern == str(tmp_path / "out/EDVR/old/frames_pred/%08d.png")
        info = probe(path)
        assert (info.width, info.height, info.fps, info.frame_count) == (96, 64, 25, 6)
        assert info.has_audio
        with VideoReader(film) as reader:
            right = expected(made.generator, list(reader))
        for index, frame in enumerate(right):
            np.testing.assert_array_equal(read_image(pattern % index), frame)
        assert not (tmp_path / "out/EDVR/old/frames_pred/00000006.png").exists()

    def test_without_frames(self, tmp_path, weights):
        make_film(tmp_path / "old.mp4", pictures=scene(0, 3))
        pattern, path = predictor(weights).run(tmp_path / "old.mp4")
        assert pattern is None
        assert [p.name for p in (tmp_path / "output/EDVR").iterdir()] == ["old_edvr_out.mp4"]
        assert probe(path).frame_count == 3

    def test_no_film(self, tmp_path, weights):
        with pytest.raises(DataError, match=r"there is no video file .*gone\.mp4"):
            predictor(weights).run(tmp_path / "gone.mp4")
        assert not (tmp_path / "output").exists()

    def test_command_line(self, tmp_path, weights, capsys):
        make_film(tmp_path / "old.mp4", pictures=scene(0, 10), fps=5)
        arguments = ["--input", tmp_path / "old.mp4", "--output", tmp_path / "new"]
        arguments += ["--weights", weights, "--seconds", "1", "--bs", "2", "--backend", "dynamic"]
        arguments += ["--frames", tmp_path / "frames"]
        assert cli.main(["predict", "edvr", *map(str, arguments)]) == 0
        said = capsys.readouterr()
        assert said.out.splitlines() == [
            f"film: {tmp_path / 'new/old_edvr.mp4'}",
            f"frames: {tmp_path / 'frames/%08d.png'}",
        ]
        assert "24 x 16 became 96 x 64 pixels; 5 frames at 5 a second" in said.err
        assert probe(tmp_path / "new/old_edvr.mp4").frame_count == 5

    def test_mistakes_on_the_command_line_come_before_weights(self, tmp_path, capsys):
        make_film(tmp_path / "old.mp4", count=2)
        for source, target, seconds, message in (
            ("gone.mp4", "new.mp4", "1", "there is no video file"),
            ("old.mp4", "old.mp4", "1", "would replace the film"),
            ("old.mp4", "new.png", "1", "end its name in .mp4"),
            ("old.mp4", "new.mp4", "inf", "seconds is inf"),
        ):
            arguments = ["--input", tmp_path / source, "--output", tmp_path / target]
            arguments += ["--seconds", seconds]
            arguments += ["--weights", tmp_path / "missing.pdparams"]
            assert cli.main(["predict", "edvr", *map(str, arguments)]) == 2
            assert message in capsys.readouterr().err


def test_the_fastest_backend_is_looked_for_only_if_the_film_is_worth_it(weights, monkeypatch):
    asked = []

    def make(net, example, backend, *, measured, multiple):
        asked.append((example.shape, backend, measured, multiple))
        return edvr.Runner(net)

    monkeypatch.setattr(edvr, "make_runner", make)
    list(predictor(weights, Mixer(), backend=None).stream(iter(scene(0, 4))))
    list(predictor(weights, Mixer(), backend=None, bs=2).stream(iter(scene(0, 9))))
    once = predictor(weights, Mixer(), backend=None)
    for count in (3, 9, 9):
        list(once.stream(iter(scene(0, count))))
    short, long = (((n, 5, 3, 16, 24), None, n == 2, 4) for n in (1, 2))
    assert asked[:2] == [short, long]
    assert [measured for *_, measured, _ in asked[2:]] == [False, True]
