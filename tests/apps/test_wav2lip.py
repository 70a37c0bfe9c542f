# SPDX-License-Identifier: Apache-2.0
"""Wav2Lip on films and pictures: which network, what it sees and hears, timing, sound, speakers."""

from __future__ import annotations

import threading
from fractions import Fraction

import av
import numpy as np
import paddle
import pytest
from paddle import nn

import ppzoo.lipsync.wav2lip  # noqa: F401  (registers the network)
from ppzoo import cli, registry
from ppzoo.apps import wav2lip
from ppzoo.apps.inference import Runner
from ppzoo.apps.talkers import FaceFilm, Framing, Voice, voice_of
from ppzoo.apps.wav2lip import Wav2LipPredictor, infer_wav2lip
from ppzoo.config import load_config
from ppzoo.data.talking_head import make_clip
from ppzoo.errors import DataError, UserError, WeightsError
from ppzoo.faces.detector import Face, FaceDetector
from ppzoo.media.image import write_image
from ppzoo.media.mel import SAMPLE_RATE
from ppzoo.media.video import VideoReader, probe, read_audio
from ppzoo.weights import write_pdparams

from ..media.video.clips import make_film, make_sound, tone
from ..runs import SMOKE
from .face_pieces import check_one_sentence

NTSC = Fraction(30000, 1001)
SIZE = (48, 64)  # height, width
BOX = (8, 24, 10, 34)  # top, bottom, left, right
RED = (200, 30, 30)


def arrays_of(net):
    return {key: value.numpy() for key, value in net.state_dict().items()}


def network(ngf=2, seed=1):
    paddle.seed(seed)
    net = registry.build(registry.GENERATORS, {"name": "Wav2Lip", "ngf": ngf})
    for name, parameter in net.named_parameters():
        if name.endswith("output_block.1.weight"):  # initial weights draw but grey
            parameter.set_value(parameter * 20)
    net.eval()
    return net


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "wav2lip.pdparams"
    write_pdparams(path, arrays_of(network()))
    return path


class Shows(nn.Layer):
    """Draws faces whose blue tells which column of the sound is heard, if that is a `ramp`."""

    def forward(self, mels, faces):
        assert list(mels.shape[1:]) == [1, 80, 16]
        assert list(faces.shape[1:]) == [6, 96, 96]
        first = mels[:, :, :1, :1]
        return paddle.concat([first + 0 * faces[:, 3:4], 0 * faces[:, 4:]], axis=1)


class Repeats(nn.Layer):
    """Draws faces as they were, whatever is heard.

    A spectrogram's last bit depends on where its arrays lie in memory, and that bit may be a level.
    """

    def forward(self, mels, faces):
        return faces[:, 3:]


def ramp(seconds):
    """A sound whose column c is c / 255, so that `Shows` draws it as the level c."""
    columns = round(80 * seconds) + 1
    mel = np.broadcast_to(np.arange(columns, dtype=np.float32) / 255, (80, columns))
    return Voice(mel, round(SAMPLE_RATE * seconds))


class Red(FaceDetector):
    """Takes each red rectangle for a face; counts the pictures that it has seen."""

    def __init__(self):
        self.seen = 0

    def _detect(self, images):
        import cv2

        self.seen += len(images)
        found = []
        for image in images:
            red = (image[..., 0].astype(int) - image[..., 1] > 80).astype(np.uint8)
            count, _, stats, _ = cv2.connectedComponentsWithStats(red)
            boxes = [[float(value) for value in stats[part][:4]] for part in range(1, count)]
            found.append([Face((x, y, x + w, y + h), 0.9) for x, y, w, h in boxes])
        return found


def picture(*boxes, level=100, size=SIZE):
    """A grey picture with red rectangles (top, bottom, left, right)."""
    frame = np.full((*size, 3), level, np.uint8)
    for top, bottom, left, right in boxes:
        frame[top:bottom, left:right] = RED
    return frame


def film(path, pictures, fps=25, **options):
    make_film(path, pictures=pictures, fps=fps, **options)
    return path


def sound(path, seconds, hertz=440.0):
    make_sound(path, tone(seconds, hertz))
    return path


def predictor(weights, net=None, **options):
    options = {"backend": "dynamic", "progress": False, "face_detector": Red(), **options}
    made = Wav2LipPredictor(weights, **options)
    if net is not None:
        made.generator = net
    return made


def streamed(made, path, seconds, fps=25):
    """What becomes of a film's frames, without encoding it."""
    source = FaceFilm(path, made.framing, fps, made.static)
    return [(before.copy(), after.copy()) for before, after in made.stream(source, ramp(seconds))]


def lengths(path):
    """Seconds of pictures and sound."""
    with av.open(str(path)) as container:
        found = {s.type: float(s.duration * s.time_base) for s in container.streams}
    return found.get("video"), found.get("audio")


def levels(path):
    """The grey level in the lower right corner of each frame."""
    return [round(float(frame[-8:, -8:].mean())) for frame in VideoReader(path)]


class TestWhichNetwork:
    def test_it_is_recognised_by_its_weights(self):
        assert infer_wav2lip(arrays_of(network(3))) == {"name": "Wav2Lip", "ngf": 3}

    @pytest.mark.parametrize("nets", [["netG", "netD"], ["netG", "netDS", "netDH"]])
    def test_a_checkpoint_of_a_training(self, tmp_path, nets):
        path = tmp_path / "iter_9_checkpoint.pdparams"
        content = {name: arrays_of(network(2, seed)) for seed, name in enumerate(nets)}
        write_pdparams(path, {**content, "iteration": 9})
        made = predictor(path)
        expected = content["netG"]
        for key, array in arrays_of(made.generator).items():
            np.testing.assert_array_equal(array, expected[key])

    def test_averages_are_preferred(self, tmp_path):
        path = tmp_path / "weight.pdparams"
        averaged = arrays_of(network(2, 5))
        write_pdparams(path, {"netG": arrays_of(network()), "netG_ema": averaged})
        key = "output_block.1.weight"
        np.testing.assert_array_equal(arrays_of(predictor(path).generator)[key], averaged[key])

    def test_the_config_beside_the_weights(self, tmp_path, weights):
        config = tmp_path / "config.yaml"
        config.write_text(f"_base_: {SMOKE / 'wav2lip.yaml'}\n", encoding="utf-8")
        ngf = load_config(config).model.kwargs["generator"].kwargs["ngf"]
        write_pdparams(tmp_path / "weight.pdparams", {"netG": arrays_of(network(ngf))})
        assert infer_wav2lip(arrays_of(predictor(tmp_path / "weight.pdparams").generator)) == {
            "name": "Wav2Lip",
            "ngf": ngf,
        }
        with pytest.raises(WeightsError, match="describes no generator of Wav2Lip"):
            predictor(weights, config=SMOKE / "dcgan.yaml")

    def test_a_generator_of_ones_own(self, tmp_path, monkeypatch):
        class OwnWav2Lip(Shows):
            def __init__(self, ngf=1):
                super().__init__()
                self.layer = nn.Linear(ngf, 1)

        monkeypatch.setitem(registry.GENERATORS._entries, "OwnWav2Lip", OwnWav2Lip)
        own = "model:\n  generator: {name: OwnWav2Lip, ngf: 3}\n"
        text = f"_base_: {SMOKE / 'wav2lip.yaml'}\n{own}"
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
        write_pdparams(tmp_path / "weight.pdparams", {"netG": arrays_of(OwnWav2Lip(3))})
        made = predictor(tmp_path / "weight.pdparams")
        assert list(made.generator.layer.weight.shape) == [3, 1]

    def test_weights_of_something_else(self, tmp_path):
        write_pdparams(tmp_path / "w.pdparams", {"a.weight": np.zeros((2, 2), np.float32)})
        with pytest.raises(WeightsError, match=r"w\.pdparams holds no generator of Wav2Lip"):
            predictor(tmp_path / "w.pdparams")


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"face_enhancement": True}, "face_enhancement needs GFPGAN.*predict restore"),
            ({"wav2lip_batch_size": 0}, "wav2lip_batch_size is 0, expected at least 1"),
            ({"detect_every": 0}, "detect_every is 0"),
            ({"speaker": -1}, "speaker is -1, expected at least 0"),
            ({"feather": 1.01}, "feather is 1.01, expected a number from 0 to 1"),
            ({"feather": float("nan")}, "feather is nan"),
            ({"lead": float("inf")}, "lead is inf"),
            ({"sound": "loud"}, "sound is 'loud', expected one of replace, keep, none"),
            ({"cycle": "no"}, "cycle is 'no'"),
            ({"pads": (1, 2)}, r"pads is \[1, 2\], expected four numbers"),
            ({"backend": "x"}, "backend is 'x'"),
        ],
    )
    def test_out_of_range(self, weights, options, message):
        with pytest.raises(UserError, match=message):
            predictor(weights, **options)

    def test_defaults_are_those_of_paddlegan(self):
        import inspect

        parameters = inspect.signature(Wav2LipPredictor).parameters
        given = {k: p.default for k, p in parameters.items() if p.kind is not p.KEYWORD_ONLY}
        assert given == {
            "checkpoint_path": None,
            "static": False,
            "fps": 25,
            "pads": (0, 10, 0, 0),
            "face_det_batch_size": 16,
            "wav2lip_batch_size": 128,
            "resize_factor": 1,
            "crop": (0, -1, 0, -1),
            "box": (-1, -1, -1, -1),
            "rotate": False,
            "nosmooth": False,
            "face_detector": "sfd",
            "face_enhancement": False,
        }


class TestDraw:
    def faces(self, count, seed=0):
        random = np.random.default_rng(seed)
        mels = random.normal(0, 2, (count, 80, 16)).astype(np.float32)
        return [random.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(count)], mels

    def test_it_is_what_the_network_draws(self, weights):
        faces, mels = self.faces(3)
        x = np.stack(faces)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
        hidden = x.copy()
        hidden[:, :, 48:] = 0
        with paddle.no_grad():
            y = network()(
                paddle.to_tensor(mels[:, np.newaxis]),
                paddle.to_tensor(np.concatenate([hidden, x], axis=1)),
            ).numpy()
        expected = np.rint(y * 255)[:, ::-1].transpose(0, 2, 3, 1)
        drawn = predictor(weights).draw(faces, mels)
        assert drawn.dtype == np.uint8
        assert np.abs(drawn - expected).max() <= 1
        assert drawn.std() > 5

    def test_batches_are_as_good_as_single_ones(self, weights):
        faces, mels = self.faces(7)
        one = predictor(weights, wav2lip_batch_size=1).draw(faces, mels)
        seven = predictor(weights, wav2lip_batch_size=7).draw(faces, mels)
        three = predictor(weights, wav2lip_batch_size=3).draw(faces, mels)
        assert one.std() > 5
        assert np.abs(one.astype(int) - seven).max() <= 1
        assert np.abs(one.astype(int) - three).max() <= 1
        assert (one != one[:1]).any()

    def test_faces_of_other_sizes(self, weights):
        faces = [np.full((h, w, 3), 90, np.uint8) for h, w in ((2, 3), (200, 31), (96, 96))]
        drawn = predictor(weights).draw(faces, np.zeros((3, 80, 16)))
        np.testing.assert_array_equal(drawn[0], drawn[2])
        np.testing.assert_array_equal(drawn[1], drawn[2])

    def test_none(self, weights):
        assert predictor(weights).draw([], np.zeros((0, 80, 16))).shape == (0, 96, 96, 3)

    def test_wrong_shapes(self, weights):
        with pytest.raises(ValueError, match="1 faces and 2 windows"):
            predictor(weights).draw(self.faces(1)[0], np.zeros((2, 80, 16)))
        with pytest.raises(ValueError, match=r"\[N, 80, 16\]"):
            predictor(weights).draw(self.faces(1)[0], np.zeros((1, 16, 80)))

    def test_batches_are_halved_when_memory_runs_out(self, weights, monkeypatch):
        faces, mels = self.faces(7)
        expected = predictor(weights).draw(faces, mels)
        made = predictor(weights, wav2lip_batch_size=6)
        call, sizes = Runner.__call__, []

        def scarce(self, mels, faces):
            sizes.append(len(faces))
            if len(faces) > 1:
                raise RuntimeError("ResourceExhaustedError: Out of memory")
            return call(self, mels, faces)

        monkeypatch.setattr(Runner, "__call__", scarce)
        assert np.abs(made.draw(faces, mels).astype(int) - expected).max() <= 1
        assert sizes == [6, 3, 1, 1, 1, 1, 1, 1, 1]

    def test_other_failures_are_told(self, weights, monkeypatch):
        def broken(self, mels, faces):
            raise RuntimeError("broken")

        monkeypatch.setattr(Runner, "__call__", broken)
        with pytest.raises(RuntimeError, match="broken"):
            predictor(weights).draw(*self.faces(2))

    def test_a_diverged_network(self, tmp_path):
        arrays = arrays_of(network())
        arrays["output_block.1.bias"][:] = np.nan
        write_pdparams(tmp_path / "w.pdparams", arrays)
        with pytest.raises(WeightsError, match="no numbers"):
            predictor(tmp_path / "w.pdparams").draw(*self.faces(1))


class TestStream:
    def test_only_the_face_changes(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture(level=60 + i) for i in range(6)])
        made = predictor(weights, Shows(), box=BOX, preview=tmp_path / "p.mp4")
        pairs = streamed(made, path, 6 / 25)
        assert len(pairs) == 6
        top, bottom, left, right = BOX
        for before, after in pairs:
            changed = (before != after).any(axis=-1)
            inside = np.zeros(SIZE, bool)
            inside[top:bottom, left:right] = True
            assert not changed[~inside].any()
            assert changed[top + 4 : bottom - 4, left + 4 : right - 4].all()

    def test_the_upper_half_may_stay(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 2)
        box = (4, 44, 10, 50)
        made = predictor(
            weights, Shows(), box=box, feather=0, lower_only=True, preview=tmp_path / "p.mp4"
        )
        for before, after in streamed(made, path, 2 / 25):
            rows = np.nonzero((before != after).any(axis=(1, 2)))[0]
            assert abs(rows.min() - (4 + 0.42 * 40)) <= 1
            assert rows.max() == 43
            assert (after[26:44, 10:50, 1] == 0).all()

    @pytest.mark.parametrize("fps", [25, NTSC])
    def test_each_frame_hears_its_moment(self, weights, tmp_path, fps):
        path = film(tmp_path / "a.mp4", [picture()] * 20, fps)
        made = predictor(weights, Shows(), box=BOX, feather=0, lead=0)
        heard = [int(after[16, 20, 2]) for _, after in streamed(made, path, 2.0)]
        assert heard == [80 * i * fps.denominator // fps.numerator for i in range(len(heard))]
        assert len(heard) == round(2 * fps)

    def test_sound_leads_as_in_training(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 4)
        made = predictor(weights, Shows(), box=BOX, feather=0)
        heard = [int(after[16, 20, 2]) for _, after in streamed(made, path, 6 / 25)]
        assert heard == [0, 0, 3, 6, 9, 12]  # silence is below 0

    def test_blue_is_first_for_the_network_only(self, weights, tmp_path):
        made = predictor(weights, Shows(), box=BOX, feather=0, lead=0)
        path = film(tmp_path / "a.mp4", [picture()] * 2)
        after = streamed(made, path, 1.0)[20][1]
        assert after[16, 20].tolist() == [0, 0, 64]

    def test_pads_and_detected_faces(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture((10, 20, 10, 20))] * 8)
        made = predictor(weights, Shows(), pads=(1, 2, 3, 4), feather=0, preview="p.mp4")
        for before, after in streamed(made, path, 8 / 25):
            rows, columns = np.nonzero((before != after).any(axis=-1))
            box = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
            assert np.abs(np.subtract(box, (9, 22, 7, 24))).max() <= 1

    def test_boxes_from_the_brows_on_become_those_of_s3fd(self, weights, tmp_path):
        class FromBrows(Red):
            is_from_brows = True

        path = film(tmp_path / "a.mp4", [picture((10, 30, 20, 40))] * 6)
        made = predictor(
            weights, Shows(), face_detector=FromBrows(), pads=(0,) * 4, feather=0, preview="p"
        )
        before, after = streamed(made, path, 6 / 25)[0]
        rows, columns = np.nonzero((before != after).any(axis=-1))
        box = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
        assert np.abs(np.subtract(box, (9, 31, 22, 38))).max() <= 1

    def test_frames_without_a_face_stay(self, weights, tmp_path):
        with_face, without = picture((10, 26, 10, 26)), picture()
        path = film(tmp_path / "a.mp4", [with_face] * 10 + [without] * 9 + [with_face] * 10)
        made = predictor(weights, Shows(), detect_every=1, preview="p.mp4")
        changed = [bool((a != b).any()) for a, b in streamed(made, path, 29 / 25)]
        assert changed == [True] * 10 + [False] * 9 + [True] * 10
        assert made.remarks == ["9 of 29 frames show no face that could talk, and stay as they are"]

    @pytest.mark.parametrize(("speaker", "expected"), [(0, 40), (1, 15)])
    def test_the_speaker_is_chosen_by_rank(self, weights, tmp_path, speaker, expected):
        path = film(tmp_path / "a.mp4", [picture((10, 20, 10, 20), (10, 30, 30, 50))] * 6)
        made = predictor(weights, Shows(), speaker=speaker, pads=(0,) * 4, preview="p.mp4")
        for before, after in streamed(made, path, 6 / 25):
            columns = np.nonzero((before != after).any(axis=(0, 2)))[0]
            assert columns.mean() == pytest.approx(expected, abs=1)
        assert made.remarks == [
            f"up to 2 faces are seen at once, and number {speaker} talks, the largest one being 0 "
            "(speaker)"
        ]

    def test_detector_runs_on_every_nth_frame_once(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture((10, 26, 10, 26))] * 20)
        made = predictor(weights, Shows(), detect_every=5)
        assert len(streamed(made, path, 60 / 25)) == 60  # three times the film
        assert made._detector.seen <= 6

    def test_framing(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 2)
        made = predictor(
            weights, Shows(), resize_factor=2, rotate=True, crop=(0, 20, 0, -1), box=(2, 12, 3, 13)
        )
        assert streamed(made, path, 2 / 25)[0][1].shape == (20, 24, 3)

    def test_cycles(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture(level=20 + 30 * i) for i in range(4)])

        def numbers(cycle):
            made = predictor(weights, Shows(), box=BOX, cycle=cycle)
            found = streamed(made, path, 10 / 25)
            return [round((float(after[-8:, -8:].mean()) - 20) / 30) for _, after in found]

        assert numbers("restart") == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
        assert numbers("pingpong") == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3]

    def test_nobody_is_there(self, weights, tmp_path):
        path = film(tmp_path / "empty room.mp4", [picture()] * 4)
        for seconds in (2 / 25, 10 / 25):
            with pytest.raises(DataError, match=r"no face is found in .*empty room\.mp4.*--box"):
                streamed(predictor(weights, Shows()), path, seconds)

    def test_missing_weights_of_a_detector(self, weights, tmp_path, monkeypatch):
        def missing(name, weight_path):
            raise WeightsError("the weights 's3fd' are missing")

        monkeypatch.setattr("ppzoo.apps.faces.build_detector", missing)
        path = film(tmp_path / "a.mp4", [picture()] * 4)
        made = predictor(weights, face_detector="sfd")
        with pytest.raises(WeightsError, match=r"are missing\. Or .*--face-detector cascade"):
            streamed(made, path, 1.0)

    def test_a_speaker_who_is_never_there(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture((10, 26, 10, 26))] * 4)
        with pytest.raises(DataError, match=r"no speaker 1 .* at most one face is seen at once"):
            streamed(predictor(weights, Shows(), speaker=1), path, 1.0)

    def test_backends_are_compared_on_faces_and_sounds_while_nothing_else_runs(
        self, weights, tmp_path, monkeypatch
    ):
        made, asked = predictor(weights, Shows(), box=BOX, wav2lip_batch_size=4), []

        def make(net, examples, backend, *, measured):
            asked.append((examples, threading.active_count(), measured))
            return Runner(net)

        monkeypatch.setattr(wav2lip, "make_runner", make)
        path, before = film(tmp_path / "a.mp4", [picture()] * 10), threading.active_count()
        for seconds in (0.4, 3, 3, 0.4):
            streamed(made, path, seconds)
        assert [measured for *_, measured in asked] == [False, True]
        for (mels, faces), running, _ in asked:
            assert running == before
            assert (mels.shape, faces.shape) == ((4, 1, 80, 16), (4, 6, 96, 96))
            assert (mels.min(), mels.max()) == pytest.approx((-4, 4), abs=0.05)
            assert (faces.min(), faces.max()) == pytest.approx((0, 1), abs=0.01)

    def test_threads_end_with_a_failure(self, weights, tmp_path):
        class Fails(nn.Layer):
            def forward(self, mels, faces):
                raise RuntimeError("no")

        path = film(tmp_path / "a.mp4", [picture()] * 30)
        before = threading.active_count()
        with pytest.raises(RuntimeError, match="no"):
            streamed(predictor(weights, Fails(), box=BOX), path, 1.0)
        assert threading.active_count() == before


class TestRun:
    @pytest.mark.parametrize(
        ("fps", "frames", "seconds"), [(25, 8, 0.6), (NTSC, 40, 0.6), (Fraction(24000, 1001), 9, 1)]
    )
    def test_it_lasts_as_long_as_the_sound(self, weights, tmp_path, fps, frames, seconds):
        path = film(tmp_path / "a.mp4", [picture()] * frames, fps)
        made = predictor(weights, Shows(), box=BOX)
        done = made.run(path, sound(tmp_path / "a.wav", seconds), tmp_path / "out.mp4")
        info = probe(done.path)
        assert info.fps == fps
        assert info.frame_count == done.frames == round(seconds * fps)
        pictures, heard = lengths(done.path)
        assert abs(pictures - seconds) <= 0.5 / fps + 1e-6
        assert abs(heard - pictures) <= 1 / fps
        assert made.film is done

    def test_sound_is_replaced_kept_or_left_out(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 25, sound=(tone(1.0, 300), 0))
        wav = sound(tmp_path / "a.wav", 1.0, 1200)

        def heard(kind):
            made = predictor(weights, Shows(), box=BOX, sound=kind)
            out = made.run(path, wav, tmp_path / f"{kind}.mp4").path
            if not probe(out).has_audio:
                return None
            samples = read_audio(out)[4000:12000]
            return int(np.abs(np.fft.rfft(samples)).argmax()) * 2

        assert heard("replace") == pytest.approx(1200, abs=4)
        assert heard("keep") == pytest.approx(300, abs=4)
        assert heard("none") is None

    def test_sound_that_is_not_there_cannot_be_kept(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        with pytest.raises(UserError, match=r"a\.mp4 has no sound that could be kept"):
            predictor(weights, box=BOX, sound="keep").run(
                path, sound(tmp_path / "a.wav", 0.2), tmp_path / "o.mp4"
            )

    @pytest.mark.parametrize("suffix", [".flac", ".mp3", ".m4a"])
    def test_formats_of_sound(self, weights, tmp_path, suffix):
        codec = {".flac": "flac", ".mp3": "libmp3lame", ".m4a": "aac"}[suffix]
        make_sound(tmp_path / f"a{suffix}", np.stack([tone(1.0, 440, 44100)] * 2), 44100, codec)
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        done = predictor(weights, Shows(), box=BOX).run(
            path, tmp_path / f"a{suffix}", tmp_path / "o.mp4"
        )
        assert abs(done.frames - 25) <= 1
        pictures, heard = lengths(done.path)
        assert abs(heard - pictures) <= 0.041

    def test_names_sizes_and_folders(self, weights, tmp_path):
        folder = tmp_path / "a folder, 新"
        folder.mkdir()
        write_image(folder / "脸 v1.2.png", picture(size=(51, 67)))
        wav = sound(folder / "音 频.v2.wav", 0.2)
        out = tmp_path / "not there yet" / "结果 1.0.mp4"
        done = predictor(weights, Shows(), box=BOX, fps=29.97).run(folder / "脸 v1.2.png", wav, out)
        assert done.path == out
        assert (done.fps, done.frames) == (NTSC, 6)
        assert done.size_before == (67, 51)
        # H.264 has even sizes.
        assert (probe(out).width, probe(out).height) == done.size == (68, 52)

    def test_only_the_beginning(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        made = predictor(weights, Shows(), box=BOX)
        wav = sound(tmp_path / "a.wav", 1.0)
        done = made.run(path, wav, tmp_path / "o.mp4", seconds=0.4)
        assert done.frames == 10
        assert lengths(done.path) == pytest.approx((0.4, 0.4), abs=0.04)
        for seconds in (0, float("inf"), float("nan")):
            with pytest.raises(UserError, match=f"seconds is {seconds}"):
                made.run(path, wav, tmp_path / "o.mp4", seconds=seconds)
        assert made.run(path, wav, tmp_path / "o.mp4", seconds=1e308).frames == 25

    def test_static(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture(level=20 + 30 * i) for i in range(4)])
        made = predictor(weights, Shows(), box=BOX, static=True)
        done = made.run(path, sound(tmp_path / "a.wav", 0.2), tmp_path / "o.mp4")
        assert levels(done.path) == pytest.approx([20] * 5, abs=2)

    def test_preview_shows_both(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        made = predictor(weights, Shows(), box=BOX, feather=0, preview=tmp_path / "p.mp4")
        done = made.run(path, sound(tmp_path / "a.wav", 0.2), tmp_path / "o.mp4")
        both = [frame.astype(int) for frame in VideoReader(tmp_path / "p.mp4")]
        result = [frame.astype(int) for frame in VideoReader(done.path)]
        assert len(both) == len(result) == 5
        assert both[4].shape == (48, 128, 3)
        assert np.abs(both[4][:, :56] - picture()[:, :56]).mean() < 3
        assert np.abs(both[4][:, 72:] - result[4][:, 8:]).mean() < 3
        assert probe(tmp_path / "p.mp4").has_audio

    def test_weights_are_read_once(self, weights, tmp_path, monkeypatch):
        made = predictor(weights, Repeats(), box=BOX)
        monkeypatch.setattr(wav2lip, "read", None)
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        wav = sound(tmp_path / "a.wav", 0.2)
        first = made.run(path, wav, tmp_path / "1.mp4")
        runner = made._runner
        second = made.run(path, wav, tmp_path / "2.mp4")
        assert made._runner is runner
        assert first.path.read_bytes() == second.path.read_bytes()

    def test_a_failure_leaves_the_old_result(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        old = tmp_path / "o.mp4"
        old.write_bytes(b"old")
        with pytest.raises(DataError, match="no face is found"):
            predictor(weights).run(path, sound(tmp_path / "a.wav", 0.2), old)
        assert old.read_bytes() == b"old"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "a.wav", "o.mp4"]

    def test_results_replace_no_source(self, weights, tmp_path):
        path = film(tmp_path / "a.mp4", [picture()] * 5, sound=(tone(0.2), 0))
        other = film(tmp_path / "b.mp4", [picture()] * 5)
        made = predictor(weights, box=BOX, preview=tmp_path / "o.mp4")
        for face, audio, out in ((path, path, path), (other, path, path), (other, path, "o.avi")):
            with pytest.raises(UserError, match=r"would replace|cannot be written as"):
                made.run(face, audio, out)
        with pytest.raises(UserError, match=r"preview and the result are both .*o\.mp4"):
            made.run(other, path, tmp_path / "o.mp4")

    def test_a_drawn_head_talks(self, weights, tmp_path):
        clip = make_clip(3, 15)
        path = film(tmp_path / "head.mp4", [clip.draw(i) for i in range(15)])
        made = predictor(weights, box=(0, 96, 0, 96))
        source = FaceFilm(path, Framing())
        after = [frame for _, frame in made.stream(source, voice_of([clip.speech.wav]))]
        assert len(after) == 15
        assert made.describe().startswith("ppzoo's layers (dynamic)")


class TestCommand:
    def command(self, weights, *options):
        return ["predict", "wav2lip", "--weights", str(weights), "--backend", "dynamic", *options]

    def test_it_makes_a_film(self, weights, tmp_path, capsys):
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        wav = sound(tmp_path / "a.wav", 0.4)
        sources = ("--face", str(path), "--audio", str(wav), "--output", str(tmp_path / "out"))
        box = [str(number) for number in BOX]
        preview = str(tmp_path / "p.mp4")
        assert not cli.main(
            self.command(weights, *sources, "--box", *box, "--preview", preview, "--sound", "none")
        )
        shown = capsys.readouterr()
        assert f"film: {tmp_path / 'out' / 'a_wav2lip.mp4'}" in shown.out
        assert f"preview: {preview}" in shown.out
        assert "10 frames at 25 a second" in shown.err
        assert "frames/s" in shown.err
        assert probe(tmp_path / "out" / "a_wav2lip.mp4").frame_count == 10

    def test_problems_are_one_sentence(self, weights, tmp_path, capsys):
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        wav = sound(tmp_path / "a.wav", 0.2)
        out = ("--output", str(tmp_path / "o.mp4"))
        cascade = ("--face-detector", "cascade")
        for face, audio, more, message in (
            (path, wav, cascade, r"no face is found in .*a\.mp4 \(looked for by 'cascade'\)"),
            (path, tmp_path / "b.wav", (), r"there is no audio file .*b\.wav"),
            (path, path, (), r"a\.mp4 has no sound"),
            (tmp_path / "b.mp4", wav, (), r"there is no video file .*b\.mp4"),
            (path, wav, ("--box", "90", "95", "0", "9"), "holds nothing of frames of 64 x 48"),
            (path, wav, ("--crop", "9", "9", "0", "9"), "leaves nothing of frames of 64 x 48"),
        ):
            sources = ("--face", str(face), "--audio", str(audio), *out)
            assert cli.main(self.command(weights, *sources, *more)) == 2
            check_one_sentence(capsys, message)
        assert not (tmp_path / "o.mp4").exists()

    def test_options_are_looked_at_before_weights(self, tmp_path, capsys):
        path = film(tmp_path / "a.mp4", [picture()] * 5)
        wav = sound(tmp_path / "a.wav", 0.2)
        write_image(tmp_path / "a.png", picture())
        out = str(tmp_path / "o.mp4")
        for more, message in (
            (("--preview", out), r"preview and the result are both .*o\.mp4"),
            (("--preview", str(tmp_path / "p.avi")), r"cannot be written as .*p\.avi"),
            (("--preview", str(path)), r"would replace the film .*a\.mp4"),
            (("--audio", out), r"would replace the film .*o\.mp4"),
            (("--seconds", "inf"), "seconds is inf"),
            (("--feather", "2"), "feather is 2.0, expected a number from 0 to 1"),
            (("--sound", "keep"), r"a\.mp4 has no sound that could be kept"),
            (("--crop", "0", "-1", "0", "-1", "--resize-factor", "0"), "resize_factor is 0"),
            (("--face", str(tmp_path / "a.png"), "--fps", "0.0001"), "fps is 0.0001"),
        ):
            sources = ("--face", str(path), "--audio", str(wav), "--output", out)
            assert cli.main(self.command("no such file", *sources, *more)) == 2
            check_one_sentence(capsys, message)
