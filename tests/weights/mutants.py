# SPDX-License-Identifier: Apache-2.0
"""Files of weights that are right but for a few things, for Hypothesis to draw."""

import io
import json
import pickle
import pickletools
import struct
import zipfile
import zlib

import numpy as np
from hypothesis import strategies as st

from . import saved
from .pieces import ARRAY, content, dtype, name, number, text

ARRAYS = {
    "conv.weight": np.arange(12, dtype=np.float32).reshape(2, 3, 2, 1),
    "norm._mean": np.zeros(3, np.float64),
    "steps": np.array(3),
    "flags": np.array([True, False]),
    "none of": np.zeros((0, 4), np.float16),
    "fortran": np.asfortranarray(np.arange(6.0, dtype="f4").reshape(2, 3)),
}
SAVED = [
    saved.SAVED[f"paddle {origin}"]
    for origin in ("3.3, NumPy 2.4, protocol 2", "2.6, NumPy 1.26, protocol 4")
]
SPLIT = {
    "a@@.0": np.arange(4, dtype=np.float32),
    "a@@.1": np.arange(2, dtype=np.float32),
    "UnpackBigParamInfor@@": {"a": {"OriginShape": (2, 3), "slices": ["a@@.0", "a@@.1"]}},
    "StructuredToParameterName@@": {"a": "linear_0.w_0"},
}
CHECKPOINT = {
    "netG": ARRAYS,
    "epoch": 7,
    "optim": {"conv_moment1_0": np.ones(3, np.float32), "LR_Scheduler": {"last_lr": 0.1}},
    "plain": [(1, 2.5), {3, "a"}, None, b"bytes", True, 1j, "é", np.float32(2), -(2**70)],
}
PICKLES = [
    *SAVED,
    *(
        pickle.dumps(value, protocol)
        for value in (ARRAYS, SPLIT, CHECKPOINT)
        for protocol in (2, 3, 4, 5)
    ),
    pickle.dumps(ARRAYS, 0),
]
COMMAND = name("os", "system") + text("echo > executed") + b"\x85R"
# What may stand in a pickle where something else is expected.
PIECES = [
    COMMAND,
    name("builtins", "eval") + text("open('executed', 'w')") + b"\x85R",
    name("builtins", "exec") + text("open('executed', 'w')") + b"\x85R",
    b"cos\nsystem\n(S'echo > executed'\ntR",
    name("numpy", "load") + text("x") + b"\x85R",
    name("torch._utils", "_rebuild_sparse_tensor"),
    name("torch._utils", "_rebuild_qtensor"),
    name("torch.nn.modules.container", "Sequential") + b")\x81",
    *(
        name(*full.rsplit(".", 1))
        for full in ("numpy.dtype", "numpy.ndarray", "collections.OrderedDict", "torch.Size")
    ),
    *(name("builtins", kind) for kind in ("tuple", "list", "set", "frozenset", "bytes", "complex")),
    name("_codecs", "encode") + text("abc") + text("latin1") + b"\x86R",
    name("numpy._core.multiarray", "scalar") + dtype("f4") + b"C\x04abcd\x86R",
    dtype("f4"),
    dtype("U1"),
    ARRAY,
    ARRAY + content(1, b"C\x04abcd"),
    ARRAY + content(10**12, b"C\x04abcd"),
    ARRAY + content(1, b"C\x04\xff\xff\xff\xff", dtype("U1")),
    *(number(value) for value in (0, 1, -1, 2**31, 2**47, 2**48, -(2**63))),
    *(b"\x8a" + bytes([n]) + b"\x7f" * n for n in (9, 200)),
    b"G\x7f\xf8\x00\x00\x00\x00\x00\x00",
    *(b"h" + bytes([index]) for index in range(8)),
    *(bytes([code]) for code in b"NQRbae.(tu)]}\x94\x85\x86\x87\x89\x88\x93\x8f\x90\x91s"),
    text("storage"),
    text("\n\x1b[31m\u202e"),
    text("StructuredToParameterName@@"),
    text("UnpackBigParamInfor@@"),
    b"\x85" * 3000,
    b"]" * 3000 + b"a" * 3000,
    b"}\x94" + b"h\x00h\x00\x86" * 30,
]
pieces = st.sampled_from(PIECES)


@st.composite
def mostly(draw, right, wrong, one_in=12):
    """Draw what is right, and once in a while what is wrong."""
    return draw(wrong if draw(st.integers(1, one_in)) == one_in else right)


def usually(draw, right, wrong, one_in=12):
    """Return what is right, and once in a while draw what is wrong; faster than `mostly`."""
    return draw(wrong) if draw(st.integers(1, one_in)) == one_in else right


@st.composite
def damaged(draw, data, most=3):
    """Replace, leave out or add a few bytes."""
    mutant = bytearray(data)
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(mutant)))
        length = draw(st.integers(0, 8))
        mutant[start : start + length] = draw(st.binary(max_size=8) | pieces)
    return bytes(mutant)


def instructions(data):
    """Return the instructions of a pickle, each as its bytes."""
    starts = [position for _, _, position in pickletools.genops(data)]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


PROGRAMS = [instructions(data) for data in PICKLES]


@st.composite
def programs(draw):
    """Shuffle, repeat, leave out and replace instructions of pickles."""
    program = list(draw(st.sampled_from(PROGRAMS)))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(program) - 1))
        end = start + draw(st.integers(0, 4))
        other = draw(st.sampled_from(PROGRAMS))
        at = draw(st.integers(0, len(other) - 1))
        program[start:end] = draw(
            st.lists(pieces, max_size=3)
            | st.just(program[start:end] * 2)
            | st.just(program[start:end][::-1])
            | st.just(other[at : at + 3])
        )
        program = program or [b"N"]
    return b"".join(program)


# Values of every kind, as a hostile file would put them where others are expected.
odd_numbers = st.sampled_from(
    [
        0,
        1,
        2,
        5,
        -1,
        2**31,
        2**32 - 1,
        2**47,
        2**48,
        2**62,
        2**63 - 1,
        2**63,
        2**64,
        -(2**63),
        10**40,
    ]
)
small = st.integers(0, 6)
numbers = mostly(small, odd_numbers)


# Safetensors


@st.composite
def safetensors(draw):
    """Draw a file of safetensors whose header, offsets or bytes may be wrong."""
    entries, position = [], 0
    for index in range(draw(st.integers(0, 4))):
        kind, width = draw(
            mostly(
                st.sampled_from([("F32", 4), ("I64", 8), ("BOOL", 1), ("BF16", 2), ("C64", 8)]),
                st.sampled_from([("F8_E4M3", 1), ("F4", 1), ("OBJECT", 8), ("f32", 4), (5, 4)]),
            )
        )
        shape = draw(st.lists(numbers, max_size=4))
        size = width
        for length in shape:
            size *= length
        end = usually(draw, position + size, odd_numbers)
        begin = usually(draw, position, odd_numbers)
        key = draw(
            mostly(
                st.sampled_from([f"w{index}", f"net/w{index}", "w0", f"net/w0/{index}"]),
                st.sampled_from(["", "__metadata__", "/", "\n\x1b[31m", "a/" * 100, "\ud800"]),
            )
        )
        entry = {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
        entry = usually(
            draw,
            entry,
            st.sampled_from(
                [{}, [], None, 1.5, {**entry, "more": 1}, {**entry, "shape": -1}]
                + [{k: v for k, v in entry.items() if k != gone} for gone in entry]
                + [{**entry, "data_offsets": other} for other in ([0], [0, 4, 8], "04", [0.5, 1])]
            ),
        )
        entries.append((key, entry))
        position = end if 0 <= end < 4096 else position + 4
    metadata = draw(
        mostly(
            st.sampled_from(
                [
                    None,
                    {"format": "pt"},
                    {"layout": "net/param", "empty": '["x"]'},
                    {"layout": "net/param"},
                ]
            ),
            st.sampled_from(
                [[], {"layout": 5}]
                + [
                    {"layout": "net/param", "empty": empty}
                    for empty in ("5", "[1]", "[", "[" * 3000)
                ]
            ),
        )
    )
    if metadata is not None:
        entries.insert(0, ("__metadata__", metadata))
    # By hand, since a dictionary would not repeat a key.
    header = "{" + ",".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in entries) + "}"
    header = usually(
        draw,
        header.encode(),
        st.sampled_from(
            [
                b"{" + b"[" * 5000,
                header.encode("utf-16"),
                header.encode("latin-1", "replace").replace(b"w", b"\xff"),
                header.replace("4", "NaN").encode(),
                header.replace("4", "1e400").encode(),
                header.replace("0", "9" * 5000).encode(),
                header.encode() + b"   ",
                header.encode() + b"{}",
                b" " + header.encode(),
                b'{"a":' * 4000 + b"1" + b"}" * 4000,
            ]
        ),
    )
    header = usually(draw, header, damaged(header))
    length = usually(draw, len(header), odd_numbers | st.integers(0, len(header) + 9))
    body = bytes(usually(draw, min(position, 4096), st.integers(0, 200)))
    return struct.pack("<Q", length % 2**64) + header + body


# PyTorch


def unicode(value):
    """Push a text, as protocol 2 does."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def whole(value):
    """Push a whole number of any size."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def torch_name(module, attribute):
    """Push the object that a module holds under a name, as protocol 2 does."""
    return f"c{module}\n{attribute}\n".encode()


def many(*items):
    """Push a tuple."""
    return b"(" + b"".join(items) + b"t"


def storage(kind, key, length):
    """Push memory."""
    parts = (unicode("storage"), torch_name("torch", f"{kind}Storage"), unicode(key))
    return many(*parts, unicode("cpu"), whole(length)) + b"Q"


def tensor(memory, offset, shape, strides, function="_rebuild_tensor_v2"):
    """Push a tensor."""
    lengths = (many(*map(whole, shape)), many(*map(whole, strides)))
    more = b"\x89" + torch_name("collections", "OrderedDict") + b")R"
    return (
        torch_name("torch._utils", function)
        + many(memory, whole(offset), *lengths, *([more] if function.endswith("v2") else []))
        + b"R"
    )


def state_dict(tensors):
    """Push an ordered dictionary with its state, as `torch.save` writes one."""
    items = b"".join(unicode(key) + value for key, value in tensors)
    return (
        torch_name("collections", "OrderedDict")
        + b")R("
        + items
        + b"u"
        + b"}"
        + (unicode("_metadata") + b"}sb")
    )


KINDS = {"Float": 4, "Half": 2, "Long": 8, "Bool": 1, "BFloat16": 2, "ComplexDouble": 16}


@st.composite
def torch_tensors(draw, most=3):
    """Draw (name, instructions) of tensors, and {key: (length, bytes)} of their memory."""
    tensors, memory = [], {}
    for index in range(draw(st.integers(0, most))):
        kind = draw(st.sampled_from(list(KINDS)))
        shape = draw(st.lists(numbers, max_size=3))
        strides, step = [], 1
        for length in reversed(shape):
            strides.insert(0, usually(draw, step, numbers))
            step *= max(length, 1)
        offset = usually(draw, 0, numbers)
        length = usually(draw, min(step, 4096) + min(offset, 9) * (offset > 0), numbers)
        key = usually(draw, str(index), st.sampled_from(["0", "../0", "/etc/passwd", ""]))
        written = usually(draw, kind, st.sampled_from([*KINDS, "Quint8", "Untyped", ""]))
        held = storage(written, key, length)
        held = usually(draw, held, pieces | st.just(b"(" + held + b"tQ"), one_in=25)
        function = draw(
            mostly(
                st.sampled_from(["_rebuild_tensor_v2", "_rebuild_tensor"]),
                st.sampled_from(
                    ["_rebuild_parameter", "_rebuild_sparse_tensor", "_rebuild_qtensor", "__dict__"]
                ),
                one_in=25,
            )
        )
        made = tensor(held, offset, shape, strides, function)
        if draw(st.integers(1, 8)) == 8:
            hooks = torch_name("collections", "OrderedDict") + b")R"
            made = (
                torch_name("torch._utils", "_rebuild_parameter") + many(made, b"\x88", hooks) + b"R"
            )
        tensors.append((f"layer{index}.weight", made))
        real = min(max(length, 0), 4096) * KINDS[kind]
        memory[key] = length, bytes(usually(draw, real, st.integers(0, 64)))
    return tensors, memory


@st.composite
def torch_programs(draw, tensors):
    """Draw a pickle of these tensors, which may hold wrong instructions."""
    top = state_dict(tensors)
    if draw(st.booleans()):
        top = b"}(" + unicode("state_dict") + top + unicode("epoch") + whole(3) + b"u"
    data = b"\x80\x02" + top + b"."
    if draw(st.integers(1, 4)) < 4:
        return data
    return draw(damaged(data, most=2))


@st.composite
def torch_zips(draw):
    """Draw a zip archive as `torch.save` writes it, whose parts may be wrong."""
    tensors, memory = draw(torch_tensors())
    program = draw(torch_programs(tensors))
    members = [("archive/data.pkl", program)]
    members += [(f"archive/data/{key}", data) for key, (_, data) in memory.items()]
    members += [("archive/byteorder", usually(draw, b"little", st.just(b"big")))]
    members += [("archive/version", b"3\n")]
    members += usually(
        draw,
        [],
        st.sampled_from(
            [
                [("archive/data.pkl", program)],
                [("other/data.pkl", b"\x80\x02}.")],
                [("../archive/data/0", b"abcd")],
                [("/data.pkl", program)],
                [("archive/data/0", bytes(16))],
                [("archive/code/__init__.py", b"open('executed', 'w')")],
            ]
        ),
    )
    if draw(st.integers(1, 15)) == 15:
        del members[draw(st.integers(0, len(members) - 1))]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in members:
            info = zipfile.ZipInfo(member)
            info.compress_type = draw(
                mostly(
                    st.sampled_from([zipfile.ZIP_STORED] * 3 + [zipfile.ZIP_DEFLATED]),
                    st.sampled_from([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
                    one_in=30,
                )
            )
            info.external_attr = usually(draw, 0, st.just(0o120777 << 16), one_in=30)
            force = usually(draw, False, st.just(True))
            with _quiet(), archive.open(info, "w", force_zip64=force) as file:
                file.write(data)
    return draw(zips_with_lies(buffer.getvalue()))


class _quiet:
    """Hides the warning about two members of one name, which is what a test wants."""

    def __enter__(self):
        import warnings

        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        warnings.simplefilter("ignore")

    def __exit__(self, *error):
        self.caught.__exit__(*error)


# (offset in an entry of the central directory, format) of what a member says about itself.
_FIELDS = {
    "version": (6, "<H"),
    "flags": (8, "<H"),
    "method": (10, "<H"),
    "crc": (16, "<I"),
    "packed": (20, "<I"),
    "size": (24, "<I"),
    "name length": (28, "<H"),
    "extra length": (30, "<H"),
    "comment length": (32, "<H"),
    "place": (42, "<I"),
}


@st.composite
def zips_with_lies(draw, data):
    """Change what the directory at the end of an archive says, or any bytes."""
    mutant = bytearray(data)
    entries = []
    at = mutant.find(b"PK\x01\x02")
    while at >= 0:
        entries.append(at)
        at = mutant.find(b"PK\x01\x02", at + 4)
    while entries and draw(st.integers(1, 4)) == 4:
        entry = draw(st.sampled_from(entries))
        offset, form = _FIELDS[draw(st.sampled_from(sorted(_FIELDS)))]
        value = draw(st.sampled_from([0, 1, 8, 9, 12, 14, 93, 0x40, 2**31, 2**32 - 1]) | small)
        struct.pack_into(form, mutant, entry + offset, value % 2 ** (8 * struct.calcsize(form)))
    mutant = bytes(mutant)
    return usually(draw, mutant, damaged(mutant), one_in=6)


LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."


@st.composite
def torch_legacy(draw):
    """Draw a file as PyTorch wrote it before 1.6: five pickles, and the memory."""
    tensors, memory = draw(torch_tensors())
    protocol = b"\x80\x02" + whole(usually(draw, 1001, odd_numbers, one_in=20)) + b"."
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    order = usually(draw, True, st.sampled_from([False, None, 1]), one_in=20)
    head = LEGACY + protocol + pickle.dumps({**system, "little_endian": order}, 2)
    keys = usually(draw, list(memory), st.just([*memory, *memory]) | st.just(["9"]) | st.just(0))
    body = b""
    for right, data in memory.values():
        length = usually(draw, right, odd_numbers)
        body += struct.pack("<Q", length % 2**64) + data
    whole_file = head + draw(torch_programs(tensors)) + pickle.dumps(keys, 2) + body
    return usually(draw, whole_file, damaged(whole_file), one_in=6)


def zipped(members):
    """Return a ZIP archive of contents by name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return buffer.getvalue()


def _framed(header, body):
    return struct.pack("<Q", len(header)) + header + body


# A whole file of each kind.
_PROGRAM = b"\x80\x02" + state_dict([("w", tensor(storage("Float", "0", 2), 0, (2,), (1,)))]) + b"."
ONE_ZIP = zipped({"archive/data.pkl": _PROGRAM, "archive/data/0": bytes(8)})
ONE_LEGACY = (
    LEGACY
    + b"\x80\x02M\xe9\x03."
    + pickle.dumps({"little_endian": True}, 2)
    + _PROGRAM
    + pickle.dumps(["0"], 2)
    + struct.pack("<Q", 2)
    + bytes(8)
)
ONE_SAFETENSORS = _framed(b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8))


# Attacks that chance would not find


def deflated_bomb(size, said=None):
    """Return an archive of PyTorch's whose memory is packed from `size` bytes of zeros.

    It says that there are `said` bytes, which may be less.
    """
    program = state_dict([("w", tensor(storage("Float", "0", 1), 0, (1,), (1,)))])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + program + b".", zipfile.ZIP_STORED)
        archive.writestr("archive/data/0", bytes(size))
    if said is None:
        return buffer.getvalue()
    return buffer.getvalue().replace(struct.pack("<I", size), struct.pack("<I", said))


def shared_and_deflated(count, size, kind="Byte"):
    """Return an archive of PyTorch's of a third of `size`, `count` of whose tensors share that."""
    memory = storage(kind, "0", size)
    tensors = [(f"w{index}", tensor(memory, 0, (size,), (1,))) for index in range(count)]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + state_dict(tensors) + b".")
        archive.writestr("archive/data/0", bytes(size))
        archive.writestr("archive/more", bytes(size // 3), zipfile.ZIP_STORED)
    return buffer.getvalue()


def repeated_parts(count, size):
    """Return a pickle whose array of `size` bytes Paddle is to put together from `count` copies."""
    array = np.zeros(size, np.uint8)
    content = {f"p{index}": array for index in range(count)}
    parts = {"OriginShape": (count * size,), "slices": list(content)}
    return pickle.dumps({**content, "UnpackBigParamInfor@@": {"w": parts}}, 4)


def overlapping_parts(count, size):
    """Return an archive of PyTorch's each of whose parts has all further ones within."""
    kernel, sizes = bytes(size), []
    for index in reversed(range(count)):
        member = f"archive/data/{index}".encode()
        head = (20, 0, 0, 0, 33, zlib.crc32(kernel), len(kernel), len(kernel), len(member), 0)
        sizes.append((member, head, len(kernel)))
        kernel = b"PK\x03\x04" + struct.pack("<HHHHHIIIHH", *head) + member + kernel
    sizes.reverse()
    tensors = [
        (f"w{index}", tensor(storage("Byte", str(index), length), 0, (1,), (1,)))
        for index, (_, _, length) in enumerate(sizes)
    ]
    whole_file = zipped({"archive/data.pkl": b"\x80\x02" + state_dict(tensors) + b"."})
    end = whole_file.index(b"PK\x01\x02")
    data, directory = whole_file[:end] + kernel, whole_file[end : whole_file.index(b"PK\x05\x06")]
    place = end
    for member, head, _ in sizes:
        fields = struct.pack("<HHHHHHIIIHH", 20, *head)
        directory += b"PK\x01\x02" + fields + struct.pack("<HHHII", 0, 0, 0, 0, place) + member
        place += 30 + len(member)
    tail = (0, 0, count + 1, count + 1, len(directory), len(data), 0)
    return data + directory + b"PK\x05\x06" + struct.pack("<HHHHIIH", *tail)


def colliding_keys(count):
    """Return a pickle of a dictionary whose keys all have the same hash, of CPython."""
    step = 2**61 - 1
    items = b"".join(whole(index * step) + b"N" for index in range(1, count + 1))
    return b"\x80\x02}(" + items + b"u."
