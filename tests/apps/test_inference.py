# SPDX-License-Identifier: Apache-2.0
"""Backends agree with the network, are refused where they do not, and are found again."""

from __future__ import annotations

import json
import logging
import os
import stat
import sys
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle import nn

from ppzoo.apps import backends, inference
from ppzoo.apps.backends import deviation, is_installed
from ppzoo.apps.inference import BACKENDS, Runner, make_runner
from ppzoo.errors import UserError
from ppzoo.networks.unet import UnetGenerator
from ppzoo.nn.conv import Conv2D, UpsampleConv2D
from ppzoo.nn.deform_conv import DeformConv2D
from ppzoo.nn.norm import BatchNormOfBatch
from ppzoo.nn.padding import ReflectionPad2D

INSTALLED = [name for name in BACKENDS if is_installed(name)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def picture(height: int, width: int, number: int = 1, channels: int = 3) -> np.ndarray:
    shape = [number, channels, height, width]
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


class Several(nn.Layer):
    """Two inputs, nested outputs, batch statistics, and the operators that Paddle 3 spoils."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Conv2D(3, 3, 3, stride=2, padding=1)
        self.pad = ReflectionPad2D(1)
        self.conv = nn.Conv2D(3, 4, 3)
        self.norm = BatchNormOfBatch(4)
        self.norm._mean.set_value(paddle.full([4], 7.0))  # of no account
        self.slope = nn.LeakyReLU(0.2)
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x, y):
        features = self.slope(self.norm(self.conv(self.pad(self.narrow(x)))))
        return self.upsample(features), (features * y.max(), y.sum([2, 3]))


def test_all_backends_agree(home: Path) -> None:
    net = Several()
    inputs = (picture(8, 8), picture(8, 8, channels=1))
    runner = make_runner(net, inputs, INSTALLED, multiple=1)
    assert runner.results.keys() == set(INSTALLED)
    assert all("seconds" in result for result in runner.results.values()), runner.describe()
    assert net.training
    net.eval()
    others = (picture(6, 10, 2), picture(6, 10, 2, channels=1))
    with paddle.no_grad():
        first, (second, third) = net(*map(paddle.to_tensor, others))
    expected = [first.numpy(), second.numpy(), third.numpy()]
    for name in runner.results:
        other = make_runner(net, inputs, name, multiple=1)
        assert other.backend == name
        assert deviation(other.run(*others), expected) < 1e-5, name
        assert np.array_equal(other(*others), other.run(*others)[0])
    (folder,) = (home / "inference").iterdir()
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


class Frames(nn.Layer):
    """A window of frames, moved, enlarged: what EDVR and RRDBNet are made of."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = Conv2D(4, 2 * 3 * 9, 3, padding=1)
        self.moved = DeformConv2D(4, 6, 3, padding=1, deformable_groups=2)
        self.upsample = UpsampleConv2D(6, 2)

    def forward(self, x):
        frames = x.flatten(0, 1)
        places = self.offsets(frames)
        y = self.moved(frames, 2 * places[:, :36], F.sigmoid(places[:, 36:]))
        larger = F.interpolate(x[:, 1], scale_factor=4, mode="bilinear", align_corners=False)
        half = F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        return self.upsample(half), larger, F.pixel_unshuffle(x[:, 0], 2)


def test_all_backends_move_and_enlarge_frames(home: Path) -> None:
    net = Frames()
    window = np.random.default_rng(0).uniform(-1, 1, [1, 2, 4, 8, 12]).astype("float32")
    runner = make_runner(net, window, INSTALLED, multiple=4)
    assert runner.results.keys() == set(INSTALLED)
    assert all("seconds" in result for result in runner.results.values()), runner.describe()
    wider = np.random.default_rng(1).uniform(-1, 1, [1, 2, 4, 16, 20]).astype("float32")
    want = Runner(net).run(wider)
    assert [y.shape for y in want] == [(2, 2, 64, 80), (1, 4, 64, 80), (1, 16, 8, 10)]
    for backend in runner.results:
        got = make_runner(net, window, backend, multiple=4).run(wider)
        assert deviation(got, want) < 1e-4, backend


def test_next_process_finds_it_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, example = UnetGenerator(3, 3, 5, ngf=4), picture(32, 32)
    first = make_runner(net, example, ["static"], multiple=32)
    assert {"dynamic", "static"} == first.results.keys()
    monkeypatch.setattr(inference, "_child", lambda *args: pytest.fail("tried anew"))
    first(example)  # moves the idle running statistics
    again = make_runner(net, example, ["static"], multiple=32)
    assert again.results == first.results
    assert again.backend == first.backend
    # A single picture does not wait for what is not known; other weights are another network.
    net.model.model[0].weight.set_value(net.model.model[0].weight * 2)
    cold = make_runner(net, example, ["static"], multiple=32, measured=False)
    assert (cold.backend, cold.results) == ("dynamic", {})
    assert cold.describe().endswith("; other backends not measured")


@pytest.mark.parametrize("answer", [{"seconds": 1e-9}, {"refused": "it fails"}])
def test_static_graph_is_tried_where_paddle_inference_fails(
    home: Path, monkeypatch: pytest.MonkeyPatch, answer: dict
) -> None:
    tried: list[str] = []

    def child(folder, examples, threads, names):
        tried.extend(names)
        with np.load(examples) as file:
            limits.append(float(file["limit"]))
        return {name: answer if name == "inference" else {"seconds": 9.0} for name in names}

    limits: list[float] = []
    monkeypatch.setattr(inference, "_child", child)
    runner = make_runner(nn.Conv2D(3, 1, 3), picture(8, 8))
    failed = "refused" in answer
    assert tried == [name for name in INSTALLED if name not in ("dynamic", "static")] + (
        ["static"] if failed else []
    )
    assert limits[0] == pytest.approx(2 * runner.results["dynamic"]["seconds"])
    assert runner.backend == ("dynamic" if failed else "inference")


def test_slow_backend_runs_no_more_than_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    monkeypatch.setattr(backends, "load", lambda *args: lambda x: runs.append(1) or x)
    for limit, count in ((0.0, 1), (9.0, 11)):
        file = tmp_path / "examples.npz"
        np.savez(file, cases=1, limit=limit, **{"input0.0": [1.0], "output0.0": [1.0]})
        assert backends._try("static", tmp_path, file, 1)["seconds"] > 0
        assert len(runs) == count
        runs.clear()


class Treacherous(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.one = self.create_parameter([1], default_initializer=nn.initializer.Constant(1.0))

    def forward(self, x):
        return x / 4 + self.one if paddle.in_dynamic_mode() else x / 4 * self.one


class OfOneSize(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.two = self.create_parameter([1], default_initializer=nn.initializer.Constant(2.0))

    def forward(self, x):
        return x.reshape([1, 3 * 8 * 8]).reshape([1, 3, 8, 8]) * self.two


def test_backend_that_differs_is_refused(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    runner = make_runner(Treacherous(), picture(8, 8), ["static"], multiple=1)
    assert runner.backend == "dynamic"
    assert "differ by 0.8" in runner.results["static"]["refused"]
    assert "is not used: its results differ" in caplog.text
    assert "static refused: its results differ" in runner.describe()
    with pytest.raises(UserError, match="backend 'static' cannot run this network: its results"):
        make_runner(Treacherous(), picture(8, 8), "static", multiple=1)


def test_network_of_one_size(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A file where the cache should be: everything works, and nothing is kept.
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("", encoding="utf-8")
    runner = make_runner(OfOneSize(), picture(8, 8), "static")
    assert runner.backend == "static"
    assert np.array_equal(runner(picture(8, 8)), picture(8, 8) * 2)
    # Another size goes to the network itself, which is what cannot take it.
    with pytest.raises(ValueError, match=r"Reshape|reshape"):
        runner(picture(8, 4))


def test_programs_that_others_may_have_put_there_are_not_run(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = home / "inference"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    make_runner(OfOneSize(), picture(8, 8), "static")
    kept = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert len(kept) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # A folder of another user, or another user's program in a folder that anybody could write to.
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    make_runner(OfOneSize(), picture(8, 8), "static")
    assert "exported networks are not kept" in caplog.text
    assert "is another user's" in caplog.text
    assert [path for path in folder.iterdir() if not path.name.startswith(".")] == kept


@pytest.mark.parametrize("umask", [0o002, 0o000])
def test_programs_are_private_under_any_umask(home: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_runner(OfOneSize(), picture(8, 8), "static")
    finally:
        os.umask(before)
    folder = home / "inference"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (program,) = (path for path in folder.iterdir() if not path.name.startswith("."))
    # As an earlier ppzoo left it: anybody of the group may have changed what lies in it.
    assert stat.S_IMODE(program.stat().st_mode) & 0o020
    (program / "mark").write_bytes(b"")
    folder.chmod(0o755)
    make_runner(OfOneSize(), picture(8, 8), "static")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert program.is_dir()
    assert not (program / "mark").exists()


def test_programs_that_nobody_could_change_stay(home: Path) -> None:
    before = os.umask(0o022)
    try:
        make_runner(OfOneSize(), picture(8, 8), "static")
    finally:
        os.umask(before)
    folder = home / "inference"
    (program,) = (path for path in folder.iterdir() if not path.name.startswith("."))
    (program / "mark").write_bytes(b"")
    (program / "mark").chmod(0o600)
    folder.chmod(0o755)
    make_runner(OfOneSize(), picture(8, 8), "static")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (program / "mark").exists()


def test_crash_leaves_the_process_alone(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    # Ends in a segmentation fault at the first backend, then measures the second.
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$6" = static ]; then echo \'{"backend": "static"}\'; kill -SEGV $$; fi\n'
        "echo Paddle says something\n"
        'echo \'{"backend": "inference"}\'\n'
        'echo \'{"backend": "inference", "seconds": 1000}\'\n',
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    net = OfOneSize()
    runner = make_runner(net, picture(8, 8), ["static", "inference"])
    assert runner.backend == "dynamic"
    assert runner.results["static"] == {"refused": "it ended its process (code -11)"}
    assert runner.results["inference"] == {"seconds": 1000}
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    net.two.set_value(net.two + 1)  # another network, not yet known
    runner = make_runner(net, picture(8, 8), ["static"])
    assert "no process could be started" in runner.results["static"]["refused"]


def test_second_process_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, example = OfOneSize(), picture(8, 8)
    folder = home / "inference" / inference._fingerprint(net, (example,), None)
    save = paddle.jit.save

    def slow_save(layer: nn.Layer, path: str, **options: object) -> None:
        save(layer, path, **options)
        if not folder.exists():  # meanwhile, another process was faster
            save(layer, str(folder / "model"), **options)

    monkeypatch.setattr(paddle.jit, "save", slow_save)
    monkeypatch.setattr(inference, "_child", lambda *args: {"static": {"seconds": 0.0}})
    runner = make_runner(net, example, ["static"])
    assert runner.backend == "static"
    assert np.array_equal(runner(example), example * 2)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_damaged_cache_is_made_anew(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, example = OfOneSize(), picture(8, 8)
    monkeypatch.setattr(inference, "_child", lambda *args: {"static": {"seconds": 0.0}})
    make_runner(net, example, ["static"])
    (notes,) = (home / "inference").rglob("times-*.json")
    assert json.loads(notes.read_text())["backends"]["static"] == {"seconds": 0.0}
    for text in ("", "[]", '{"backends": [1]}', '{"backends": {"static": 3}}'):
        notes.write_text(text)
        assert make_runner(net, example, ["static"]).backend == "static"
    # Weights that were cut short: the network runs itself.
    for path in notes.parent.glob("model*"):
        path.write_bytes(path.read_bytes()[:5])
    runner = make_runner(net, example, ["static"])
    assert runner.backend == "dynamic"
    assert np.array_equal(runner(example), example * 2)


def test_old_exports_are_cleared_away(home: Path) -> None:
    parent = home / "inference"
    parent.mkdir(parents=True)
    for i in range(12):
        (parent / f"{i}").mkdir()
    inference._tidy(parent)
    assert len(list(parent.iterdir())) == inference._KEPT - 1


def test_names(home: Path) -> None:
    with pytest.raises(UserError, match="backend is 'tensorrt', expected one of dynamic, static"):
        make_runner(OfOneSize(), picture(8, 8), "tensorrt")
    runner = make_runner(OfOneSize(), picture(8, 8), "dynamic")
    assert isinstance(runner, Runner)
    assert not home.exists()


def test_deviation() -> None:
    one, nan = np.ones([2], "float32"), np.array([1, np.nan], "float32")
    assert deviation([one], [one]) == 0
    assert deviation([one * 1010], [one * 1000]) == pytest.approx(0.01)
    assert deviation([one * 0.1], [one * 0.2]) == pytest.approx(0.1)
    assert deviation([nan], [one]) == float("inf")
    assert deviation([one, one], [one]) == float("inf")
    assert deviation([one[:1]], [one]) == float("inf")
