# SPDX-License-Identifier: Apache-2.0
"""What public scripts do with parts of PaddleGAN, written here in its idiom."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import paddle
import pytest
import yaml

import ppgan
from ppgan.datasets.builder import build_dataloader
from ppgan.engine.trainer import IterLoader, Trainer
from ppgan.faceutils import face_detection
from ppgan.metrics import build_metric
from ppgan.models.builder import build_model
from ppgan.models.criterions.builder import build_criterion
from ppgan.models.discriminators.builder import build_discriminator
from ppgan.models.generators import RRDBNet
from ppgan.models.generators.builder import build_generator
from ppgan.models.generators.occlusion_aware import OcclusionAwareGenerator
from ppgan.modules.keypoint_detector import KPDetector
from ppgan.solver import build_lr_scheduler, build_optimizer
from ppgan.utils.animate import normalize_kp
from ppgan.utils.config import AttrDict, get_config
from ppgan.utils.filesystem import load, makedirs, save
from ppgan.utils.setup import setup
from ppgan.utils.visual import save_image, tensor2img
from ppzoo.errors import ConfigError, UserError
from ppzoo.runtime import seed_everything

from ..apps.face_pieces import RedDetector, picture_with_faces
from ..runs import SMOKE


def state_of(net):
    return {name: value.numpy() for name, value in net.state_dict().items()}


class TestBuilders:
    def test_a_generator_of_a_mapping(self, tmp_path):
        cfg = AttrDict(name="RRDBNet", in_nc=3, out_nc=3, nf=4, nb=1)
        net = build_generator(cfg)
        assert cfg.name == "RRDBNet"
        save(net.state_dict(), str(tmp_path / "net.pdparams"))
        twin = RRDBNet(3, 3, 4, 1)
        twin.set_state_dict(load(str(tmp_path / "net.pdparams")))
        x = paddle.rand([1, 3, 8, 8])
        np.testing.assert_array_equal(twin(x).numpy(), net(x).numpy())

    def test_losses_networks_and_optimizers(self):
        judge = build_discriminator({"name": "NLayerDiscriminator", "input_nc": 3, "ndf": 4})
        loss = build_criterion({"name": "GANLoss", "gan_mode": "lsgan"})
        schedule = build_lr_scheduler(
            {"name": "MultiStepDecay", "learning_rate": 0.5, "milestones": [1], "gamma": 0.1}
        )
        cfg = {"name": "Adam", "beta1": 0.5}
        optimizer = build_optimizer(cfg, schedule, judge.parameters())
        assert optimizer.get_lr() == 0.5
        schedule.step()
        assert optimizer.get_lr() == pytest.approx(0.05)
        value = loss(judge(paddle.rand([1, 3, 32, 32])), True)
        value.backward()
        optimizer.step()
        assert float(value) > 0

    def test_metrics(self):
        metric = build_metric({"name": "PSNR", "crop_border": 0})
        black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
        metric.update(black, white)
        assert metric.accumulate() == pytest.approx(0.0, abs=1e-6)
        metric.reset()
        metric.update([black, white], [white, black], is_seq=True)
        assert metric.accumulate() == pytest.approx(0.0, abs=1e-6)

    def test_models_of_families_that_are_missing(self):
        with pytest.raises(UserError, match="ppzoo does not have PaddleGAN's StyleGAN2Model yet"):
            build_model({"name": "StyleGAN2Model"})


class TestConfigs:
    def test_of_a_reader_of_ones_own(self, tmp_path):
        """Texts that stand for values have become these, and keys are attributes."""
        cfg = AttrDict(yaml.safe_load((SMOKE / "pix2pix.yaml").read_text()))
        cfg.min_max, cfg.output_dir = (-1.0, 1.0), str(tmp_path)
        cfg.total_iters, cfg.validate = 1, None
        args = argparse.Namespace(
            config_file="my_config.yaml", evaluate_only=False, seed=3, no_cuda=True
        )
        args.profiler_options, args.amp, args.amp_level = None, False, "O1"
        setup(args, cfg)
        trainer = Trainer(cfg)
        trainer.train()
        assert Path(trainer.output_dir).name.startswith("my_config-")
        assert (Path(trainer.output_dir) / "iter_1_weight.pdparams").is_file()

    def test_copies(self):
        cfg = get_config(str(SMOKE / "pix2pix.yaml"))
        assert isinstance(cfg.copy(), dict)
        assert cfg.model.get("direction") == cfg["model"]["direction"] == "a2b"
        assert getattr(cfg, "nothing", None) is None
        assert cfg.pop("seed") == 0


def test_a_model_is_loaded_and_exported(tmp_path):
    cfg = get_config(str(SMOKE / "pix2pix.yaml"), ["export_model=[{name: netG, inputs_num: 1}]"])
    weights = tmp_path / "w.pdparams"
    trained = build_model(cfg.model)
    save({name: net.state_dict() for name, net in trained.nets.items()}, str(weights))

    model = ppgan.models.builder.build_model(cfg.model)
    model.setup_train_mode(is_train=False)
    states = ppgan.utils.filesystem.load(str(weights))
    for name, net in model.nets.items():
        if name in states:
            net.set_state_dict(states[name])
    out = tmp_path / "inference"
    model.export_model(cfg.export_model, str(out), [[-1, 3, 32, 32]])
    exported = paddle.jit.load(str(out / "pix2pixmodel_netG"))
    x = paddle.rand([2, 3, 32, 32])
    for net in (trained.nets["netG"], exported):
        net.eval()
    np.testing.assert_allclose(exported(x).numpy(), trained.nets["netG"](x).numpy(), atol=1e-5)

    with pytest.raises(ConfigError, match="2 inputs' sizes are given, but 1 are needed"):
        model.export_model(cfg.export_model, str(out), [[1, 3, 32, 32]] * 2)
    with pytest.raises(ConfigError, match="Paddle Serving"):
        model.export_model(cfg.export_model, str(out), [[1, 3, 32, 32]], True)


class TestModels:
    @pytest.fixture(scope="class")
    def cfg(self):
        return get_config(str(SMOKE / "pix2pix.yaml"), ["dataset.test.batch_size=2"])

    @pytest.fixture
    def model(self, cfg):
        return build_model(cfg.model)

    def test_one_looks_at_a_batch(self, cfg, model):
        assert model.get_current_visuals() == {}
        batch = next(iter(build_dataloader(cfg.dataset.test, is_train=False)))
        model.setup_input(batch)
        model.test_iter()
        seen = model.get_current_visuals()
        for name, value in model.eval_step(batch).items():
            np.testing.assert_array_equal(seen[name].numpy(), value.numpy())
        with pytest.raises(ConfigError, match="test_iter takes no metrics"):
            model.test_iter({"psnr": None})

    def test_gradients_are_switched(self, model):
        model.set_requires_grad(model.nets["netD"], False)
        assert all(p.stop_gradient for p in model.nets["netD"].parameters())

    @pytest.mark.parametrize("name", ["forward", "train_iter"])
    def test_steps_by_hand_are_refused(self, model, name):
        with pytest.raises(ConfigError, match=rf"^Pix2PixModel has no {name}: "):
            getattr(model, name)()

    def test_the_trainers_has_them_too(self, cfg, tmp_path):
        model = Trainer(AttrDict(cfg, output_dir=str(tmp_path))).model
        assert model.get_current_visuals() == {}


def test_a_network_is_run_over_test_data(tmp_path):
    cfg = get_config(str(SMOKE / "pix2pix.yaml"), ["dataset.test.batch_size=1"])
    net = build_model(cfg.model).nets["netG"]
    net.eval()
    loader = build_dataloader(cfg.dataset.test, is_train=False, distributed=False)
    batches = IterLoader(loader)
    assert len(batches) == len(loader) == 8
    metrics = OrderedDict(
        (name, build_metric(one)) for name, one in cfg["validate"]["metrics"].items()
    )
    makedirs(str(tmp_path / "pix2pix"))
    for i in range(9):
        data = next(batches)
        with paddle.no_grad():
            fake = net(data["A"])
        image = tensor2img(fake[0], (-1.0, 1.0))
        save_image(image, str(tmp_path / f"pix2pix/{i}.png"))
        for metric in metrics.values():
            metric.update(image, tensor2img(data["B"][0], (-1.0, 1.0)))
    assert batches.epoch == 2
    assert 1 < metrics["psnr"].accumulate() < 40
    assert imageio.imread(tmp_path / "pix2pix/8.png").shape == (32, 32, 3)
    np.testing.assert_array_equal(
        imageio.imread(tmp_path / "pix2pix/8.png"), imageio.imread(tmp_path / "pix2pix/0.png")
    )


def test_epochs_have_orders_of_their_own():
    cfg = get_config(str(SMOKE / "pix2pix.yaml"))
    loader = build_dataloader(cfg.dataset.train)
    first, second = ([batch["A"].numpy() for batch in loader] for _ in range(2))
    assert len(first) == len(second) == 4
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))


class TestOrder:
    def first_batch(self):
        loader = build_dataloader(get_config(str(SMOKE / "pix2pix.yaml")).dataset.train)
        return next(iter(loader))["A"].numpy()

    @pytest.mark.parametrize("seed", [np.random.seed, seed_everything])
    def test_it_is_that_of_the_scripts_seed(self, seed):
        found = []
        for value in (1, 1, 2):
            seed(value)
            found.append(self.first_batch())
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.array_equal(found[0], found[2])

    def test_it_is_another_in_each_run_without_a_seed(self):
        found = []
        for _ in range(2):
            np.random.seed()
            found.append(self.first_batch())
        assert not np.array_equal(*found)


def test_first_order_motion_by_hand():
    cfg = get_config(str(SMOKE / "firstorder.yaml"))
    common, parts = cfg.model.common_params, cfg.model.generator
    detector = KPDetector(**parts.kp_detector_cfg, **common)
    generator = OcclusionAwareGenerator(**parts.generator_cfg, **common)
    model = build_model(cfg.model)
    detector.set_state_dict(state_of(model.nets["kp_detector"]))
    generator.set_state_dict(state_of(model.nets["generator"]))
    for net in (detector, generator):
        net.eval()
    source, driving = paddle.rand([1, 3, 32, 32]), paddle.rand([1, 3, 32, 32])
    with paddle.no_grad():
        still, first, moved = detector(source), detector(source), detector(driving)
        points = normalize_kp(
            kp_source=still,
            kp_driving=moved,
            kp_driving_initial=first,
            use_relative_movement=True,
            use_relative_jacobian=True,
            adapt_movement_scale=False,
        )
        out = generator(source, kp_source=still, kp_driving=points)
    assert out["prediction"].shape == [1, 3, 32, 32]
    expected = moved["value"] - first["value"] + still["value"]
    np.testing.assert_allclose(points["value"].numpy(), expected.numpy(), atol=1e-6)


class TestFaces:
    @pytest.fixture
    def detector(self, monkeypatch):
        monkeypatch.setattr(face_detection, "build_detector", lambda name: RedDetector())
        return face_detection.FaceAlignment(
            face_detection.LandmarksType._2D, flip_input=False, face_detector="sfd"
        )

    def test_of_many_pictures(self, detector):
        frames = [
            picture_with_faces((10, 20, 40, 60), (100, 80, 110, 95)),
            picture_with_faces(),
            picture_with_faces((280, 150, 300, 200)),
        ]
        found = detector.get_detections_for_batch(np.array(frames))
        assert found == [(10, 20, 40, 60), None, (280, 150, 300, 200)]
        assert all(type(value) is int for value in found[0])

    def test_of_one_picture(self, detector):
        picture = picture_with_faces((100, 80, 110, 95), (10, 20, 40, 60))
        for given in (np.array([picture]), picture, picture.astype(np.float32)):
            found = detector.get_detections_for_image(given)
            assert found == [(10, 20, 40, 60), (100, 80, 110, 95)]
        assert detector.get_detections_for_image(picture_with_faces()) == []

    def test_names(self):
        assert int(face_detection.NetworkSize.LARGE) == 4
        with pytest.raises(UserError, match="there is no face detector 'dlib'"):
            face_detection.FaceAlignment(face_detection.LandmarksType._2D, face_detector="dlib")
