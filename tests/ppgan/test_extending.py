# SPDX-License-Identifier: Apache-2.0
"""Classes of one's own, registered and written as PaddleGAN's."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppgan.datasets import build_dataset
from ppgan.datasets.base_dataset import BaseDataset, scandir
from ppgan.engine.trainer import Trainer
from ppgan.models.base_model import BaseModel
from ppgan.models.builder import build_model
from ppgan.utils.config import get_config
from ppgan.utils.registry import Registry, build_from_config
from ppzoo.errors import ConfigError, DataError, UserError
from ppzoo.media.image import write_image
from ppzoo.model import Precision
from ppzoo.registry import MODELS

from ..runs import SMOKE

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIG = """
total_iters: 3
output_dir: output_dir
min_max: (0., 1.)
model:
  name: MyModel
  generator: {name: MyGenerator, width: 4}
  pixel_criterion: {name: L1Loss}
dataset:
  train: &data
    name: MyDataset
    dataroot: pictures
    num_workers: 0
    batch_size: 2
    preprocess:
      - {name: LoadImageFromFile, key: lq}
      - name: Transforms
        input_keys: [lq]
        pipeline:
          - {name: Brighter, by: 10}
          - {name: Transpose}
          - {name: Normalize, mean: [0., 0., 0.], std: [255., 255., 255.]}
  test: *data
lr_scheduler: {name: MultiStepDecay, learning_rate: 0.01, milestones: [2]}
optimizer: {name: Adam, net_names: [generator], beta1: 0.9}
validate:
  interval: 3
  metrics:
    psnr: {name: PSNR, crop_border: 0, test_y_channel: false}
log_config: {interval: 1, visiual_interval: 3}
snapshot_config: {interval: 3}
"""
# Paddle after ppgan: `ppzoo/__init__.py` says why that is safer with Paddle 2.6.
SCRIPT = """
from ppgan.datasets.base_dataset import BaseDataset
from ppgan.datasets.builder import DATASETS
from ppgan.datasets.preprocess.builder import TRANSFORMS
from ppgan.engine.trainer import Trainer
from ppgan.models.base_model import BaseModel
from ppgan.models.builder import MODELS
from ppgan.models.criterions.builder import build_criterion
from ppgan.models.generators.builder import GENERATORS, build_generator
from ppgan.utils.config import get_config
from ppgan.utils.options import parse_args
from ppgan.utils.setup import setup

import paddle
from paddle import nn

try:
    GENERATORS.register(nn.Sequential, name="UnetGenerator")
except ValueError as error:
    print("taken:", error)


@TRANSFORMS.register()
class Brighter:
    def __init__(self, by, keys=None):
        self.by = by

    def __call__(self, datas):
        return tuple(data.clip(0, 255 - self.by) + self.by for data in datas)


@DATASETS.register()
class MyDataset(BaseDataset):
    def __init__(self, dataroot, preprocess):
        super(MyDataset, self).__init__(preprocess)
        self.dataroot = dataroot
        self.data_infos = self.prepare_data_infos()

    def prepare_data_infos(self):
        return [{"lq_path": path} for path in self.scan_folder(self.dataroot)]


@GENERATORS.register()
class MyGenerator(nn.Layer):
    def __init__(self, width):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2D(3, width, 3, padding=1), nn.ReLU(), nn.Conv2D(width, 3, 3, padding=1)
        )

    def forward(self, x):
        return self.body(x)


@MODELS.register()
class MyModel(BaseModel):
    def __init__(self, generator, pixel_criterion=None):
        super(MyModel, self).__init__()
        self.nets["generator"] = build_generator(generator)
        self.pixel_criterion = build_criterion(pixel_criterion)

    def setup_input(self, input):
        self.lq = paddle.to_tensor(input["lq"])
        self.image_paths = input["lq_path"]
        self.visual_items["lq"] = self.lq

    def forward(self):
        self.output = self.nets["generator"](self.lq)
        self.visual_items["output"] = self.output
        self.visual_items["gt"] = self.lq

    def set_total_iter(self, total_iter):
        print("steps", total_iter)

    def train_iter(self, optims=None):
        optims["optim"].clear_grad()
        self.forward()
        loss = self.pixel_criterion(self.output, self.lq)
        self.losses["loss_pixel"] = loss
        self.losses["constant"] = 2.0
        loss.backward()
        optims["optim"].step()


if __name__ == "__main__":
    args = parse_args()
    cfg = get_config(args.config_file, args.opt)
    setup(args, cfg)
    trainer = Trainer(cfg)
    before = trainer.model.nets["generator"].body[0].weight.numpy().copy()
    if args.load:
        trainer.load(args.load)
    if args.evaluate_only:
        print("metrics", trainer.test())
    else:
        trainer.train()
        print("moved", abs(trainer.model.nets["generator"].body[0].weight.numpy() - before).max())
    trainer.close()
"""


class Toy(BaseModel):
    """The least that a model must have."""

    def setup_input(self, input):
        self.x = input["x"]

    def forward(self):
        self.visual_items["output"] = self.nets["net"](self.x)

    def train_iter(self, optims=None):
        self.forward()
        loss = self.visual_items["output"].mean()
        loss.backward()
        optims["optim"].step()
        optims["optim"].clear_grad()
        self.losses["loss"] = loss


@pytest.fixture
def toy():
    model = Toy()
    model.nets["net"] = paddle.nn.Linear(2, 2)
    model.optimizers["optim"] = paddle.optimizer.SGD(0.1, parameters=model.nets["net"].parameters())
    return model


BATCH = {"x": paddle.ones([3, 2])}


def pictures(folder, count=4):
    for index in range(count):
        write_image(folder / f"{index}.png", np.full((8, 8, 3), 20 * index, np.uint8))
    return folder


def test_a_script_with_classes_of_its_own_trains_and_evaluates(tmp_path):
    (tmp_path / "pictures").mkdir()
    pictures(tmp_path / "pictures")
    (tmp_path / "my.yaml").write_text(CONFIG)
    (tmp_path / "my.py").write_text(textwrap.dedent(SCRIPT))

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "my.py", "-c", "my.yaml", "--seed", "3", "--no-cuda", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    taken, *between, last = run().splitlines()
    # Told here, not where ppzoo reads its own classes.
    assert taken == "taken: the generator 'UnetGenerator' is registered already"
    assert "steps 3" in between
    moved = last.split()
    assert moved[0] == "moved"
    assert float(moved[1]) > 0.01
    (folder,) = (tmp_path / "output_dir").glob("my-*")
    log = (folder / "log.txt").read_text()
    assert "loss_pixel: " in log
    assert "constant: 2.000" in log
    assert "Metric psnr: " in log
    names = {path.name for path in folder.rglob("*.png")}
    assert {"0_output.png", "iter000003_output.png"} <= names
    said = run("--evaluate-only", "--load", str(folder / "iter_3_weight.pdparams"))
    psnr = float(said.rpartition("'psnr': ")[2].strip(" }\n"))
    assert f"Metric psnr: {psnr:.4f}" in log


class TestBaseModel:
    def test_a_step_updates_and_returns_losses(self, toy):
        before = toy.nets["net"].weight.numpy().copy()
        logs = toy.train_step(BATCH)
        np.testing.assert_allclose(toy.nets["net"].weight.numpy(), before - 0.05, rtol=1e-5)
        assert logs["loss"].stop_gradient
        assert toy.get_current_losses()["loss"] is toy.losses["loss"]

    def test_looking_changes_nothing(self, toy):
        toy.setup_train_mode(is_train=True)
        outputs = toy.eval_step(BATCH)
        assert outputs["output"].stop_gradient
        assert toy.nets["net"].training
        assert toy.visuals(BATCH)["output"] is outputs["output"]

    def test_modes(self, toy):
        assert toy.is_train
        toy.setup_train_mode(is_train=False)
        assert not toy.nets["net"].training
        assert not toy.is_train
        toy.set_requires_grad(toy.nets["net"], False)
        assert all(p.stop_gradient for p in toy.nets["net"].parameters())
        toy.set_requires_grad([toy.nets["net"], None], True)
        assert not any(p.stop_gradient for p in toy.nets["net"].parameters())

    def test_its_networks_are_exported(self, toy, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        sections = [{"name": "net", "inputs_num": 1}]
        toy.export_model(sections, None, [[-1, 2]])
        toy.export_model(sections, "out", [[3, 2]], False, "mine")
        toy.nets["other"] = paddle.nn.Linear(2, 2)
        for name in ("inference_model/toy_net", "out/mine"):
            found = paddle.jit.load(name)(BATCH["x"]).numpy()
            np.testing.assert_allclose(found, toy.nets["net"](BATCH["x"]).numpy(), rtol=1e-5)
        both = [*sections, {"name": "other"}]
        toy.export_model(both, "both", [[3, 2]] * 2, model_name="mine")
        for name, net in toy.nets.items():
            found = paddle.jit.load(f"both/mine_{name}")(BATCH["x"]).numpy()
            np.testing.assert_allclose(found, net(BATCH["x"]).numpy(), rtol=1e-5)

    @pytest.mark.parametrize(
        ("sections", "sizes", "match"),
        [
            ([{"name": "nut"}], [[1, 2]], "Toy has no network 'nut', only net"),
            ([{"name": "net"}], [], r"0 inputs' sizes are given, but 1 are needed \(inputs: net 1"),
            ([{"name": "net", "size": 2}], [[1, 2]], "should list networks by name and inputs_num"),
            (["net"], [[1, 2]], "should list networks by name"),
            (None, [[1, 2]], "export_model names no network: give it one of net"),
        ],
    )
    def test_exports_that_cannot_be_are_refused(self, toy, tmp_path, sections, sizes, match):
        with pytest.raises(ConfigError, match=match):
            toy.export_model(sections, str(tmp_path / "out"), sizes)
        assert not (tmp_path / "out").exists()

    def test_what_scripts_ask_it_for(self, toy):
        assert toy.get_image_paths() == []
        toy.image_paths = ["a.png"]
        assert toy.get_image_paths() == ["a.png"]
        metrics = toy.setup_metrics({"psnr": {"name": "PSNR", "crop_border": 3}})
        assert metrics is toy.metrics
        assert metrics["psnr"].crop_border == 3

    def test_it_must_be_whole(self):
        with pytest.raises(TypeError, match="abstract"):
            BaseModel()

    @pytest.mark.parametrize("name", ["setup_lr_schedulers", "setup_optimizers", "setup_metrics"])
    def test_other_contracts_are_refused_with_the_class(self, name):
        with pytest.raises(ConfigError, match=rf"^Mine has a `{name}` .*docs/migrating\.md"):
            type("Mine", (Toy,), {name: lambda self, lr, cfg: None})

    def test_what_it_cannot_do_is_refused(self, toy):
        toy.precision = Precision("O1")
        with pytest.raises(ConfigError, match="without --amp"):
            toy.train_step(BATCH)
        toy.precision, toy.reduce_gradients = Precision(), lambda parameters: None
        with pytest.raises(ConfigError, match="one process only"):
            toy.train_step(BATCH)


class TestModelsOfPpzoo:
    """Those that a script derives from, as it did from PaddleGAN's."""

    @pytest.fixture
    def registered(self, monkeypatch):
        def register(**methods):
            from ppgan.models.pix2pix_model import Pix2PixModel

            mine = type("MyPix2Pix", (Pix2PixModel,), methods)
            monkeypatch.setitem(MODELS._entries, "MyPix2Pix", mine)
            cfg = get_config(str(SMOKE / "pix2pix.yaml"), ["validate=null"])
            cfg.model.name = "MyPix2Pix"
            return cfg

        return register

    def test_with_steps_of_ppzoos(self, registered):
        cfg = registered(eval_step=lambda self, batch: {"output": batch["A"]})
        model = build_model(cfg.model)
        assert model.eval_step({"A": 3}) == {"output": 3}
        assert Trainer(cfg).model.eval_step({"A": 3}) == {"output": 3}

    @pytest.mark.parametrize("name", ["setup_input", "train_iter", "test_iter"])
    def test_steps_of_paddlegans_are_not_ignored(self, registered, name):
        cfg = registered(**{name: lambda self, *args: None})
        for use in (lambda: build_model(cfg.model), lambda: Trainer(cfg)):
            with pytest.raises(ConfigError, match=rf"^MyPix2Pix has a `{name}`, .*migrating\.md"):
                use()


class TestBaseDataset:
    def test_samples_are_made_of_copies(self, tmp_path):
        class Numbers(BaseDataset):
            def prepare_data_infos(self):
                self.data_infos = [{"image_path": path} for path in self.scan_folder(tmp_path)]

        pictures(tmp_path, 2)
        (tmp_path / "in").mkdir()
        pictures(tmp_path / "in", 1)
        plain = Numbers()
        plain.prepare_data_infos()
        assert len(plain) == 3
        plain[0]["image_path"] = "changed"
        assert Path(plain[0]["image_path"]).is_file()
        read = Numbers([{"name": "LoadImageFromFile", "key": "image"}])
        read.prepare_data_infos()
        assert read[1]["image"].shape == (8, 8, 3)

    def test_folders_are_scanned(self, tmp_path):
        for name in ("b.png", "a.JPG", ".hidden.png", "notes.txt", "in/c.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        assert list(scandir(tmp_path)) == ["a.JPG", "b.png", "notes.txt"]
        assert list(scandir(str(tmp_path), ".png", recursive=True)) == ["b.png", "in/c.png"]
        names = [Path(path).name for path in BaseDataset.scan_folder(tmp_path)]
        assert names == ["a.JPG", "b.png", "c.png"]
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match="empty has no pictures"):
            BaseDataset.scan_folder(tmp_path / "empty")

    def test_repeated(self, tmp_path):
        write_image(tmp_path / "a.png", np.zeros((4, 8, 3), np.uint8))
        inner = {"name": "SingleDataset", "dataroot": str(tmp_path), "preprocess": []}
        cfg = {"name": "RepeatDataset", "times": 3, "dataset": inner, "batch_size": 2}
        assert len(build_dataset(cfg)) == 3
        assert cfg["batch_size"] == 2


class TestRegistry:
    def test_of_ones_own(self):
        table = Registry("BACKBONE")

        @table.register()
        class Mine:
            def __init__(self, width, depth=1):
                self.sizes = width, depth

        table.register(Mine, name="Other")
        assert table.get("Mine") is Mine
        cfg = {"name": "Other", "width": 2}
        assert build_from_config(cfg, table, {"depth": 5, "width": 1}).sizes == (2, 5)
        assert cfg == {"name": "Other", "width": 2}
        with pytest.raises(UserError, match="no BACKBONE is named 'Mime'; did you mean 'Mine'"):
            table.get("Mime")
        with pytest.raises(ValueError, match="registered already"):
            table.register(Mine)
