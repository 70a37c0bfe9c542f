# SPDX-License-Identifier: Apache-2.0
"""Faces and voices of one's own, as Wav2Lip's preparation lays them out (LRS2)."""

from __future__ import annotations

import functools
import random
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from ppzoo.data.folder import FileDataset, OnError
from ppzoo.data.transforms import resize
from ppzoo.errors import ConfigError, DataError
from ppzoo.media.image import read_image
from ppzoo.media.mel import (
    SAMPLE_RATE,
    WINDOW,
    column_of,
    melspectrogram,
    windows_around,
    windows_of,
)
from ppzoo.registry import DATASETS

FPS = 25
FRAMES = 5
_SOUND = "audio.wav"
_CACHED_SOUNDS = 512
# The bytes of a WAV file whose header has the largest size there is.
_ENDLESS = 2**32 - 1 + 8


@DATASETS.register()
class Wav2LipDataset(FileDataset):
    """Folders of faces, each with its sound, as in PaddleGAN.

    A folder holds the faces of a video at 25 frames a second, `0.jpg`, `1.jpg`..., and `audio.wav`.
    A sample has `y`, five frames, float32 [3, 5, S, S] in [0, 1]; `x` [6, 5, S, S], the same with
    the lower half black, and five frames of another moment; `indiv_mels` [5, 1, 80, 16] and `mel`
    [1, 80, 16], their sound. Channels are blue, green and red, as the official weights know them.
    `reach` adds `mels_around`, `has_sound` and `clip`; see `TalkingHeadDataset`.

    Args:
        dataroot: folder of the folders.
        filelists_path: folder of the lists `<split>.txt`, which may be in `dataroot` as well: one
            folder in `dataroot` a line; what follows a space is left out, if there is no folder of
            the whole name.
        split: name of the list, such as `train` or `val`.
        img_size: side S of the faces, in pixels; Wav2Lip's networks take 96.
        on_error: see `FileDataset`.
        reach: frames before and after a sample whose sounds are given too, for the metric `LSE`,
            which wants 15.
        windows: samples of each folder in an epoch.

    Raises:
        ConfigError: a number out of range.
        DataError: no list, or a folder of it is missing; on access, a folder with too few frames
            or without a sound that is long enough.
    """

    is_random = True

    def __init__(
        self,
        dataroot: str,
        filelists_path: str = "./",
        split: str = "train",
        img_size: int = 96,
        on_error: OnError = "raise",
        reach: int = 0,
        windows: int = 1,
    ) -> None:
        for key, value, least in (
            ("img_size", img_size, 2),
            ("reach", reach, 0),
            ("windows", windows, 1),
        ):
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"Wav2LipDataset: {key!r} must be {least} or more, got {value!r}")
        folders = _listed(Path(dataroot), Path(filelists_path), split)
        super().__init__(folders * windows, on_error)
        self.img_size, self.reach, self.folders = img_size, reach, len(folders)

    def load(self, index: int) -> dict[str, Any]:
        """Return five frames of the video at `index` from a random moment on."""
        folder = self.paths[index]
        mel = sound_of(folder / _SOUND)
        starts = _starts(folder, mel.shape[1])
        start = random.choice(starts)
        apart = [other for other in starts if abs(other - start) >= FRAMES]
        others = apart or [other for other in starts if other != start]
        if not others:
            raise DataError(f"{folder} has no two moments of {FRAMES} frames with sound")
        y, reference = (self._window(folder, s) for s in (start, random.choice(others)))
        hidden = y.copy()
        hidden[:, :, self.img_size // 2 :] = 0.0
        each = [column_of(frame - 1, FPS) for frame in range(start, start + FRAMES)]
        mels = windows_of(mel, np.array([*each, column_of(start, FPS)]))
        sample = {
            "x": np.concatenate([hidden, reference]),
            "indiv_mels": mels[:FRAMES, np.newaxis],
            "mel": mels[FRAMES:],
            "y": y,
        }
        if not self.reach:
            return sample
        around, has_sound = windows_around(mel, start, self.reach, FPS)
        clip = index % self.folders
        return sample | {
            "mels_around": around[:, np.newaxis],
            "has_sound": has_sound,
            "clip": clip,
        }

    def _window(self, folder: Path, start: int) -> np.ndarray:
        """Return five frames as float32 [3, 5, S, S] in [0, 1], blue first."""
        size = (self.img_size, self.img_size)
        frames = [read_image(folder / f"{i}.jpg") for i in range(start, start + FRAMES)]
        fitted = [f if f.shape[:2] == size else resize(f, size, "bilinear") for f in frames]
        clip = np.stack(fitted)[..., ::-1].transpose(3, 0, 1, 2)
        return np.ascontiguousarray(clip, np.float32) / np.float32(255)


@functools.lru_cache(maxsize=_CACHED_SOUNDS)
def sound_of(path: Path) -> np.ndarray:
    """Return the mel spectrogram [80, C] of a WAV file of any rate and number of channels.

    Raises:
        DataError: it is missing, is no WAV file, is damaged or cut short, or is too short.
    """
    from scipy.signal import resample_poly

    rate, wav = _read_wav(path)
    if wav.dtype.kind == "u":
        wav = (wav.astype(np.float64) - 128) / 128
    elif wav.dtype.kind == "i":
        wav = wav / float(np.iinfo(wav.dtype).max + 1)
    wav = wav.mean(axis=1) if wav.ndim == 2 else wav
    if rate != SAMPLE_RATE:
        wav = resample_poly(wav, SAMPLE_RATE, rate)
    try:
        return melspectrogram(wav)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _read_wav(path: Path) -> tuple[int, np.ndarray]:
    """Return the rate and the samples [S] or [S, channels] of a WAV file."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks it does not know
            warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
            # What was written to a pipe does not know its length.
            warnings.filterwarnings("ignore", f".*expected {_ENDLESS} ", wavfile.WavFileWarning)
            rate, wav = wavfile.read(path)
    except wavfile.WavFileWarning as error:
        raise DataError(f"the sound {path} is cut short: {error}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read the sound {path}: {error}") from error
    except (struct.error, EOFError, ZeroDivisionError, UnboundLocalError) as error:
        raise DataError(f"cannot read the sound {path}: its header is damaged") from error
    if rate == 0:
        raise DataError(f"cannot read the sound {path}: its header gives a rate of 0")
    return rate, wav


def _listed(root: Path, lists: Path, split: str) -> list[Path]:
    root, path = root.expanduser(), lists.expanduser() / f"{split}.txt"
    beside = root / path.name
    if not path.exists() and beside.exists():
        path = beside
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise DataError(
            f"cannot read the list {path}: {error.strerror}; 'filelists_path' is the folder of "
            f"the lists, which name one folder in 'dataroot' a line ({beside} would do as well)"
        ) from error
    folders = [_folder(root, line.strip()) for line in lines if line.strip()]
    missing = [folder for folder in folders if not folder.is_dir()]
    if missing or not folders:
        problem = f"{missing[0]} of the list {path} is no folder" if missing else f"{path} is empty"
        raise DataError(f"{problem}: 'dataroot' is {root}")
    return folders


def _folder(root: Path, line: str) -> Path:
    """Return the folder that a line names; LRS2's own lists have more behind a space."""
    whole = root / line
    return whole if whole.is_dir() else root / line.split()[0]


def _starts(folder: Path, columns: int) -> list[int]:
    """Return the frames from which on five have a picture and a sound.

    Raises:
        DataError: there are none.
    """
    frames = {int(path.stem) for path in folder.glob("*.jpg") if path.stem.isdigit()}
    starts = [
        frame
        for frame in sorted(frames)
        if frame >= 1
        and all(frame + i in frames for i in range(FRAMES))
        and column_of(frame + FRAMES - 2, FPS) + WINDOW <= columns
    ]
    if not starts:
        raise DataError(
            f"{folder} has no {FRAMES} frames in a row (1.jpg, 2.jpg...) that {_SOUND} covers"
        )
    return starts
