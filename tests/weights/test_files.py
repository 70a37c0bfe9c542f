# SPDX-License-Identifier: Apache-2.0
"""Files of weights: recognised by content, read or refused in a sentence, written whole."""

import contextlib
import io
import json
import os
import pickle
import pickletools
import struct
import subprocess
import sys
import tarfile
import warnings
import zipfile

import cv2
import numpy as np
import paddle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from ppzoo.errors import UserError, WeightsError
from ppzoo.weights import read, read_safetensors, write_pdparams, write_safetensors

from .pieces import PROTO, name, text

NETS = {
    "netG": {
        "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
        "norm._mean": np.zeros(3, np.float64),
        "scalar": np.array(2.0, np.float32),
        "half": np.array([1.5], np.float16),
        "none of": np.zeros((0, 4), np.float32),
    },
    "netD": {"steps": np.array([3]), "flags": np.array([True, False])},
    "criterion": {},
}


def assert_same(got, wanted):
    assert type(got) is type(wanted)
    if isinstance(wanted, dict):
        assert got.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_same(got[key], value)
    elif isinstance(wanted, np.ndarray):
        assert got.dtype == wanted.dtype
        assert got.shape == wanted.shape
        assert got.flags.writeable
        np.testing.assert_array_equal(got, wanted)
    else:
        assert got == wanted


def refusal(path):
    """Return the one sentence with which a file is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(WeightsError) as caught:
            read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert len(message) < 400 + len(str(path))
    return message


# Round trips


def test_pdparams_round_trip(tmp_path):
    content = NETS | {
        "epoch": 3,
        "text": "é",
        "rng": [("MT19937", [1, 2], 0.5), None, True, 2j, b"bytes", {1, 2}],
        "names": np.array(["a", "bc"]),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    }
    write_pdparams(tmp_path / "x.pdparams", content)
    assert_same(read(tmp_path / "x.pdparams"), content)


def test_tensors_and_scalars_become_plain(tmp_path):
    parameter = paddle.nn.Linear(2, 2).weight
    half = paddle.ones([2]).astype("bfloat16")
    big_endian = np.arange(2, dtype=">f4")
    write_pdparams(
        tmp_path / "x", {"p": parameter, "h": half, "b": big_endian, "n": np.float32(0.5)}
    )
    got = read(tmp_path / "x")
    assert_same(got["p"], parameter.numpy())
    assert_same(got["h"], np.array([0x3F80, 0x3F80], np.uint16))
    assert_same(got["b"], np.arange(2, dtype=np.float32))
    assert_same(got["n"], 0.5)


def test_paddle_and_plain_pickle_read_what_is_written(tmp_path):
    path = tmp_path / "x.pdparams"
    write_pdparams(path, NETS | {"epoch": 3})
    for loaded in (
        paddle.load(str(path), return_numpy=True),
        pickle.loads(path.read_bytes()),  # noqa: S301
    ):
        assert_same(loaded, NETS | {"epoch": 3})
    tensor = paddle.load(str(path))["netG"]["conv.weight"]
    assert isinstance(tensor, paddle.Tensor)


def test_files_name_nothing_that_a_numpy_version_lacks(tmp_path):
    write_pdparams(tmp_path / "x", NETS)
    operations = list(pickletools.genops((tmp_path / "x").read_bytes()))
    texts = [str(argument) for _, argument, _ in operations]
    assert sum(operation.name == "STACK_GLOBAL" for operation, _, _ in operations) == 2
    assert {"numpy", "ndarray", "dtype"} <= set(texts)
    assert not any("core" in text for text in texts)
    assert max(operation.proto for operation, _, _ in operations) == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": {"b": object()}}, r"content\['a'\]\['b'\] is <class 'object'>"),
        ({"a": [np.array([None])]}, r"content\['a'\]\[0\] is an array of object"),
        ({"a": ("name", np.ones(2))}, "pair of text and array"),
        ({(1, 2): 3}, "has a key of"),
        ({"a": np.zeros(1, "f4,f4")}, "array of"),
    ],
)
def test_what_weights_files_do_not_hold(tmp_path, content, message):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(TypeError, match=message):
        write_pdparams(tmp_path / "x", content)
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_bytes() == b"old"


def test_safetensors_round_trip_nested(tmp_path):
    write_safetensors(tmp_path / "x.safetensors", NETS, {"epoch": "3"})
    assert_same(read(tmp_path / "x.safetensors"), NETS)
    assert_same(read_safetensors(tmp_path / "x.safetensors"), NETS)
    data = (tmp_path / "x.safetensors").read_bytes()
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    assert "netG/conv.weight" in header
    assert header["__metadata__"]["epoch"] == "3"
    assert header["__metadata__"]["layout"] == "net/param"


def test_safetensors_round_trip_flat(tmp_path):
    flat = {"conv.weight": paddle.ones([2, 3]), "b": np.asfortranarray(np.eye(2, 3))}
    write_safetensors(tmp_path / "x", flat)
    assert_same(read(tmp_path / "x"), {"conv.weight": np.ones((2, 3), "f4"), "b": np.eye(2, 3)})


def test_foreign_safetensors_stay_flat(tmp_path):
    (tmp_path / "x").write_bytes(save({"a/b": np.ones(2)}))
    assert_same(read(tmp_path / "x"), {"a/b": np.ones(2)})


@pytest.mark.parametrize(
    ("arrays", "metadata", "told"),
    [
        ({"fc.weight": np.eye(3)}, None, "matrices such as fc.weight transposed"),
        ({"fc.weight": np.eye(3)}, {"epoch": "3"}, "does not say whether PyTorch wrote it"),
        ({"fc.weight": np.eye(3)}, {"format": "pt"}, ""),
        ({"fc.weight": np.eye(3)}, {"format": "pd"}, ""),
        # What does not fit both ways round is refused by its shape.
        ({"fc.weight": np.eye(3, 2), "fc.bias": np.ones(3), "x": np.eye(3)}, None, ""),
    ],
)
def test_safetensors_that_do_not_say_who_wrote_them(tmp_path, caplog, arrays, metadata, told):
    (tmp_path / "x").write_bytes(save(arrays, metadata=metadata))
    read(tmp_path / "x")
    assert (told in caplog.text) if told else not caplog.text
    caplog.clear()
    for ours in (arrays, {"net": arrays}):
        write_safetensors(tmp_path / "y", ours)
        assert_same(read(tmp_path / "y"), ours)
    assert not caplog.text


def test_safetensors_bfloat16_is_kept_as_bits(tmp_path):
    header = json.dumps({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}).encode()
    data = struct.pack("<Q", len(header)) + header + b"\x80\x3f\x00\xc0"
    (tmp_path / "x").write_bytes(data)
    assert_same(read(tmp_path / "x"), {"w": np.array([0x3F80, 0xC000], np.uint16)})


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({"epoch": 3}, TypeError, "'epoch' is <class 'int'>"),
        ({"a": {"b/c": np.ones(1)}}, ValueError, "the name 'b/c' is not text without '/'"),
        ({1: {}}, ValueError, "the name '1' is not text"),
        ({"a": {"b": np.ones(1, "c16")}}, TypeError, "'a/b' is an array of complex128"),
        ({"a": np.array(["text"])}, TypeError, "'a' is an array of <U4"),
        ({"\x1b" * 9000 + "/": np.ones(1)}, ValueError, r"the name '.x1b.{0,200} is not text"),
    ],
)
def test_what_safetensors_do_not_hold(tmp_path, arrays, error, message):
    with pytest.raises(error, match=message):
        write_safetensors(tmp_path / "x", arrays)
    assert os.listdir(tmp_path) == []


# Files that are no weights


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in members.items():
            archive.writestr(member.replace("__", "/").replace("_dot_", "."), data)
    return buffer.getvalue()


def tarred():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x.pdparams"))
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.ones(2))
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, np.ones(2))
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
FOREIGN = {
    "empty": (b"", "an empty file"),
    "web page": (b"<!DOCTYPE html>\n<html><body>404</body></html>", "a web page"),
    "XML error": (
        b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
        "an error message",
    ),
    "JSON error": (b'{"code":"NoSuchKey","message":"..."}', "server's error message"),
    "text": ("weights: naïve\n".encode(), "a text file"),
    "text with a byte order mark": ("\ufeff<html>".encode(), "a web page"),
    "Git LFS pointer": (LFS, "git lfs pull"),
    "damaged PyTorch": (
        zipped(archive__data_dot_pkl=b"x", archive__version=b"3"),
        "is damaged (the byte 78 is no instruction)",
    ),
    "cut PyTorch before 1.6": (
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
        "cut short after 21 bytes",
    ),
    "zip": (zipped(model_dot_pdparams=b"x"), "a zip archive: unpack it"),
    "damaged zip": (zipped(a=b"x")[:20], "a damaged zip archive"),
    "npz": (npz(), "NumPy .npz"),
    "npy": (npy(), "NumPy .npy"),
    "gzip": (b"\x1f\x8b\x08\x00rest", "a gzip archive"),
    "tar": (tarred(), "a tar archive"),
    "PNG": (cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes(), "a PNG picture"),
    "JPEG": (cv2.imencode(".jpg", np.zeros((2, 2), np.uint8))[1].tobytes(), "a JPEG picture"),
    "HDF5": (b"\x89HDF\r\n\x1a\n....", "HDF5"),
    "zeros": (bytes(5000), "filled with zeros"),
    "inference parameters": (bytes(16) + b"\x05\x00\x00\x00\x08\x05\x10\x02", "inference model"),
    "random bytes": (bytes(range(200, 256)) * 3, "not a weights file"),
    "list": (pickle.dumps([1]), "holds a list, where a dictionary"),
    "cut pickle": (pickle.dumps({"a": np.ones(9)})[:-9], "cut short"),
    "changed pickle": (pickle.dumps({"a": 1}).replace(b"K\x01", b"\xff\xff"), "is damaged"),
    "text pickle": (pickle.dumps({"a": 1}, 0), "protocols 0 and 1"),
    "command": (
        PROTO + name("os", "system") + text("ls") + b"\x85R.",
        "refused, because it holds os",
    ),
    "command as text": (b"cos\nsystem\n(S'ls'\ntR.", "refused, because it holds os.system"),
    "cut safetensors": (save({"a": np.ones(9)})[:-9], "damaged safetensors file"),
    "safetensors that lie": (
        save({"a": np.ones(2)}).replace(b"[2]", b"[9]"),
        "damaged safetensors file",
    ),
}


@pytest.mark.parametrize(("text", "quoted"), [("hello", "'hello'"), ("简体中文 README", None)])
def test_text_is_quoted_where_every_terminal_shows_it(tmp_path, text, quoted):
    path = tmp_path / "w.pdparams"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError) as error:
        read(path)
    end = f" (it begins with {quoted})" if quoted else ""
    assert str(error.value).endswith(f"is a text file, which cannot hold weights{end}")


@pytest.mark.parametrize("kind", list(FOREIGN))
def test_foreign_and_damaged_files_are_named(tmp_path, kind):
    data, what = FOREIGN[kind]
    path = tmp_path / "x.pdparams"
    path.write_bytes(data)
    assert what in refusal(path)


def test_safetensors_types_that_numpy_lacks(tmp_path):
    header = b'{"w":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'
    (tmp_path / "x").write_bytes(struct.pack("<Q", len(header)) + header + b"a")
    assert "convert it to float32" in refusal(tmp_path / "x")


def test_read_safetensors_reads_no_pickle(tmp_path):
    write_pdparams(tmp_path / "x", NETS)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        read_safetensors(tmp_path / "x")


def test_missing_file_and_its_likely_name(tmp_path):
    assert "there is no file" in refusal(tmp_path / "x")
    write_pdparams(tmp_path / "x.pdparams", NETS)
    assert "did you mean x.pdparams?" in refusal(tmp_path / "x")


def test_folder(tmp_path):
    assert "is a folder" in refusal(tmp_path)


def test_folder_within_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "cannot read" in refusal(tmp_path / "file" / "x")


def test_device():
    assert "device or pipe" in refusal(os.devnull)


SEEDS = [save({"a": np.ones(2), "b": np.zeros((1, 2), np.int8)}), pickle.dumps(NETS)]


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damage_anywhere_is_refused_or_harmless(tmp_path, data):
    mutant = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(mutant)))
        end = start + data.draw(st.integers(0, 4))
        mutant[start:end] = data.draw(st.binary(max_size=4))
    path = tmp_path / "x"
    path.write_bytes(bytes(mutant))
    try:
        content = read(path)
    except WeightsError as error:
        content = {"message": str(error)}
    assert isinstance(content, dict)
    assert len(content.get("message", "")) < 600 + len(str(path))


# Written whole or not at all


@pytest.mark.parametrize("write", [write_pdparams, write_safetensors])
def test_unwritable_place(tmp_path, write):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="cannot write"):
        write(tmp_path / "file" / "x", {"a": np.ones(2)})


WRITER = """
import sys
import numpy as np
from ppzoo.weights import write_pdparams

print("ready", flush=True)
write_pdparams(sys.argv[1], {"netG": {"w": np.full(10_000_000, 2.0, np.float32)}})
"""


def kill_while_writing(path):
    """Kill a process in the middle of writing; False if it had written everything before."""
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"ready"
        while not parts_of(path) and process.poll() is None:
            pass
        process.kill()
        process.wait(30)
    return bool(parts_of(path))


def parts_of(path):
    sizes = []
    for part in path.parent.iterdir():
        with contextlib.suppress(FileNotFoundError):
            sizes.append(part.stat().st_size if part != path else 0)
    return [size for size in sizes if 0 < size < 40_000_000]


def test_killed_while_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "iter_1_checkpoint.pdparams"
    for _ in range(10):
        write_pdparams(path, NETS)
        if kill_while_writing(path):
            break
    else:
        pytest.fail("the writer was never caught in the act")
    assert_same(read(path), NETS)
    write_pdparams(path, {"netG": {"w": np.ones(2)}})
    assert_same(read(path), {"netG": {"w": np.ones(2)}})
