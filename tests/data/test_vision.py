# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.vision: where the small sets are looked for, and what their samples are."""

import gzip
import struct

import numpy as np
import paddle
import pytest

from ppzoo.data.vision import CommonVisionDataset
from ppzoo.errors import ConfigError, DataError
from ppzoo.registry import DATASETS, build


def write_set(folder, part="train", count=4, value=255):
    folder.mkdir(parents=True, exist_ok=True)
    images = np.full((count, 28, 28), value, np.uint8)
    for kind, array in (("images", images), ("labels", np.arange(count, dtype=np.uint8))):
        header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
        path = folder / f"{part}-{kind}-idx{array.ndim}-ubyte.gz"
        path.write_bytes(gzip.compress(header + array.tobytes()))
    return folder


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No network, an empty working folder, no data folder."""

    def refuse(*args, **kwargs):
        raise RuntimeError("Cannot download https://x/mnist.gz within retry limit 3")

    for name in ("MNIST", "FashionMNIST"):
        monkeypatch.setattr(paddle.vision.datasets, name, refuse)
    monkeypatch.delenv("PPZOO_DATA", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("transforms", "side"),
    [
        (None, 28),
        ([{"name": "Normalize", "mean": [127.5], "std": [127.5], "keys": ["image"]}], 28),
        (
            [
                {"name": "Resize", "size": [64, 64], "interpolation": "bicubic"},
                {"name": "Normalize", "mean": [127.5], "std": [127.5], "keys": ["image"]},
            ],
            64,
        ),
    ],
)
def test_the_transforms_of_paddlegans_configs_give_one_channel_first(tmp_path, transforms, side):
    folder = write_set(tmp_path / "my")
    spec = {
        "name": "CommonVisionDataset",
        "dataset_name": "MNIST",
        "transforms": transforms,
        "params": {"mode": "train", "data_dir": str(folder)},
    }
    dataset = build(DATASETS, spec)
    assert len(dataset) == 4
    assert dataset[1]["img"].shape == (1, side, side)
    assert dataset[1]["img"].dtype == np.float32
    np.testing.assert_array_equal(dataset[1]["img"], 1)
    assert dataset[1]["class_id"] == 1
    assert dataset[1]["class_id"].dtype == np.int64
    np.testing.assert_array_equal(dataset.get_batch(np.array([2]))["img"][0], dataset[2]["img"])


def test_labels_can_be_left_out(tmp_path):
    params = {"data_dir": str(write_set(tmp_path / "my"))}
    assert list(CommonVisionDataset("MNIST", return_label=False, params=params)[0]) == ["img"]


def test_named_files_come_before_folders(tmp_path):
    one, two = write_set(tmp_path / "one"), write_set(tmp_path / "two", count=2)
    params = {
        "image_path": str(one / "train-images-idx3-ubyte.gz"),
        "label_path": str(one / "train-labels-idx1-ubyte.gz"),
        "data_dir": str(two),
    }
    assert len(CommonVisionDataset("MNIST", params=params)) == 4
    with pytest.raises(ConfigError, match="image_path and label_path together"):
        CommonVisionDataset("MNIST", params={"image_path": "x"})


def test_the_data_folder_comes_before_the_working_folder(tmp_path, monkeypatch):
    write_set(tmp_path / "data" / "mnist", count=2)
    assert len(CommonVisionDataset("MNIST")) == 2
    write_set(tmp_path / "elsewhere" / "mnist", count=3)
    write_set(tmp_path / "elsewhere" / "fashion-mnist", part="t10k", count=1)
    monkeypatch.setenv("PPZOO_DATA", str(tmp_path / "elsewhere"))
    assert len(CommonVisionDataset("MNIST")) == 3
    assert len(CommonVisionDataset("FashionMNIST", params={"mode": "test"})) == 1


def test_paddles_download_is_the_last_resort(tmp_path, monkeypatch):
    folder = write_set(tmp_path / "cache")

    class Downloaded:
        def __init__(self, mode):
            self.image_path = str(folder / f"{mode}-images-idx3-ubyte.gz")
            self.label_path = str(folder / f"{mode}-labels-idx1-ubyte.gz")

    monkeypatch.setattr(paddle.vision.datasets, "MNIST", Downloaded)
    assert len(CommonVisionDataset("MNIST", params={"mode": "train"})) == 4


@pytest.mark.parametrize("params", [{}, {"download": False}])
def test_without_network_and_files_one_sentence_tells_the_ways_out(params):
    with pytest.raises(DataError) as caught:
        CommonVisionDataset("MNIST", params=params)
    message = str(caught.value)
    for part in ("data/mnist", "train-images-idx3-ubyte.gz", "data_dir", "DigitsDataset"):
        assert part in message
    assert "\n" not in message


def test_a_folder_without_the_files_is_named(tmp_path):
    write_set(tmp_path / "my", part="t10k")
    with pytest.raises(DataError, match=r"my of 'params.data_dir' does not hold train-images"):
        CommonVisionDataset("MNIST", params={"data_dir": str(tmp_path / "my")})


def test_wrong_names_are_answered_with_suggestions():
    with pytest.raises(ConfigError, match="did you mean 'MNIST'"):
        CommonVisionDataset("MNISTT")
    with pytest.raises(ConfigError, match="no 'moode'; did you mean 'mode'"):
        CommonVisionDataset("MNIST", params={"moode": "train"})
    with pytest.raises(ConfigError, match="must be train or test, got 'val'"):
        CommonVisionDataset("MNIST", params={"mode": "val"})


def test_other_sets_of_paddle_come_as_rgb(monkeypatch):
    from PIL import Image

    class Cifar10:
        def __init__(self, data_file=None, mode="train", transform=None, backend=None):
            assert backend == "pil"
            self.mode = mode

        def __getitem__(self, index):
            return Image.new("RGB", (32, 32), (255, 0, 0)), np.array(7)

        def __len__(self):
            return 3

    monkeypatch.setattr(paddle.vision.datasets, "Cifar10", Cifar10)
    dataset = CommonVisionDataset("Cifar10", params={"mode": "test"})
    assert len(dataset) == 3
    assert dataset.dataset.dataset.mode == "test"
    assert dataset[0]["img"].shape == (3, 32, 32)
    np.testing.assert_array_equal(dataset[0]["img"][:, 0, 0], [1, -1, -1])
    assert dataset[0]["class_id"].shape == ()


def test_an_unchecked_pickle_is_never_handed_to_paddle():
    with pytest.raises(ConfigError, match="no 'data_file'"):
        CommonVisionDataset("Cifar10", params={"data_file": "evil.tar.gz"})
