# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's tools beside models, as far as ppzoo's own tests do not show them."""

from __future__ import annotations

import hashlib
import io
import logging

import numpy as np
import paddle
import pytest
from paddle import nn
from scipy.io import wavfile

from ppgan.faceutils import image as face_image
from ppgan.faceutils import mask
from ppgan.faceutils.face_segmentation import FaceSeg
from ppgan.faceutils.mask.face_parser import FaceParser
from ppgan.modules import init
from ppgan.utils import audio, download, filesystem, video, visual
from ppgan.utils.audio_config import get_audio_config
from ppgan.utils.config import AttrDict
from ppgan.utils.logger import get_logger, setup_logger
from ppgan.utils.timer import TimeAverager
from ppzoo.errors import DataError
from ppzoo.faces import parsing
from ppzoo.media.image import read_image, write_image
from ppzoo.media.video import probe
from ppzoo.weights import manifest, write_pdparams

from ..media.video.clips import make_film


class TestInit:
    def drawn(self, function, shape=(200, 100, 3, 3), **options):
        paddle.seed(0)
        x = paddle.create_parameter(list(shape), "float32")
        assert function(x, **options) is x
        return x.numpy()

    def test_plain(self):
        assert (self.drawn(init.constant_, value=2.5) == 2.5).all()
        normal = self.drawn(init.normal_, mean=3.0, std=0.5)
        assert normal.mean() == pytest.approx(3, abs=0.01)
        assert normal.std() == pytest.approx(0.5, abs=0.01)
        uniform = self.drawn(init.uniform_, a=-2.0, b=1.0)
        assert (uniform.min(), uniform.max()) == pytest.approx((-2, 1), abs=0.01)

    @pytest.mark.parametrize(
        ("normal", "uniform", "options", "std"),
        [
            (init.xavier_normal_, init.xavier_uniform_, {"gain": 2}, 2 * (2 / 2700) ** 0.5),
            (init.kaiming_normal_, init.kaiming_uniform_, {}, (2 / 900) ** 0.5),
            (
                init.kaiming_normal_,
                init.kaiming_uniform_,
                {"a": 0.2, "mode": "fan_out"},
                (2 / 1.04 / 1800) ** 0.5,
            ),
            (
                init.kaiming_normal_,
                init.kaiming_uniform_,
                {"nonlinearity": "relu", "reverse": True},
                (2 / 1800) ** 0.5,
            ),
        ],
    )
    def test_by_the_number_of_inputs(self, normal, uniform, options, std):
        assert self.drawn(normal, **options).std() == pytest.approx(std, rel=0.01)
        drawn = self.drawn(uniform, **options)
        assert drawn.std() == pytest.approx(std, rel=0.01)
        assert drawn.max() == pytest.approx(std * 3**0.5, rel=0.01)

    def test_layers_and_networks(self):
        layer = nn.Conv2D(3, 4, 3)
        init.constant_init(layer, 0.5, bias=0.25)
        assert (layer.weight.numpy() == 0.5).all()
        assert (layer.bias.numpy() == 0.25).all()
        net = nn.Sequential(nn.Conv2D(30, 40, 3), nn.Linear(2, 2))
        init.init_weights(net, init_type="normal", init_gain=0.1)
        assert net[0].weight.numpy().std() == pytest.approx(0.1, rel=0.05)
        assert (net[0].bias.numpy() == 0).all()


class TestSounds:
    def test_written_and_read(self, tmp_path):
        wav = np.sin(np.arange(8000) / 10).astype(np.float32) * 0.25
        before = wav.copy()
        audio.save_wav(wav, str(tmp_path / "a.wav"), 16000)
        np.testing.assert_array_equal(wav, before)
        rate, levels = wavfile.read(tmp_path / "a.wav")
        assert (rate, levels.dtype, levels.max()) == (16000, np.int16, 32767)
        read = audio.load_wav(str(tmp_path / "a.wav"), 16000)
        np.testing.assert_allclose(read, wav * 4, atol=1e-3)
        assert audio.melspectrogram(read).shape == (80, 41)
        assert audio.get_hop_size() == 200

    def test_numbers(self):
        config = get_audio_config()
        assert isinstance(config, AttrDict)
        assert (config.num_mels, config.sample_rate, config.fps) == (80, 16000, 25)


class TestFilms:
    def test_there_and_back(self, tmp_path):
        pictures = [np.full((16, 24, 3), level, np.uint8) for level in (40, 120, 200)]
        make_film(tmp_path / "a film.mp4", pictures=pictures, fps=25)
        folder = video.video2frames(str(tmp_path / "a film.mp4"), str(tmp_path / "out"))
        assert folder == str(tmp_path / "out/a film")
        levels = [read_image(f"{folder}/{i:08d}.png").mean() for i in range(3)]
        assert levels == pytest.approx([40, 120, 200], abs=3)
        video.frames2video(f"{folder}/%08d.png", str(tmp_path / "b.mp4"), "30000/1001")
        made = probe(tmp_path / "b.mp4")
        assert (made.frame_count, made.width, made.height) == (3, 24, 16)
        assert float(made.fps) == pytest.approx(29.97, abs=0.001)

    @pytest.mark.parametrize("name", ["frame.png", "100%.png", "%s.png", "%(a)d.png", "%d_%d.png"])
    def test_names_without_a_number(self, tmp_path, name):
        with pytest.raises(DataError, match=r"is no pattern of frames such as frames/%08d\.png$"):
            video.frames2video(str(tmp_path / name), str(tmp_path / "b.mp4"), "25")

    def test_per_cent_in_names_of_folders(self, tmp_path):
        folder = tmp_path / "50%d 100%"
        folder.mkdir()
        for index in range(2):
            write_image(folder / f"5%_{index:03d}.png", np.zeros((16, 16, 3), np.uint8))
        video.frames2video(str(folder / "5%_%03d.png"), str(tmp_path / "b.mp4"), 25)
        assert probe(tmp_path / "b.mp4").frame_count == 2

    def test_frames_that_are_not_there(self, tmp_path):
        with pytest.raises(DataError, match=r"there is no frame .*00000000\.png"):
            video.frames2video(str(tmp_path / "%08d.png"), str(tmp_path / "b.mp4"), "25")
        assert not (tmp_path / "b.mp4").exists()


class TestPictures:
    def test_grids(self):
        x = paddle.arange(2 * 3 * 2 * 2, dtype="float32").reshape([2, 3, 2, 2])
        grid = visual.make_grid(x, nrow=2)
        np.testing.assert_array_equal(grid.numpy()[:, :, 2:], x[1].numpy())

    def test_written_wider_or_higher(self, tmp_path):
        picture = np.zeros((4, 6, 3), np.uint8)
        for ratio, shape in ((1.0, (4, 6, 3)), (2.0, (4, 12, 3)), (0.5, (8, 6, 3))):
            visual.save_image(picture, str(tmp_path / "a.png"), aspect_ratio=ratio)
            assert read_image(tmp_path / "a.png").shape == shape

    def test_classes_in_colours(self):
        classes = np.array([[0, 1], [2, 1]])
        coloured = visual.mask2image(classes)
        assert coloured.shape == (2, 2, 3)
        assert (coloured[0, 1] == coloured[1, 1]).all()
        assert len(np.unique(coloured.reshape(-1, 3), axis=0)) == 3
        np.testing.assert_array_equal(visual.mask2image(classes.astype(np.float32)), coloured)
        assert visual.mask2image(np.zeros((0, 4))).shape == (0, 4, 3)

    def test_of_faces(self, tmp_path):
        picture = np.zeros((40, 80, 3), np.uint8)
        write_image(tmp_path / "a.png", picture)
        loaded = face_image.load_image(tmp_path / "a.png")
        np.testing.assert_array_equal(loaded, picture)
        assert face_image.resize_by_max(loaded, 20).shape == (10, 20, 3)
        assert face_image.resize_by_max(loaded, 100).shape == (40, 80, 3)
        assert face_image.resize_by_max(loaded, 160, force=True).shape == (80, 160, 3)


class TestParts:
    def test_of_faces(self, monkeypatch):
        class Classes:
            def parse(self, image):
                assert image.dtype == np.uint8
                return np.arange(19, dtype=np.uint8).reshape(1, 19)

        monkeypatch.setattr(parsing, "FaceParser", Classes)
        found = FaceParser(device="gpu").parse(np.zeros((1, 19, 3), np.float32))
        assert found.dtype == paddle.float32
        # The numbers of lips, hair and so on that PaddleGAN's makeup counts on.
        numbers = [0, 1, 2, 3, 4, 5, 0, 11, 12, 0, 6, 8, 7, 9, 13, 0, 0, 10, 0]
        assert found.numpy().astype(int).tolist() == [numbers]
        assert mask.FaceParser is FaceParser

    def test_of_portraits(self, monkeypatch):
        class Segmenter:
            def segment(self, image, face):
                assert face.box == (0, 0, 3, 2)
                return type("Mask", (), {"alpha": np.array([[0, 0.5, 1], [1, 1, 0]], np.float32)})

        monkeypatch.setattr("ppgan.faceutils.face_segmentation.FaceSegSegmenter", Segmenter)
        found = FaceSeg()(np.zeros((2, 3, 3), np.uint8))
        assert found.dtype == np.uint8
        assert found.tolist() == [[0, 128, 255], [255, 255, 0]]


class TestFiles:
    def test_of_weights(self, tmp_path):
        net = nn.Linear(2, 3)
        path = str(tmp_path / "all.pdparams")
        filesystem.save({"net": net.state_dict(), "epoch": 7}, path)
        content = filesystem.load(path)
        np.testing.assert_array_equal(content["net"]["weight"], net.weight.numpy())
        assert content["epoch"] == 7
        assert paddle.load(path)["epoch"] == 7
        filesystem.makedirs(str(tmp_path / "a/b"))
        filesystem.makedirs(str(tmp_path / "a/b"))
        assert (tmp_path / "a/b").is_dir()

    def test_official_ones_are_fetched_once(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PPZOO_HOME", str(tmp_path))
        path = manifest.cached_path("wav2lip")
        path.parent.mkdir()
        write_pdparams(path, {"a": np.zeros(2, np.float32)})
        url = "https://paddlegan.bj.bcebos.com/models/wav2lip_hq.pdparams"
        assert download.get_path_from_url(url) == str(path)
        good = hashlib.md5(path.read_bytes()).hexdigest()
        assert download.get_path_from_url(url, md5sum=good) == str(path)
        with pytest.raises(DataError, match="is not the file with the MD5 0123"):
            download.get_path_from_url(url, "0123")
        assert list(filesystem.load(url, allow_http=True)) == ["a"]


def test_log(monkeypatch):
    stream = io.StringIO()
    logger = setup_logger()
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        get_logger("ppgan").info("one line")
        get_logger().warning("another")
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue() == "one line\nanother\n"


def test_times():
    times = TimeAverager()
    assert (times.get_average(), times.get_ips_average()) == (0, 0)
    times.record(1.0, num_samples=6)
    times.record(2.0, num_samples=6)
    assert (times.get_average(), times.get_ips_average()) == (1.5, 4.0)
    times.reset()
    times.record(2.0)
    assert (times.get_average(), times.get_ips_average()) == (2.0, 0)
