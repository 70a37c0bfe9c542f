# SPDX-License-Identifier: Apache-2.0
"""Sound as samples: levels, channels, rates, and when it begins."""

from __future__ import annotations

import numpy as np
import pytest

from ppzoo.errors import DataError
from ppzoo.media.video import read_audio
from ppzoo.media.video.sound import audio_chunks

from .clips import make_film, make_sound, tone


def loudness(samples):
    return float(np.sqrt(np.mean(np.square(samples))))


def delay(samples, reference):
    """By how many samples the first is late."""
    found = np.correlate(samples, reference, "full")
    return int(np.argmax(found)) - len(reference) + 1


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).uniform(-0.5, 0.5, 8000).astype(np.float32)


class TestReadAudio:
    def test_16_bits_are_exact(self, tmp_path, noise):
        make_sound(tmp_path / "a.wav", noise)
        samples = read_audio(tmp_path / "a.wav")
        assert samples.dtype == np.float32
        assert samples.shape == (8000,)
        assert np.abs(samples - noise).max() <= 1 / 32768

    def test_channels_are_averaged(self, tmp_path, noise):
        make_sound(tmp_path / "a.wav", np.stack([noise, np.zeros_like(noise)]))
        assert np.abs(read_audio(tmp_path / "a.wav") - noise / 2).max() < 2 / 32768
        loud = np.full((2, 4000), 0.95, np.float32)
        make_sound(tmp_path / "b.wav", loud)
        assert np.abs(read_audio(tmp_path / "b.wav") - 0.95).max() < 1e-3

    def test_stereo_is_kept_where_asked_for(self, tmp_path, noise):
        make_sound(tmp_path / "a.wav", np.stack([noise, -noise]))
        stereo = np.concatenate(list(audio_chunks(tmp_path / "a.wav", channels=2)), axis=1)
        assert np.abs(stereo - [noise, -noise]).max() <= 1 / 32768

    @pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
    def test_rates(self, tmp_path, rate):
        make_sound(tmp_path / "a.wav", tone(1, 440, rate), rate=rate)
        samples = read_audio(tmp_path / "a.wav")
        assert abs(len(samples) - 16000) <= 1
        middle = slice(200, -200)
        assert np.abs(samples[:16000] - tone(1)[: len(samples)])[middle].max() < 0.01

    @pytest.mark.parametrize(
        ("name", "codec"),
        [
            ("a.mp3", "libmp3lame"),
            ("a.flac", "flac"),
            ("a.m4a", "aac"),
            ("a.ogg", "libopus"),
            ("旧 录音.final.wav", "pcm_s16le"),
            ("a.mkv", "pcm_f32le"),
        ],
    )
    def test_formats(self, tmp_path, name, codec):
        rate = 48000
        sound = tone(1, 300, rate) * np.linspace(0, 1, rate, dtype=np.float32)
        make_sound(tmp_path / name, sound, rate=rate, codec=codec)
        samples = read_audio(tmp_path / name)
        expected = tone(1, 300) * np.linspace(0, 1, 16000, dtype=np.float32)
        # The last packet of some codecs is filled up with silence.
        assert 16000 - 1 <= len(samples) < 16000 + 1200
        assert np.corrcoef(samples[:15900], expected[:15900])[0, 1] > 0.99
        assert abs(delay(samples[2000:10000], expected[2000:10000])) <= 2

    def test_pieces_are_small_and_make_the_whole(self, tmp_path, noise):
        make_sound(tmp_path / "a.wav", np.tile(noise, 5))
        pieces = list(audio_chunks(tmp_path / "a.wav"))
        assert len(pieces) > 5
        assert max(piece.shape[1] for piece in pieces) < 8000
        whole = np.concatenate(pieces, axis=1)[0]
        assert np.array_equal(whole, read_audio(tmp_path / "a.wav"))


class TestBegin:
    def test_with_the_first_picture(self, tmp_path, noise):
        make_film(tmp_path / "a.mp4", count=12, sound=(noise, 0))
        samples = read_audio(tmp_path / "a.mp4")
        assert delay(samples[:8000], noise) == 0
        assert np.corrcoef(samples[100:7900], noise[100:7900])[0, 1] > 0.9

    def test_later_than_the_first_picture(self, tmp_path, noise):
        make_film(tmp_path / "a.mp4", count=25, sound=(noise, 0.25))
        samples = read_audio(tmp_path / "a.mp4")
        assert loudness(samples[:2900]) < 1e-3
        assert delay(samples, noise) == 4000

    def test_earlier_than_the_first_picture(self, tmp_path, noise):
        times = [250 + 40 * i for i in range(10)]
        make_film(tmp_path / "a.mkv", count=10, times=times, sound=(noise, 0))
        samples = read_audio(tmp_path / "a.mkv")
        # Times in .mkv are whole milliseconds, 16 samples.
        assert abs(delay(samples, noise) + 4000) <= 16

    def test_gaps_are_silence(self, tmp_path, noise):
        path = tmp_path / "a.ts"
        make_film(path, count=20, sound=(noise, 0))
        whole = read_audio(path)
        data = bytearray(path.read_bytes())
        # Transport packets are 188 bytes; those of the sound have their own number, 0x101.
        sound = [i for i in range(0, len(data), 188) if data[i + 1 : i + 3] in (b"\1\1", b"\x41\1")]
        for begin in sound[len(sound) // 3 : 2 * len(sound) // 3]:
            data[begin + 1 : begin + 3] = b"\x1f\xff"  # made into stuffing
        path.write_bytes(data)
        samples = read_audio(path)
        end = slice(-1500, None)
        assert abs(len(samples) - len(whole)) < 1100
        assert loudness(whole[3000:5000]) > 0.2
        assert loudness(samples[3500:4500]) < 0.05
        assert np.corrcoef(samples[: len(whole)][end], whole[: len(samples)][end])[0, 1] > 0.9


class TestErrors:
    def test_missing(self, tmp_path):
        with pytest.raises(DataError, match=r"there is no audio file .*a\.wav"):
            read_audio(tmp_path / "a.wav")

    def test_no_sound(self, tmp_path):
        make_film(tmp_path / "a.mp4")
        with pytest.raises(DataError, match=r"a\.mp4 has no sound"):
            read_audio(tmp_path / "a.mp4")

    def test_damaged(self, tmp_path, noise):
        make_sound(tmp_path / "a.m4a", noise, codec="aac")
        data = (tmp_path / "a.m4a").read_bytes()
        begin = data.index(b"mdat") + 4
        end = data.index(b"moov") - 4
        (tmp_path / "a.m4a").write_bytes(data[:begin] + b"\xff" * (end - begin) + data[end:])
        with pytest.raises(DataError, match=r"a\.m4a cannot be decoded"):
            read_audio(tmp_path / "a.m4a")

    def test_arguments(self, tmp_path):
        with pytest.raises(ValueError, match="positive rate"):
            read_audio(tmp_path / "a.wav", rate=0)
