# SPDX-License-Identifier: Apache-2.0
"""`ppzoo measure` streams over folders and gives the figures of all pictures at once."""

import json
import pickle
import tracemalloc

import numpy as np
import paddle
import pytest

from ppzoo import cli
from ppzoo.apps import measure
from ppzoo.errors import DataError
from ppzoo.media.image import read_image, write_image
from ppzoo.metrics.digits import digit_classifier, to_digit_scale
from ppzoo.metrics.fid import fid_from_features
from ppzoo.metrics.kid import KID
from ppzoo.networks.inception import InceptionV3
from ppzoo.weights import write_pdparams

LOAD_FEATURES = measure.load_features
SIZES = [(40, 30), (17, 64), (299, 299), (8, 8)]


def write_pictures(folder, count, seed, sizes=SIZES):
    rng = np.random.default_rng(seed)
    for index in range(count):
        height, width = sizes[index % len(sizes)]
        level = rng.integers(0, 256, (4, 4, 3))
        picture = np.kron(level, np.ones((height // 4 + 1, width // 4 + 1, 1)))[:height, :width]
        write_image(folder / f"{index // 5}" / f"{index:03d}.png", picture.astype("uint8"))
    return folder


@pytest.fixture
def folders(tmp_path):
    return write_pictures(tmp_path / "fake", 11, 1), write_pictures(tmp_path / "real", 14, 2)


@pytest.fixture(autouse=True)
def digits(monkeypatch):
    """The digits' 64 pixels in place of a classifier's features, which takes seconds to train."""
    cheap = measure.Features(
        "digits-64", 64, to_digit_scale, lambda digits: digits.reshape(len(digits), 64)
    )
    load = measure.load_features

    def load_cheap(name, weights=None, *options, **more):
        if name == "digits" and weights is None:
            return cheap
        return load(name, weights, *options, **more)

    monkeypatch.setattr(measure, "load_features", load_cheap)
    return cheap


def all_at_once(folder):
    """Return the features of all pictures of a folder, in memory together."""
    found = [
        to_digit_scale(read_image(path).transpose(2, 0, 1)[None] / 127.5 - 1.0).reshape(1, 64)
        for path in sorted(folder.rglob("*.png"))
    ]
    return np.concatenate(found)


def test_digits_by_name(folders):
    features = LOAD_FEATURES("digits")
    found = measure.statistics_of(folders[0], features)
    image = [read_image(path) for path in sorted(folders[0].rglob("*.png"))]
    want = [
        digit_classifier().image_features(x.transpose(2, 0, 1)[None] / 127.5 - 1) for x in image
    ]
    np.testing.assert_allclose(found.mean, np.concatenate(want).mean(axis=0), rtol=1e-4, atol=1e-6)


def run(*args):
    return cli.main(["measure", *map(str, args)])


def test_equals_all_at_once(folders, digits):
    fake, real = map(all_at_once, folders)
    kid = KID(lambda features: features)
    kid.merge([{"fake": fake.astype("float32"), "real": real.astype("float32")}])
    for size in (1, 4, 100):
        sides = [measure.statistics_of(folder, digits, size) for folder in folders]
        assert [side.count for side in sides] == [11, 14]
        figures = measure.compare(["fid", "kid"], *sides)
        assert figures["fid"] == pytest.approx(fid_from_features(fake, real), rel=1e-6)
        assert figures["kid"] == pytest.approx(kid.accumulate()["mean"], rel=1e-4)


def test_command(folders, tmp_path, capsys):
    out = tmp_path / "figures.json"
    assert run("fid,kid", *folders, "--features", "digits", "--json", out) == 0
    text = capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert f"fid: {figures['fid']:.4f}" in text
    assert f"kid: {figures['kid']:.6f}" in text
    assert "fewer than 64 pictures" in text
    assert figures["fid"] == pytest.approx(fid_from_features(*map(all_at_once, folders)), rel=1e-6)
    assert figures["features"] == "digits-64"
    assert figures["real"] == {"source": str(folders[1]), "pictures": 14, "left_out": 0}


def test_equal_folders(folders, tmp_path, capsys):
    assert run("fid", folders[0], folders[0], "--features", "digits") == 0
    text = capsys.readouterr().out
    assert "fid: 0.0000" in text
    assert "kid" not in text.replace("or use kid", "")


def test_inception(folders, tmp_path):
    paddle.seed(0)
    network = InceptionV3([0], normalize_input=False)
    network.eval()
    write_pdparams(tmp_path / "weights.pdparams", network.state_dict())
    features = measure.load_features("inception", tmp_path / "weights.pdparams", 3, dims=64)
    assert features.name == "inception-64"
    found = measure.statistics_of(folders[0], features, batch_size=3)
    want = []
    for path in sorted(folders[0].rglob("*.png")):
        image = paddle.to_tensor(read_image(path).transpose(2, 0, 1)[None] / np.float32(127.5) - 1)
        with paddle.no_grad():
            want.append(network(image)[0][0].numpy().mean(axis=(2, 3)))
    want = np.concatenate(want)
    np.testing.assert_allclose(found.mean, want.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.covariance, np.cov(want.T), rtol=1e-3, atol=1e-6)


def test_inception_offline(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    assert run("fid", *folders) == 2
    error = capsys.readouterr().err
    assert "InceptionV3.pdparams" in error
    assert error.count("\n") == 1


def test_size(folders, digits):
    found = measure.statistics_of(folders[0], digits, size=16)
    plain = measure.statistics_of(folders[0], digits)
    assert found.count == plain.count
    assert not np.allclose(found.mean, plain.mean)
    resized = write_pictures(folders[0].parent / "resized", 11, 1)
    for path in resized.rglob("*.png"):
        write_image(path, measure._resized(read_image(path), 16))
    np.testing.assert_allclose(measure.statistics_of(resized, digits).mean, found.mean)


class TestMemory:
    def peak(self, folder, count, monkeypatch, digits):
        rng = np.random.default_rng(0)
        monkeypatch.setattr(measure, "find_images", lambda *_, **__: list(range(count)))
        picture = rng.integers(0, 256, (200, 200, 3)).astype("uint8")
        monkeypatch.setattr(measure, "read_image", lambda path: picture.copy())
        tracemalloc.start()
        found = measure.statistics_of(folder, digits, batch_size=4)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert found.count == count
        return peak

    def test_does_not_grow(self, tmp_path, monkeypatch, digits):
        monkeypatch.setattr(measure, "SAMPLE", 8)
        self.peak(tmp_path, 8, monkeypatch, digits)  # what is imported and cached once
        few, many = (self.peak(tmp_path, n, monkeypatch, digits) for n in (16, 160))
        # One picture alone is 120 kB as it is read and 480 kB in float32.
        assert many < few + 60_000


def test_the_sample_is_bounded_and_uniform(monkeypatch):
    monkeypatch.setattr(measure, "SAMPLE", 20)
    drawn = np.zeros(100)
    for seed in range(300):
        monkeypatch.setattr(measure, "_SEED", seed)
        sample = measure._Sample(1)
        for batch in np.split(np.arange(100.0)[:, None], [3, 30, 31, 90]):
            sample.add(batch)
        rows = sample.rows()
        assert rows.shape == (20, 1)
        assert len(np.unique(rows)) == 20
        drawn[rows[:, 0].astype(int)] += 1
    # Each is drawn 60 times on average, with a standard deviation of 6.9.
    assert drawn.min() > 30
    assert drawn.max() < 90
    assert abs(drawn[:20].mean() - 60) < 6


class TestStatistics:
    def test_take_the_place_of_a_folder(self, folders, tmp_path, capsys):
        npz = tmp_path / "real.npz"
        common = ("--features", "digits")
        assert run("fid,kid", *folders, *common, "--save-statistics", npz) == 0
        first = capsys.readouterr().out
        assert run("fid,kid", folders[0], npz, *common) == 0
        second = capsys.readouterr().out
        assert second.replace(str(npz), str(folders[1])) == first

    def test_of_other_programs(self, folders, tmp_path, digits, capsys):
        side = measure.statistics_of(folders[1], digits)
        np.savez(tmp_path / "theirs.npz", mu=side.mean, sigma=side.covariance)
        assert run("fid", folders[0], tmp_path / "theirs.npz", "--features", "digits") == 0
        assert "unknown number" in capsys.readouterr().out
        assert run("kid", folders[0], tmp_path / "theirs.npz", "--features", "digits") == 2
        assert "no features for KID" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "damage",
        [
            lambda path: path.write_bytes(b""),
            lambda path: path.write_bytes(b"PK\x03\x04 nothing"),
            lambda path: path.write_bytes(path.read_bytes()[:-200]),
            lambda path: path.write_bytes(pickle.dumps({"mu": 1})),
            lambda path: np.savez(path, mu=np.zeros(64)),
            lambda path: np.savez(path, mu=np.zeros(64), sigma=np.eye(3)),
            lambda path: np.savez(path, mu=np.full(64, np.nan), sigma=np.eye(64)),
            lambda path: np.savez(path, mu=np.array([{}]), sigma=np.eye(64)),
            lambda path: np.savez(path, mu=np.zeros(64), sigma=np.eye(64), sample=np.zeros(3)),
        ],
    )
    def test_damaged(self, folders, tmp_path, digits, damage):
        path = tmp_path / "real.npz"
        measure.save_statistics(path, measure.statistics_of(folders[1], digits))
        damage(path)
        with pytest.raises(DataError, match=r"real\.npz"):
            measure.load_statistics(path, digits)

    def test_code_in_them_does_not_run(self, tmp_path, digits):
        class Trap:
            def __reduce__(self):
                return (pytest.fail, ("code in the file has run",))

        path = tmp_path / "real.npz"
        np.savez(path, mu=np.array([Trap()], dtype=object), sigma=np.eye(64))
        with pytest.raises(DataError, match="not a file of statistics"):
            measure.load_statistics(path, digits)

    def test_of_another_feature_space(self, tmp_path, digits):
        path = tmp_path / "real.npz"
        np.savez(path, mu=np.zeros(2048), sigma=np.eye(2048))
        with pytest.raises(DataError, match=r"\[2048\] features, where digits-64"):
            measure.load_statistics(path, digits)
        np.savez(path, mu=np.zeros(64), sigma=np.eye(64), features=np.array("other-64"))
        with pytest.raises(DataError, match="other-64, where digits-64"):
            measure.load_statistics(path, digits)

    def test_missing(self, tmp_path, digits):
        with pytest.raises(DataError, match="no file of statistics"):
            measure.load_statistics(tmp_path / "real.npz", digits)


class TestRefusals:
    def test_damaged_picture(self, folders, tmp_path, capsys):
        (folders[0] / "bad.png").write_bytes(b"not a picture")
        out = tmp_path / "figures.json"
        arguments = ("fid", *folders, "--features", "digits", "--json", out)
        assert run(*arguments) == 2
        error = capsys.readouterr().err
        assert "bad.png" in error
        assert "--on-error skip" in error
        assert not out.exists()
        assert run(*arguments, "--on-error", "skip") == 0
        assert "11 pictures" in (text := capsys.readouterr().out)
        assert "1 left out" in text
        assert "bad.png" in text
        assert json.loads(out.read_text())["generated"]["left_out"] == 1

    def test_too_few(self, folders, tmp_path, capsys):
        write_pictures(tmp_path / "one", 1, 0)
        (tmp_path / "one" / "bad.png").write_bytes(b"")
        options = ("--features", "digits", "--on-error", "skip")
        assert run("fid", tmp_path / "one", folders[0], *options) == 2
        error = capsys.readouterr().err
        assert "has 1 pictures" in error
        assert "bad.png" in error

    def test_no_folder(self, folders, tmp_path, capsys):
        assert run("fid", folders[0], tmp_path / "nothing", "--features", "digits") == 2
        assert "nothing" in capsys.readouterr().err

    def test_weights_for_digits(self, folders, tmp_path, capsys):
        assert run("fid", *folders, "--features", "digits", "--weights", "w.pdparams") == 2
        assert "--weights" in capsys.readouterr().err

    def test_name_of_the_statistics(self, folders, capsys):
        assert run("fid", *folders, "--features", "digits", "--save-statistics", "real.txt") == 2
        assert ".npz" in capsys.readouterr().err

    @pytest.mark.parametrize(
        "arguments",
        [("is", "a", "b"), ("fid", "a", "b", "--size", "0"), ("fid", "a", "b", "--size", "x")],
    )
    def test_usage(self, arguments):
        with pytest.raises(SystemExit) as caught:
            run(*arguments)
        assert caught.value.code == 2
