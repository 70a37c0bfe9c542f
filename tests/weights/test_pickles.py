# SPDX-License-Identifier: Apache-2.0
"""Pickles are read as data: everything Paddle saves, and nothing that could act."""

import collections
import io
import pickle
import struct
import time

import numpy as np
import paddle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paddle.optimizer import lr

from ppzoo.weights import pickles
from ppzoo.weights.pickles import DamagedError, RefusedError, TruncatedError

from .pieces import ARRAY, PROTO, content, dtype, name, number, text
from .saved import SAVED


def load(data):
    return pickles.load(io.BytesIO(data), len(data))


def assert_same(got, wanted, where="content"):
    """Equal, with the same types throughout (but dict for OrderedDict)."""
    if isinstance(wanted, dict):
        assert type(got) is dict, where
        assert list(got) == list(wanted), where
        for key, value in wanted.items():
            assert_same(got[key], value, f"{where}/{key}")
    elif isinstance(wanted, (list, tuple)):
        assert type(got) is type(wanted), where
        assert len(got) == len(wanted), where
        for index, value in enumerate(wanted):
            assert_same(got[index], value, f"{where}/{index}")
    elif isinstance(wanted, np.ndarray):
        assert type(got) is np.ndarray, where
        assert got.dtype == wanted.dtype.newbyteorder("="), where
        assert got.flags.writeable, where
        assert got.shape == wanted.shape, where
        np.testing.assert_array_equal(got, wanted, where)
    else:
        assert type(got) is type(wanted), where
        assert got == wanted, where


# Whatever Paddle saves


def network():
    paddle.seed(0)
    return paddle.nn.Sequential(paddle.nn.Conv2D(1, 2, 3), paddle.nn.BatchNorm2D(2))


def optimizer_state(scheduler):
    net = network()
    adam = paddle.optimizer.Adam(scheduler, parameters=net.parameters())
    net(paddle.ones([1, 1, 8, 8])).mean().backward()
    adam.step()
    return adam.state_dict()


def arrays():
    return {name: value.numpy() for name, value in network().state_dict().items()}


def schedule_with_numpy_scalars():
    scheduler = lr.ReduceOnPlateau(0.1)
    scheduler.step(np.float32(1.0))
    return scheduler


def nested_schedule():
    return lr.LinearWarmup(lr.CosineAnnealingDecay(0.1, 10), 3, 0, 0.1)


TO_SAVE = {
    "state dict": lambda: network().state_dict(),
    "weights as PaddleGAN": lambda: {"netG": arrays(), "netD": arrays()},
    "checkpoint as PaddleGAN": lambda: {
        "netG": arrays(),
        "epoch": 7,
        "optim": optimizer_state(lr.MultiStepDecay(0.1, [2])),
    },
    "tensors in containers": lambda: {
        "netG": network().state_dict(),
        "list": [paddle.ones([2]), (paddle.ones([1]), 3)],
    },
    "plain learning rate": lambda: optimizer_state(0.1),
    "nested schedule": lambda: optimizer_state(nested_schedule()),
    "schedule with NumPy scalars": lambda: optimizer_state(schedule_with_numpy_scalars()),
    "bare tensor": lambda: paddle.arange(6, dtype="float32").reshape([2, 3]),
    "list of tensors": lambda: [paddle.ones([2]), {"x": paddle.zeros([1])}],
    "bfloat16": lambda: {"w": paddle.ones([3]).astype("bfloat16")},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", list(TO_SAVE))
def test_equals_paddle_load(tmp_path, kind, protocol):
    path = str(tmp_path / "x.pdparams")
    paddle.save(TO_SAVE[kind](), path, protocol=protocol)
    with open(path, "rb") as file:
        got = load(file.read())
    assert_same(got, paddle.load(path, return_numpy=True))


@pytest.mark.parametrize("origin", list(SAVED))
def test_reads_files_of_other_versions(origin):
    content = load(SAVED[origin])
    w = np.array([[1.5, -2.0]], np.float32)
    if origin.endswith("protocol 5"):
        assert_same(content, {"w": w})
        return
    optim = {"lr": np.float32(0.25), "flags": np.array([True, False])}
    assert_same(content, {"netG": {"w": w}, "epoch": 3, "optim": optim})


def test_joins_arrays_that_paddle_split(tmp_path):
    whole = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    content = {
        "a@@.0": whole.ravel()[:16],
        "a@@.1": whole.ravel()[16:],
        "b": np.ones(2),
        "UnpackBigParamInfor@@": {
            "a": {"OriginShape": (2, 3, 4), "slices": ["a@@.0", "a@@.1"]},
        },
        "StructuredToParameterName@@": {"a": "linear_0.w_0"},
    }
    data = pickle.dumps(content, protocol=2)
    (tmp_path / "x.pdparams").write_bytes(data)
    wanted = paddle.load(str(tmp_path / "x.pdparams"), return_numpy=True)
    assert wanted["a"].shape == (2, 3, 4)
    got = load(data)
    assert got.keys() == wanted.keys()
    assert_same(got, {"b": np.ones(2), "a": whole})


@pytest.mark.parametrize(
    "table",
    [5, {"a": {}}, {"a": {"slices": ["b", "b"], "OriginShape": (2,)}}, {"a": {"slices": []}}],
)
def test_split_arrays_that_do_not_fit(table):
    with pytest.raises(DamagedError, match="split array"):
        load(pickle.dumps({"b": np.ones(2), "UnpackBigParamInfor@@": table}))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_plain_value(protocol):
    content = {
        "scalars": [1, -(10**30), 1.5, True, False, None, 2 + 3j, "é𝄞", "", 255, 65536, -1],
        "bytes": (b"", b"x", bytes(range(256)), b"long" * 100),
        "numpy": [np.float32(3), np.int64(-3), np.bool_(True), np.float16(0.5), np.complex64(1j)],
        "sets": {1, "a", 2.5},
        "frozen": frozenset([1]),
        "empty": [{}, [], (), set()],
        "ordered": collections.OrderedDict(b=1, a=2),
        "keys": {1: "a", (1, "b"): "c", None: "d"},
        "long list": list(range(2000)),
        "shared": [[1]] * 3,
        "matrix": np.arange(6.0).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "strided": np.arange(12, dtype=np.int32).reshape(3, 4)[:, ::2],
        "axes": np.arange(24, dtype=np.int8).reshape(2, 3, 4).transpose(1, 2, 0),
        "big endian": np.arange(3, dtype=">f4"),
        "zero": np.array(3.0),
        "none of": np.zeros((0, 3), np.float32),
        "texts": np.array(["a", "b𝄞c"]),
        "big endian text": np.array(["ab", "c"]).astype(">U2"),
        "byte strings": np.array([b"ab", b"c"]),
        "flags": np.array([True, False]),
        "bfloat16 bits": np.array([0x3F80], np.uint16),
    }
    assert_same(load(pickle.dumps(content, protocol)), content)


def test_python_2_wrote_bytes_as_text():
    raw = np.array([1.0, -255.0], np.float32).tobytes()
    data = PROTO + ARRAY + content(2, b"U\x08" + raw) + b"."
    assert_same(load(data), np.array([1.0, -255.0], np.float32))


def test_arrays_of_one_memory_are_separate():
    flat = np.zeros(4, np.float32)
    got = load(pickle.dumps([flat, flat[:]], protocol=5))
    got[0][0] = 1
    assert got[1][0] == 0


# Whatever could act, or fill the memory

CALL = text("mkdir executed") + b"\x85R."
HOSTILE = {
    "command": (PROTO + name("os", "system") + CALL, "os.system"),
    "command of protocol 0": (b"cos\nsystem\n(S'mkdir executed'\ntR.", "os.system"),
    "class of protocol 0": (b"(S'mkdir executed'\nios\nsystem\n.", "protocols 0 and 1"),
    "eval": (PROTO + name("builtins", "eval") + CALL, "builtins.eval"),
    "eval of Python 2": (b"\x80\x02c__builtin__\neval\n" + CALL, "__builtin__.eval"),
    "getattr": (PROTO + name("builtins", "getattr") + b".", "builtins.getattr"),
    "import": (PROTO + name("importlib", "import_module") + CALL, "importlib.import_module"),
    "numpy.load": (PROTO + name("numpy", "load") + CALL, "numpy.load"),
    "memmap": (PROTO + name("numpy", "memmap") + CALL, "numpy.memmap"),
    "ctypes": (PROTO + name("numpy.ctypeslib", "ctypes") + b".", "numpy.ctypeslib.ctypes"),
    "method": (PROTO + name("numpy", "ndarray.tofile") + b".", "numpy.ndarray.tofile"),
    "attribute of an allowed function": (
        PROTO + name("numpy._core.multiarray", "_reconstruct.__self__") + b".",
        "_reconstruct.__self__",
    ),
    "call of a value": (PROTO + text("print") + b")R.", "not a function"),
    "object of a class": (PROTO + name("numpy", "ndarray") + b")\x81.", "objects of a class"),
    "class as a value": (PROTO + name("numpy", "ndarray") + b".", "a function or type"),
    "array of another class": (
        PROTO
        + name("numpy._core.multiarray", "_reconstruct")
        + name("builtins", "list")
        + b"K\x00\x85C\x01b\x87R.",
        "not a plain numpy.ndarray",
    ),
    "state of a dictionary": (
        PROTO + name("collections", "OrderedDict") + b")R}" + text("x") + b"K\x01sb.",
        "not an array",
    ),
    "codec": (
        PROTO + name("_codecs", "encode") + text("a") + text("rot13") + b"\x86R.",
        "Latin-1",
    ),
    "strange argument": (PROTO + name("numpy", "dtype") + dtype("f4") + b"\x85R.", "not named"),
    "missing argument": (PROTO + name("numpy", "dtype") + b")R.", "never writes"),
    "persistent id": (PROTO + b"K\x01Q.", "outside the file"),
    "extension": (PROTO + b"\x82\x01.", "outside the file"),
    "objects in an array": (
        PROTO + ARRAY + content(1, b"]K\x01a", dtype("O8")) + b".",
        "Python objects",
    ),
    "records": (
        PROTO + ARRAY + content(1, b"C\x04abcd", dtype("f4", b"N" + text("a") + b"\x85}")) + b".",
        "records",
    ),
    "dates": (PROTO + ARRAY + content(1, b"C\x08abcdefgh", dtype("M8")) + b".", "M8"),
    "million million numbers": (
        PROTO + ARRAY + content(10**12, b"C\x04abcd") + b".",
        r"shape \(1000000000000,\) from 4 bytes",
    ),
    "negative length": (PROTO + ARRAY + content(-1, b"C\x00") + b".", "not a shape"),
    "huge shape of nothing": (
        PROTO
        + ARRAY
        + (b"(K\x01K\x00" + number(2**47) * 2 + b"\x87" + dtype("f4") + b"\x89C\x00tb")
        + b".",
        "too large for NumPy",
    ),
    "nested lists": (PROTO + b"]" * 100_000 + b"a" * 99_999 + b".", "nested more than"),
    "nested tuple as a key": (PROTO + b"})" + b"\x85" * 60_000 + b"K\x01s.", "a key that"),
    "list in itself": (PROTO + b"]\x94h\x00a.", "nested more than"),
    "lists of lists, ten times each": (
        PROTO
        + b"(]\x94"
        + b"".join(b"](" + bytes([104, i]) * 10 + b"e\x94" for i in range(20))
        + b"t.",
        "unfolds",
    ),
    "copies of a list": (
        PROTO
        + (b"(" + name("builtins", "tuple") + b"\x94]\x94(" + b"K\x01" * 10_000 + b"e")
        + (b"h\x00h\x01\x85R" * 1000 + b"t."),
        "more items than",
    ),
    "copies of an array": (
        PROTO
        + (b"(B" + struct.pack("<I", 40_000) + b"x" * 40_000 + b"\x94" + dtype("f4") + b"\x94")
        + (ARRAY + b"(K\x01M\x10\x27\x85h\x01\x89h\x00tb") * 100
        + b"t.",
        "more arrays than",
    ),
    "copies of text": (
        PROTO
        + (b"(" + name("_codecs", "encode") + b"\x94" + text("latin1") + b"\x94")
        + (b"X" + struct.pack("<I", 40_000) + b"x" * 40_000 + b"\x94")
        + (b"h\x00h\x02h\x01\x86R" * 100 + b"t."),
        "more text than",
    ),
    "enormous number": (PROTO + b"\x8b" + struct.pack("<i", 1 << 30) + b".", "whole number"),
    "value used twice": (PROTO + b"]2\x86.", "hold themselves"),
}


@pytest.mark.parametrize("kind", list(HOSTILE))
def test_hostile_pickles_are_refused_at_once(tmp_path, monkeypatch, kind):
    data, reason = HOSTILE[kind]
    monkeypatch.chdir(tmp_path)
    start = time.process_time()
    with pytest.raises(RefusedError, match=reason):
        load(data)
    assert time.process_time() - start < 10
    assert list(tmp_path.iterdir()) == []


def test_the_hostile_command_would_have_run(tmp_path, monkeypatch):
    # Without this, the test above could pass because its pickles do nothing.
    monkeypatch.chdir(tmp_path)
    pickle.loads(HOSTILE["command"][0])  # noqa: S301
    assert (tmp_path / "executed").exists()


DAMAGED = {
    "nothing": b"",
    "no end": PROTO + b"}",
    "no value": PROTO + b".",
    "two values": PROTO + b"NN.",
    "open mark": PROTO + b"(N.",
    "no mark": PROTO + b"Nt.",
    "unknown instruction": PROTO + b"\xff.",
    "key without value": PROTO + b"}(Nu.",
    "append to nothing": PROTO + b"Na.",
    "unknown reference": PROTO + b"h\x07.",
    "array without content": PROTO + ARRAY + b".",
    "not UTF-8": PROTO + b"\x8c\x01\xff.",
    "name is not text": PROTO + b"NN\x93.",
    "character beyond Unicode": PROTO
    + ARRAY
    + content(1, b"C\x04" + b"\xff" * 4, dtype("U1"))
    + b".",
    "protocol of the future": b"\x80\x09N.",
}


@pytest.mark.parametrize("kind", list(DAMAGED))
def test_damaged_pickles(kind):
    with pytest.raises(DamagedError):
        load(DAMAGED[kind])


@pytest.mark.parametrize("claim", [b"\x8e", b"\x95", b"\x96", b"\x8d"])
def test_claimed_lengths_take_no_memory(claim):
    with pytest.raises(TruncatedError, match="1099511627776 bytes should follow"):
        load(PROTO + claim + struct.pack("<Q", 1 << 40) + b"abc.")


def test_every_cut_is_noticed():
    data = pickle.dumps({"w": np.ones(3, np.float32), "n": [1, "a"]}, protocol=4)
    for length in range(len(data)):
        with pytest.raises(TruncatedError):
            load(data[:length])


# Random damage

SEEDS = [
    pickle.dumps(
        {"w": np.ones((2, 3), np.float32), "s": np.float64(2), "t": ("a", [1, 2.5, None, b"x"])},
        protocol,
    )
    for protocol in (2, 4, 5)
]
PIECES = [
    *(data for data, _ in HOSTILE.values() if len(data) < 200),
    *(name(*full.rsplit(".", 1)) for full in pickles.CALLS),
    *(bytes([code]) for code in range(256)),
    dtype("f4"),
    ARRAY,
    content(1, b"C\x04abcd"),
    content(1, b"C\x04abcd", dtype("U1")),
    b"h\x00",
    b"\x85R",
    b"\x86R",
]
FUZZ = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def assert_harmless(data, folder):
    message = ""
    try:
        load(data)
    except (RefusedError, DamagedError) as error:
        message = str(error)
    assert len(message) < 400
    assert list(folder.iterdir()) == []


@FUZZ
@given(data=st.data())
def test_mutated_pickles_are_read_or_refused(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    mutant = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(mutant)))
        length = data.draw(st.integers(0, 8))
        mutant[start : start + length] = data.draw(st.binary(max_size=8) | st.sampled_from(PIECES))
    assert_harmless(bytes(mutant), tmp_path)


@FUZZ
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40))
def test_random_programs_are_read_or_refused(tmp_path, monkeypatch, pieces):
    monkeypatch.chdir(tmp_path)
    assert_harmless(PROTO + b"".join(pieces) + b".", tmp_path)
