# SPDX-License-Identifier: Apache-2.0
"""Weights files that thousands of accidents and attacks could have left: read or refused.

Each is read as a user's command would: nothing but the file is opened, no code runs, arrays take at
most four times the file's size and all else at most what so many instructions can make, and what
cannot be read gives one sentence. `PPZOO_FUZZ=100000` draws that many files a test, other ones each
time.
"""

import contextlib
import os
import pickle
import re
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppzoo.errors import WeightsError
from ppzoo.weights import pickles, read, read_safetensors
from ppzoo.weights.load import match_state, select_net
from ppzoo.weights.torch_names import TorchArrays

from ..watch import memory_peak, watched
from . import mutants

COUNT = int(os.environ.get("PPZOO_FUZZ", "0"))


def fuzz(examples):
    return settings(
        max_examples=COUNT or examples,
        deadline=None,
        derandomize=not COUNT,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


EXPECTED = {"conv.weight": np.zeros((2, 3, 2, 1), np.float32), "layer0.weight": np.zeros(2)}
CONTAINERS = (dict, list, tuple, set, frozenset)
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder and a file in it, of which every kind has been read once."""
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / "x.pdparams"
    for data in (
        *mutants.SAVED,
        mutants.ONE_SAFETENSORS,
        mutants.ONE_ZIP,
        mutants.ONE_LEGACY,
    ):
        path.write_bytes(data)
        read(path)
    for data in (
        b"",
        b"{",
        b"PK\x03\x04",
        mutants.ONE_ZIP[:-30],
        mutants.ONE_LEGACY[:-1],
        b"\x80\x04.",
    ):
        path.write_bytes(data)
        with pytest.raises(WeightsError):
            read(path)
    return folder, path


def assert_plain(value, depth=0):
    assert depth < 80
    if isinstance(value, dict):
        for key, item in value.items():
            assert isinstance(key, (*PLAIN, tuple))
            assert_plain(item, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            assert_plain(item, depth + 1)
    elif isinstance(value, np.ndarray):
        assert type(value) is np.ndarray
        assert value.dtype.kind in "biufcSU"
        value.sum() if value.dtype.kind in "biufc" and value.size < 10_000 else value.tobytes()
    else:
        assert isinstance(value, PLAIN)


def bytes_of_arrays(value):
    if isinstance(value, (np.ndarray, np.generic)):
        return value.nbytes
    items = value.values() if isinstance(value, dict) else value
    return sum(map(bytes_of_arrays, items)) if isinstance(value, CONTAINERS) else 0


def assert_sentence(error, path):
    text = str(error)
    assert str(path) in text
    assert text.isprintable(), ascii(text)
    assert len(text) < 700 + len(str(path))


def use(path, how):
    """Read a file, and find a network in it that fits, as predictors do."""
    content = how(path)
    assert type(content) in (dict, TorchArrays)
    assert_plain(content)
    assert bytes_of_arrays(content) <= 4 * path.stat().st_size
    for net in ("netG", "w0"):
        try:
            match_state(EXPECTED, select_net(content, net, path, prefer_ema=True), path)
        except WeightsError as error:
            assert_sentence(error, path)
    return content


def most_memory(data):
    """Return the bytes that reading may take.

    Arrays take nine times the file's size, but an empty set, of one byte in a file, takes 216.
    """
    return 3_000_000 + 300 * len(data)


def assert_harmless(place, data, how=read):
    folder, path = place
    path.write_bytes(data)
    start = time.process_time()
    with watched(path) as done, memory_peak() as peak:
        try:
            use(path, how)
        except WeightsError as error:
            assert_sentence(error, path)
    assert done == []
    assert os.listdir(folder) == [path.name]
    assert not os.path.exists("executed")
    assert peak[0] < most_memory(data)
    assert time.process_time() - start < 5


@fuzz(400)
@given(data=st.sampled_from(mutants.PICKLES).flatmap(mutants.damaged))
def test_damaged_pickles(place, data):
    assert_harmless(place, data)


@fuzz(250)
@given(data=mutants.programs())
def test_pickles_of_shuffled_instructions(place, data):
    assert_harmless(place, data)


@fuzz(300)
@given(data=mutants.safetensors(), how=st.sampled_from([read, read_safetensors]))
def test_safetensors(place, data, how):
    assert_harmless(place, data, how)


@fuzz(200)
@given(data=mutants.torch_zips())
def test_torch_archives(place, data):
    assert_harmless(place, data)


@fuzz(250)
@given(data=mutants.torch_legacy())
def test_torch_files_before_1_6(place, data):
    assert_harmless(place, data)


@fuzz(300)
@given(data=st.binary(max_size=200))
def test_any_bytes(place, data):
    assert_harmless(place, data)


# Attacks that chance would not find


def refusal(place, data):
    path = place[1]
    path.write_bytes(data)
    with watched(path) as done, memory_peak() as peak, pytest.raises(WeightsError) as caught:
        read(path)
    assert_sentence(caught.value, path)
    assert done == []
    assert peak[0] < most_memory(data)
    return str(caught.value)


def test_compressed_bombs(place):
    data = mutants.deflated_bomb(50_000_000)
    assert len(data) < 60_000
    assert "which PyTorch never writes" in refusal(place, data)
    # One that says that it is none: as much is unpacked as it says.
    data = mutants.deflated_bomb(50_000_000, said=4)
    place[1].write_bytes(data)
    with memory_peak() as peak, contextlib.suppress(WeightsError):
        assert read(place[1])["w"].shape == (1,)
    assert peak[0] < most_memory(data)


def test_arrays_take_four_times_the_size_of_the_file(place):
    path, size = place[1], 3_000_000
    for count, kind in ((1, "Byte"), (1, "Bool"), (2, "Byte"), (20, "Byte")):
        data = mutants.shared_and_deflated(count, size, kind)
        assert size / 3 < len(data) < size / 3 + 20_000
        if count > 1:
            assert "more arrays than there is room for" in refusal(place, data)
            continue
        path.write_bytes(data)
        with memory_peak() as peak:
            assert bytes_of_arrays(read(path)) == size
        assert peak[0] < 2.1 * size < 9 * len(data)  # its memory, and the array made of it


def test_parts_that_repeat_others(place):
    data = mutants.repeated_parts(1, 100_000)
    place[1].write_bytes(data)
    assert read(place[1])["w"].shape == (100_000,)
    with memory_peak() as peak:
        text = refusal(place, mutants.repeated_parts(200, 100_000))
    assert "parts of a split array that repeat others" in text
    assert peak[0] < 1_000_000


def test_parts_within_parts_are_not_read_again_and_again(place):
    data = mutants.overlapping_parts(300, 100_000)
    start = time.process_time()
    # Since 3.12.2, Python itself finds parts that overlap.
    assert re.search("more memory than there is room for|is damaged", refusal(place, data))
    assert time.process_time() - start < 2
    place[1].write_bytes(mutants.overlapping_parts(1, 1000))
    assert read(place[1])["w0"].shape == (1,)


def test_keys_of_one_hash(place):
    assert "more than 1000 keys that are not text" in refusal(place, mutants.colliding_keys(30_000))
    place[1].write_bytes(mutants.colliding_keys(1000))
    assert len(read(place[1])) == 1000


def test_as_many_instructions_as_weights_need(place, monkeypatch):
    monkeypatch.setattr(pickles, "_MAX_STEPS", 1000)
    assert "more than 1000 instructions" in refusal(place, b"\x80\x02(" + b"}" * 1000 + b"t.")


@pytest.mark.parametrize("opening", [b"(", b"]", b"\x85", b"(}"])
def test_bottomless_nesting(place, opening):
    for start, depth in ((b"\x80\x02N", 100_000), (mutants.LEGACY + b"\x80\x02N", 10_000)):
        refusal(place, start + opening * depth + b".")


def test_the_watch_sees_what_files_could_do(tmp_path, monkeypatch):
    # Without this, the tests above could pass because nothing is ever seen.
    monkeypatch.chdir(tmp_path)
    with watched() as done:
        pickle.loads(b"\x80\x04" + mutants.COMMAND + b".")  # noqa: S301
    assert any(event.startswith("os.system") for event in done)
    assert (tmp_path / "executed").exists()
    (tmp_path / "executed").unlink()
    with watched("executed") as done:
        (tmp_path / "executed").write_bytes(b"")
    assert len(done) == 1
    with watched() as done:
        eval("1 + 1")  # noqa: S307
    assert any(event.startswith("exec") for event in done)
