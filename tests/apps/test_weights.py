# SPDX-License-Identifier: Apache-2.0
"""`ppzoo weights`: a list, downloads, checks and conversions, as one would type them."""

from __future__ import annotations

import ast
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppzoo import download as downloads
from ppzoo.apps import weights as module
from ppzoo.cli import main
from ppzoo.engine import checkpoint
from ppzoo.errors import WeightsError
from ppzoo.model import Model
from ppzoo.weights import manifest, read, write_pdparams, write_safetensors
from ppzoo.weights.manifest import OFFICIAL

from ..runs import make_trainer
from ..server import Server, serving
from ..weights import mutants

COUNT = int(os.environ.get("PPZOO_FUZZ", "0"))

TORCH = Path(__file__).parents[1] / "weights" / "torch"
NETS = {
    "netG": {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, "f4")},
    "netD": {"b.weight": np.zeros((1, 2), np.float32)},
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "weights"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """Give a server that has PaddleGAN's files, all with the same content."""
    monkeypatch.setattr(downloads, "_PAUSE", 0.001)
    write_pdparams(tmp_path / "served", NETS)
    with serving() as running:
        running.data = (tmp_path / "served").read_bytes()
        monkeypatch.setattr(manifest, "BASE_URL", running.url(""))
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "iter_3_checkpoint.pdparams"
    state = {"w_0_moment1_0": np.ones(2, "f4"), "LR_Scheduler": {"last_epoch": 3}}
    write_pdparams(path, NETS | {"epoch": 3, "optimG": state, "ppzoo": {"format": 1}})
    return path


def same(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return found.keys() == wanted.keys() and all(
        same(found[k], v) if isinstance(v, dict) else np.array_equal(found[k], v)
        for k, v in wanted.items()
    )


class TestList:
    def test_every_official_file_has_a_line(self, capsys: Any) -> None:
        assert main(["weights", "list"]) == 0
        head, *lines = capsys.readouterr().out.splitlines()
        assert re.split(" {2,}", head) == ["name", "file", "used by", "here", "layout", "licence"]
        rows = {cells[0]: cells[1:] for cells in (re.split(" {2,}", line) for line in lines)}
        assert list(rows) == list(OFFICIAL)
        assert rows["wav2lip"] == ["wav2lip_hq.pdparams", "wav2lip", "-", "flat", "not stated"]
        assert rows["midas"][:3] == ["midas.pdparams", "-", "-"]

    def test_what_is_used_is_what_the_code_names(self) -> None:
        package = Path(module.__file__).parents[1]
        named = {
            node.value
            for path in package.rglob("*.py")
            if path.name != "manifest.py" and path != Path(module.__file__)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        lacking = {"basicvsr", "dain", "iconvsr"}  # `ppzoo predict restore` says that it lacks them
        assert module.USED_BY.keys() == named & OFFICIAL.keys() - lacking

    def test_a_file_of_paddlegans(
        self, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(manifest, "PADDLEGAN_FOLDERS", (str(tmp_path),))
        file = tmp_path / "syncnet.pdparams"
        write_pdparams(file, {"w": np.ones(3, "f4")})
        assert main(["weights", "list", "--here", "--json"]) == 0
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["path"], row["bytes"]) == (str(file), file.stat().st_size)
        assert main(["weights", "verify"]) == 0
        assert "syncnet: weights (1 array, 3 numbers)" in capsys.readouterr().out

    def test_those_on_this_computer(self, home: Path, capsys: Any) -> None:
        assert main(["weights", "list", "--here"]) == 0
        shown = capsys.readouterr()
        assert shown.out == ""
        assert f"no official file is in {home}" in shown.err
        home.mkdir(parents=True)
        (home / "syncnet.pdparams").write_bytes(bytes(2**20))
        assert main(["weights", "list", "--here"]) == 0
        _, line = capsys.readouterr().out.splitlines()
        assert line.startswith("syncnet ")
        assert "  1.0 MiB  " in line

    def test_json(self, capsys: Any, home: Path) -> None:
        assert main(["weights", "list", "--json"]) == 0
        rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
        assert rows["basicvsr_plusplus"] == {
            "name": "basicvsr_plusplus",
            "file": "BasicVSR++_reds_x4.pdparams",
            "used_by": None,
            "layout": "generator",
            "licence": OFFICIAL["basicvsr_plusplus"].licence,
            "url": "https://paddlegan.bj.bcebos.com/models/BasicVSR%2B%2B_reds_x4.pdparams",
            "path": str(home / "BasicVSR++_reds_x4.pdparams"),
            "bytes": None,
        }


class TestDownload:
    def test_files_come_into_the_cache(self, server: Server, home: Path, capsys: Any) -> None:
        assert main(["weights", "download", "edvr", "wav2lip"]) == 0
        paths = [home / "EDVR_L_w_tsa_SRx4.pdparams", home / "wav2lip_hq.pdparams"]
        assert capsys.readouterr().out.splitlines() == [str(path) for path in paths]
        assert [path for path, _ in server.asked] == [OFFICIAL[n].path for n in ("edvr", "wav2lip")]
        assert all(path.read_bytes() == server.data for path in paths)
        assert main(["weights", "download", "edvr"]) == 0
        assert len(server.asked) == 2

    def test_a_cut_is_mended(self, server: Server, home: Path) -> None:
        server.cuts = [100]
        assert main(["weights", "download", "edvr"]) == 0
        assert (home / "EDVR_L_w_tsa_SRx4.pdparams").read_bytes() == server.data
        assert len(server.asked) == 2

    def test_one_that_cannot_be_had_does_not_keep_others(
        self, server: Server, home: Path, capsys: Any
    ) -> None:
        server.status[OFFICIAL["edvr"].path] = 404
        assert main(["weights", "download", "edvr", "wav2lip", "--json"]) == 2
        shown = capsys.readouterr()
        assert json.loads(shown.out) == {"wav2lip": str(home / "wav2lip_hq.pdparams")}
        assert "'edvr' are missing" in shown.err
        assert "404" in shown.err
        assert shown.err.count("error: ") == 1

    def test_a_misspelt_name_is_told_first(self, server: Server, capsys: Any) -> None:
        assert main(["weights", "download", "edvr", "wav2lipp"]) == 2
        assert "did you mean 'wav2lip'?" in capsys.readouterr().err
        assert server.asked == []


class TestVerify:
    def test_what_files_hold(self, server: Server, file: Path, capsys: Any) -> None:
        main(["weights", "download", "edvr"])
        capsys.readouterr()
        assert main(["weights", "verify"]) == 0
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith(
            "edvr: netG (2 arrays, 8 numbers), netD (1 array, 2 numbers); SHA-256 "
        )
        original = TORCH / "first_order.pth.tar"
        assert main(["weights", "verify", "edvr", str(file), str(original), "--json"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [row["file"] for row in rows] == ["edvr", str(file), str(original)]
        assert rows[0]["networks"] == rows[1]["networks"]
        assert sorted(rows[2]["networks"]) == ["discriminator", "generator", "kp_detector"]
        assert rows[2]["sha256"] == downloads.file_sha256(original)

    def test_a_changed_one_is_told_and_others_are_verified(
        self, server: Server, home: Path, file: Path, capsys: Any
    ) -> None:
        main(["weights", "download", "edvr"])
        with (home / "EDVR_L_w_tsa_SRx4.pdparams").open("ab") as out:
            out.write(b"x")
        capsys.readouterr()
        assert main(["weights", "verify", "edvr", "wav2lip", "nothing.pth", str(file)]) == 2
        shown = capsys.readouterr()
        assert shown.out.startswith(f"{file}: netG")
        assert "not what it was at its first use" in shown.err
        assert "wav2lip is not on this computer: ppzoo weights download wav2lip" in shown.err
        assert "there is no file nothing.pth" in shown.err

    def test_other_kinds_of_official_files(self, home: Path, capsys: Any) -> None:
        home.mkdir(parents=True)
        (home / "lms.dat").write_bytes(b"landmarks")
        assert main(["weights", "verify"]) == 0
        assert capsys.readouterr().out.startswith("face_landmarks: no network; SHA-256 ")

    def test_a_hostile_file_runs_nothing(self, tmp_path: Path, capsys: Any) -> None:
        path = tmp_path / "x.pth"
        path.write_bytes(b"\x80\x02cos\nsystem\n\x8c\x04exit\x85R.")
        assert main(["weights", "verify", str(path)]) == 2
        assert "refused, because it holds os.system" in capsys.readouterr().err

    def test_nothing_to_verify(self, home: Path, capsys: Any) -> None:
        assert main(["weights", "verify"]) == 0
        assert f"no official file is in {home}" in capsys.readouterr().err


class TestConvert:
    @pytest.mark.parametrize("suffix", [".safetensors", ".pdparams"])
    def test_a_checkpoint_becomes_weights_in_the_same_layout(
        self, file: Path, tmp_path: Path, suffix: str, capsys: Any
    ) -> None:
        target = tmp_path / f"new{suffix}"
        assert main(["weights", "convert", str(file), str(target)]) == 0
        assert capsys.readouterr().out == (
            f"{target}: netG (2 arrays, 8 numbers), netD (1 array, 2 numbers)\n"
        )
        assert same(read(target), NETS)

    def test_there_and_back(self, file: Path, tmp_path: Path) -> None:
        module.convert(str(file), str(tmp_path / "a.safetensors"))
        module.convert(str(tmp_path / "a.safetensors"), str(tmp_path / "b.pdparams"))
        loaded = paddle.load(str(tmp_path / "b.pdparams"), return_numpy=True)
        assert same(loaded, NETS)

    def test_one_network(self, file: Path, tmp_path: Path) -> None:
        target = tmp_path / "netD.safetensors"
        assert main(["weights", "convert", str(file), str(target), "--net", "netD"]) == 0
        assert same(safetensors.numpy.load_file(target), NETS["netD"])

    def test_a_flat_file_stays_flat(self, tmp_path: Path) -> None:
        write_safetensors(tmp_path / "a.safetensors", NETS["netG"])
        module.convert(str(tmp_path / "a.safetensors"), str(tmp_path / "b.pdparams"))
        assert same(read(tmp_path / "b.pdparams"), NETS["netG"])

    def test_json(self, file: Path, tmp_path: Path, capsys: Any) -> None:
        target = str(tmp_path / "x.pdparams")
        assert main(["weights", "convert", str(file), target, "--net", "netD", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "source": str(file),
            "target": target,
            "networks": {"netD": {"arrays": 1, "numbers": 2}},
        }

    def test_a_file_that_exists_stays(self, file: Path, tmp_path: Path, capsys: Any) -> None:
        target = tmp_path / "mine.pdparams"
        target.write_bytes(b"mine")
        assert main(["weights", "convert", str(file), str(target)]) == 2
        assert "exists: choose another name, or replace it with --force" in capsys.readouterr().err
        assert target.read_bytes() == b"mine"
        assert main(["weights", "convert", str(file), str(target), "--force"]) == 0
        assert same(read(target), NETS)

    def test_onto_itself(self, file: Path) -> None:
        assert main(["weights", "convert", str(file), str(file), "--force"]) == 0
        assert same(read(file), NETS)

    def test_a_failure_damages_nothing(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        target = tmp_path / "old.pdparams"
        target.write_bytes(b"old")
        before = sorted(os.listdir(tmp_path))

        def full(*arguments: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        assert main(["weights", "convert", str(file), str(target), "--force"]) == 2
        assert "No space left" in capsys.readouterr().err
        assert target.read_bytes() == b"old"
        assert sorted(os.listdir(tmp_path)) == before

    @pytest.mark.parametrize(
        ("source", "target", "options", "message"),
        [
            ("{file}", "x.pth", [], "must end in .safetensors or .pdparams"),
            ("{file}", "x.pdparams", ["--net", "netX"], "no network 'netX': it holds netG, netD"),
            ("nothing", "x.pdparams", [], "there is no file"),
            ("{empty}", "x.pdparams", [], "holds no network"),
            ("{matrix}", "x.pdparams", [], "matrices such as fc.weight.* with -c"),
        ],
    )
    def test_what_is_refused(
        self,
        file: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
        source: str,
        target: str,
        options: list[str],
        message: str,
    ) -> None:
        import re

        write_pdparams(tmp_path / "empty", {"epoch": 3})
        if source == "{matrix}":
            arrays = module.TorchArrays({"fc.weight": np.ones((2, 2), "f4")})
            monkeypatch.setattr(module, "read", lambda path: arrays)
        source = source.format(file=file, empty=tmp_path / "empty", matrix="x.pth")
        assert main(["weights", "convert", source, str(tmp_path / target), *options]) == 2
        assert re.search(message, capsys.readouterr().err)
        assert not (tmp_path / target).exists()


class TestConvertPyTorch:
    def test_layout_and_types(self, tmp_path: Path, capsys: Any) -> None:
        module.convert(str(TORCH / "first_order.pth.tar"), str(tmp_path / "a.pdparams"))
        assert "norms, name its YAML with -c" in capsys.readouterr().err
        assert sorted(read(tmp_path / "a.pdparams")) == [
            "discriminator",
            "generator",
            "kp_detector",
        ]
        module.convert(str(TORCH / "wav2lip.pth"), str(tmp_path / "b.pdparams"))
        halves, singles = read(TORCH / "wav2lip.pth"), read(tmp_path / "b.pdparams")
        assert {array.dtype for array in singles.values()} == {np.dtype("float32")}
        assert same(singles, {key: array.astype("f4") for key, array in halves.items()})

    def test_bfloat16_becomes_float32(self, tmp_path: Path) -> None:
        module.convert(str(TORCH / "esrgan_basicsr.pth"), str(tmp_path / "a.safetensors"))
        found = safetensors.numpy.load_file(tmp_path / "a.safetensors")
        assert {array.dtype for array in found.values()} == {np.dtype("float32")}
        assert 0 < abs(found["conv_first.weight"]).max() < 1
        assert "RRDB_trunk.0.RDB1.conv1.weight" in found

    def test_fitted_to_a_model(self, tmp_path: Path, capsys: Any) -> None:
        """Instance norms get the scales and shifts that PyTorch leaves out."""
        config = tmp_path / "cyclegan.yaml"
        smoke = Path(__file__).parents[2] / "configs" / "smoke" / "cyclegan.yaml"
        config.write_text(smoke.read_text("utf-8"), "utf-8")
        options = ["model.generator.ngf=2", "model.generator.n_blocks=2"]
        target = tmp_path / "netG_A.pdparams"
        command = ["weights", "convert", str(TORCH / "cyclegan_G_A.pth"), str(target)]
        command += ["-c", str(config), "-o", *options]
        assert main(command) == 2
        assert "say by --net which one it is" in capsys.readouterr().err
        assert main([*command, "--net", "netG_A"]) == 0
        found = read(target)
        assert np.array_equal(found["model.2.scale"], [1, 1])
        assert np.array_equal(found["model.2.bias"], [0, 0])
        theirs = read(TORCH / "cyclegan_G_A.pth")
        assert all(np.array_equal(found[key], value) for key, value in theirs.items())
        assert main([*command[:-1], "--net", "netG_A", "--force"]) == 2
        assert "does not fit the network" in capsys.readouterr().err
        assert same(read(target), found)


@pytest.mark.parametrize(
    ("net", "told"),
    [
        ({"a/b": np.ones(1, "f4")}, "the name 'a/b' is not text without '/'; choose .pdparams"),
        ({"a": np.ones(1, "c16")}, "'a' is an array of complex128; choose .pdparams"),
        ({"a": np.array(["text"])}, "'a' is an array of <U4; choose .pdparams"),
        ({"\x1b" * 99999 + "/": np.ones(1, "f4")}, r"the name '\x1b\x1b"),
    ],
)
def test_what_safetensors_cannot_hold_is_told(
    tmp_path: Path, capsys: Any, net: dict[str, Any], told: str
) -> None:
    write_pdparams(tmp_path / "x.pdparams", net)
    target = tmp_path / "new.safetensors"
    assert main(["weights", "convert", str(tmp_path / "x.pdparams"), str(target)]) == 2
    error = capsys.readouterr().err
    assert f"x.pdparams holds what .safetensors files do not: {told}" in error.replace("\n", "")
    assert len(error) < 500
    assert os.listdir(tmp_path) == ["x.pdparams"]
    assert main(["weights", "convert", str(tmp_path / "x.pdparams"), f"{target}.pdparams"]) == 0


@pytest.mark.parametrize("flat", [True, False])
def test_states_of_optimizers_are_not_converted(tmp_path: Path, capsys: Any, flat: bool) -> None:
    kinds = ("momentum", "mean_square", "mean_grad")
    state = {f"linear_0.w_0_{kind}_0": np.ones(2, "f4") for kind in kinds}
    write_pdparams(tmp_path / "x", state if flat else {"optimG": state})
    assert main(["weights", "convert", str(tmp_path / "x"), str(tmp_path / "y.pdparams")]) == 2
    assert "holds no network" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["x"]


EVIL = "\x1b[31m\x07" * 20_000
NAMES = st.sampled_from([EVIL, "\x1b]0;x\x07", "a/b", "", "\u202e", "netG", "w_0_moment1_0", "\n"])
KINDS = ("f4", "c16", "i8", "u2", "U3")
ARRAYS = st.sampled_from([np.ones(shape, kind) for shape in (1, (2, 2)) for kind in KINDS])
CONTENTS = st.dictionaries(
    NAMES, st.dictionaries(NAMES, ARRAYS, min_size=1, max_size=3) | ARRAYS, min_size=1, max_size=3
)


def write_any(path: Path, content: dict[str, Any]) -> None:
    """Write names that no honest file has, in the format that the path's suffix says."""
    if path.suffix == ".pdparams":
        write_pdparams(path, content)
    elif path.suffix == ".safetensors":
        flat = {key: np.ones((2, 2), "f4") for key in content}
        path.write_bytes(safetensors.numpy.save(flat, metadata={"format": "pt"}))
    else:
        made = mutants.tensor(mutants.storage("Float", "0", 4), 0, (2, 2), (2, 1))
        tensors = mutants.state_dict([(key, made) for key in content])
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02" + tensors + b".")
            archive.writestr("archive/data/0", bytes(16))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return make_trainer("wgan", tmp_path_factory.mktemp("run")).model


@pytest.mark.parametrize("kind", ["pdparams", "safetensors", "pth"])
@settings(
    max_examples=COUNT or 40,
    deadline=None,
    derandomize=not COUNT,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    content=CONTENTS,
    suffix=st.sampled_from(["pdparams", "safetensors"]),
    net=st.sampled_from([[], ["--net", "netG"]]),
)
def test_any_names_give_sentences(
    tmp_path: Path,
    capsys: Any,
    model: Model,
    kind: str,
    content: dict[str, Any],
    suffix: str,
    net: list[str],
) -> None:
    path, new = tmp_path / f"x.{kind}", tmp_path / f"new.{suffix}"
    write_any(path, content)
    codes = {main(["weights", "verify", str(path)])}
    codes.add(main(["weights", "convert", str(path), str(new), *net]))
    new.unlink(missing_ok=True)
    with pytest.raises(WeightsError) as caught:
        checkpoint.load_weights(path, model)  # what --load does
    told = capsys.readouterr()
    assert codes <= {0, 2}
    for line in (*(told.out + told.err).splitlines(), str(caught.value)):
        assert line.isprintable(), ascii(line[:300])
        assert len(line) < 1200
    assert os.listdir(tmp_path) == [path.name]


def test_names_that_act_on_terminals_are_shown_as_text(tmp_path: Path) -> None:
    path = tmp_path / "x.pdparams"
    write_pdparams(path, {"net\x1b[31m": {"w": np.ones(2)}})
    text = module._described(module._sizes(module.networks(read(path))))
    assert text == r"net\x1b[31m (1 array, 2 numbers)"
