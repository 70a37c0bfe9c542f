# SPDX-License-Identifier: Apache-2.0
"""Spectrograms of speech, as Wav2Lip's networks know them (Prajwal et al. 2020, arXiv:2008.10010).

The sound of a window in 80 bands from low to high, in decibels scaled to -4..4: 80 columns a
second. Numbers equal those of PaddleGAN with librosa 0.8.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ppzoo.errors import DataError

SAMPLE_RATE = 16000
BANDS = 80
COLUMNS_PER_SECOND = 80
# Columns that the networks hear at once: a fifth of a second.
WINDOW = 16
_FFT, _HOP = 800, 200
_LOWEST, _HIGHEST = 55.0, 7600.0
_PREEMPHASIS = 0.97
_REFERENCE_DB, _FLOOR_DB = 20.0, -100.0
_LIMIT = 4.0
SILENCE = -_LIMIT
_PIECE = 2**16  # samples that are transformed at once, some 4 s


def melspectrogram(wav: np.ndarray) -> np.ndarray:
    """Return the mel spectrogram, float32 [80, 1 + T // 200] in [-4, 4].

    Args:
        wav: [T], 16 kHz, in [-1, 1].

    Raises:
        DataError: fewer than 401 samples, or more than one channel.
    """
    return _scaled(_mel_bands() @ _magnitudes(wav))


def mel_pieces(chunks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the mel spectrogram of a sound of any length piece by piece, float32 [80, c].

    Together they are what `melspectrogram` makes of the whole sound, within rounding.

    Args:
        chunks: the sound in pieces [t] of any length, 16 kHz, in [-1, 1].

    Raises:
        DataError: fewer than 401 samples.
    """
    half = _FFT // 2
    waiting: list[np.ndarray] = []
    held, before, count = np.zeros(0), 0.0, 0
    for chunk in chunks:
        if not len(chunk):
            continue
        wav = np.asarray(chunk, np.float64)
        waiting.append(wav - _PREEMPHASIS * np.append(before, wav[:-1]))
        before = wav[-1]
        is_first, count = count <= half, count + len(wav)
        if count <= half or (not is_first and sum(map(len, waiting)) < _PIECE):
            continue
        held = np.concatenate([held, *waiting])
        waiting.clear()
        if is_first:
            held = np.concatenate([held[half:0:-1], held])
        made = 1 + (len(held) - _FFT) // _HOP
        yield _scaled(_mel_bands() @ _transformed(held))
        # More than half a window, which the end is mirrored from.
        held = held[made * _HOP :]
    if count <= half:
        raise DataError(_too_short([count]))
    held = np.concatenate([held, *waiting])
    yield _scaled(_mel_bands() @ _transformed(np.append(held, held[-2 : -half - 2 : -1])))


def linearspectrogram(wav: np.ndarray) -> np.ndarray:
    """Return the spectrogram without bands, float32 [401, 1 + T // 200]; see `melspectrogram`."""
    return _scaled(_magnitudes(wav))


def column_of(frame: int, fps: float) -> int:
    """Return the column of a spectrogram that stands at the beginning of a video's frame."""
    return int(COLUMNS_PER_SECOND * (frame / float(fps)))


def windows_of(mel: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return windows [K, 80, 16] of a spectrogram [80, C] from columns `starts` [K] on.

    Beyond its ends, the spectrogram is continued by its first and last column.
    """
    columns = np.asarray(starts)[:, np.newaxis] + np.arange(WINDOW)
    return mel[:, np.clip(columns, 0, mel.shape[1] - 1)].transpose(1, 0, 2)


def windows_around(
    mel: np.ndarray, frame: int, reach: int, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sounds of a video's frames from `frame - reach` to `frame + reach`.

    Args:
        mel: spectrogram [80, C].
        frame: the first of those that the sound in the middle belongs to.
        reach: how many frames before and after it.
        fps: frames a second.

    Returns:
        windows [2 reach + 1, 80, 16], continued as in `windows_of`, and whether the spectrogram has
        all of each, bool [2 reach + 1].
    """
    frames = np.arange(frame - reach, frame + reach + 1)
    starts = np.array([column_of(int(number), fps) for number in frames])
    is_known = (frames >= 0) & (starts + WINDOW <= mel.shape[1])
    return windows_of(mel, starts), is_known


def audio_config() -> dict[str, float | bool]:
    """Return the numbers above under PaddleGAN's names."""
    return {
        "num_mels": BANDS,
        "rescale": True,
        "rescaling_max": 0.9,
        "use_lws": False,
        "n_fft": _FFT,
        "hop_size": _HOP,
        "win_size": _FFT,
        "sample_rate": SAMPLE_RATE,
        "signal_normalization": True,
        "allow_clipping_in_normalization": True,
        "symmetric_mels": True,
        "max_abs_value": _LIMIT,
        "preemphasize": True,
        "preemphasis": _PREEMPHASIS,
        "min_level_db": int(_FLOOR_DB),
        "ref_level_db": int(_REFERENCE_DB),
        "fmin": int(_LOWEST),
        "fmax": int(_HIGHEST),
        "fps": 25,
    }


def _magnitudes(wav: np.ndarray) -> np.ndarray:
    """Return the magnitudes of the short-time Fourier transform, float64 [401, 1 + T // 200]."""
    wav = np.asarray(wav, np.float64)
    if wav.ndim != 1 or len(wav) <= _FFT // 2:
        raise DataError(_too_short(wav.shape))
    emphasised = np.append(wav[:1], wav[1:] - _PREEMPHASIS * wav[:-1])
    return _transformed(np.pad(emphasised, _FFT // 2, mode="reflect"))


def _transformed(padded: np.ndarray) -> np.ndarray:
    """Return the magnitudes of all whole windows, float64 [401, 1 + (T - 800) // 200]."""
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::_HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT) / _FFT)  # periodic Hann
    return np.abs(np.fft.rfft(frames * window, axis=1)).T


def _too_short(shape: Sequence[int]) -> str:
    return (
        f"a spectrogram needs one channel of {_FFT // 2 + 1} samples or more at "
        f"{SAMPLE_RATE} Hz, got {list(shape)}"
    )


def _scaled(magnitudes: np.ndarray) -> np.ndarray:
    floor = 10 ** (_FLOOR_DB / 20)
    decibels = 20 * np.log10(np.maximum(floor, magnitudes)) - _REFERENCE_DB
    scaled = 2 * _LIMIT * (decibels - _FLOOR_DB) / -_FLOOR_DB - _LIMIT
    return np.clip(scaled, -_LIMIT, _LIMIT).astype(np.float32)


@functools.cache
def _mel_bands() -> np.ndarray:
    """Return triangular filters [80, 401] of equal area, evenly spaced on Slaney's mel scale."""
    edges = _hertz(np.linspace(_mels(_LOWEST), _mels(_HIGHEST), BANDS + 2))
    places = np.arange(_FFT // 2 + 1) * SAMPLE_RATE / _FFT
    rising = (places - edges[:-2, np.newaxis]) / (edges[1:-1] - edges[:-2])[:, np.newaxis]
    falling = (edges[2:, np.newaxis] - places) / (edges[2:] - edges[1:-1])[:, np.newaxis]
    filters = np.maximum(0, np.minimum(rising, falling))
    return filters * (2 / (edges[2:] - edges[:-2]))[:, np.newaxis]


# Slaney's scale is linear up to 1 kHz, which is 15 mels, and logarithmic above.
_KNEE_HERTZ, _KNEE_MELS = 1000.0, 15.0
_MELS_PER_LOG = 27 / np.log(6.4)


def _mels(hertz: float) -> float:
    if hertz < _KNEE_HERTZ:
        return hertz * _KNEE_MELS / _KNEE_HERTZ
    return _KNEE_MELS + np.log(hertz / _KNEE_HERTZ) * _MELS_PER_LOG


def _hertz(mels: np.ndarray) -> np.ndarray:
    above = _KNEE_HERTZ * np.exp((mels - _KNEE_MELS) / _MELS_PER_LOG)
    return np.where(mels < _KNEE_MELS, mels * _KNEE_HERTZ / _KNEE_MELS, above)
