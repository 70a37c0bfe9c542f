# SPDX-License-Identifier: Apache-2.0
"""First Order Motion on arrays: batches, keypoints, memory, and which networks a file holds."""

from __future__ import annotations

import logging

import numpy as np
import paddle
import pytest

from ppzoo.apps.animation import Animator, grouped, infer_firstorder, load_animator
from ppzoo.apps.inference import Runner
from ppzoo.config import load_config
from ppzoo.config.schema import plain
from ppzoo.errors import ConfigError, UserError, WeightsError
from ppzoo.motion.firstorder import KPDetector, OcclusionAwareGenerator, normalize_kp
from ppzoo.weights import write_pdparams

from ..runs import SMOKE, checkpoint_in, trained
from .motion_pieces import SIZE, arrays_of, driver, networks, pattern, saved


def animator(detector=None, generator=None, **options):
    if detector is None:
        detector, generator = networks()
    return Animator(detector, generator, SIZE, **{"backend": "dynamic", **options})


def frames(count):
    return driver(count, (SIZE, SIZE))


def first(points):
    return {key: value[:1] for key, value in points.items()}


def same(frames, others):
    """Tell whether frames are equal, but for a level that the order of sums may round away."""
    apart = np.abs(np.stack(frames).astype(int) - np.stack(others))
    return apart.max() <= 1 and (apart > 0).mean() < 1e-3


class TestPictures:
    @pytest.mark.parametrize("jacobians", [True, False])
    @pytest.mark.parametrize("relative", [True, False])
    def test_they_are_the_generators(self, jacobians, relative):
        detector, generator = networks(estimate_jacobian=jacobians)
        made = animator(detector, generator, batch_size=4)
        source, clip = pattern(SIZE, SIZE), frames(4)
        still, points = made.still(source), made.keypoints(clip)
        moved = made.moved(still, points, first(points), relative=relative)
        pictures = made.draw(still, moved)

        x = paddle.to_tensor(np.stack([source, *clip]).transpose(0, 3, 1, 2) / np.float32(255))
        with paddle.no_grad():
            kp = detector(x)
            kp_source, kp_driving = (
                {key: value[part] for key, value in kp.items()}
                for part in (slice(0, 1), slice(1, None))
            )
            kp_wanted = normalize_kp(
                kp_source, kp_driving, first(kp_driving), True, relative, relative and jacobians
            )
            kp_source = {
                key: value.tile([4] + [1] * (value.ndim - 1)) for key, value in kp_source.items()
            }
            expected = generator(x[:1].tile([4, 1, 1, 1]), kp_wanted, kp_source)["prediction"]
        expected = np.rint(expected.numpy() * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        assert np.abs(pictures.astype(int) - expected).max() <= 1
        assert pictures.std(axis=(1, 2, 3)).min() > 5  # there is something to see
        assert (pictures[0] != pictures[3]).mean() > 0.01  # and it moves

    def test_without_a_motion_network_the_source_is_drawn(self):
        detector, _ = networks()
        paddle.seed(0)
        generator = OcclusionAwareGenerator(3, 3, 4, 16, 1, 1)
        made = animator(detector, generator)
        still, points = made.still(pattern(SIZE, SIZE)), made.keypoints(frames(2))
        one, two = made.draw(still, points)
        assert (one == two).all()

    @pytest.mark.parametrize("batch_size", [2, 3, 16])
    def test_batches_change_nothing(self, batch_size):
        source, clip = pattern(40, 50), driver(7)
        single = list(animator().animate(source, clip))
        several = list(animator(batch_size=batch_size).animate(source, clip))
        assert [frame.shape for frame in several] == [(SIZE, SIZE, 3)] * 7
        assert same(single, several)

    def test_an_exported_network_takes_whole_batches_only(self, monkeypatch):
        source, clip = pattern(SIZE, SIZE), frames(5)
        expected = list(animator().animate(source, clip))
        examples = []

        class Exported(Runner):
            def __init__(self, net, example, *_, measured):
                super().__init__(net)
                self.backend, self.shapes = "inference", [array.shape for array in example]
                examples.append((self.shapes, measured))

            def run(self, *arrays):
                assert [array.shape for array in arrays] == self.shapes
                return super().run(*arrays)

        monkeypatch.setattr("ppzoo.apps.animation.make_runner", Exported)
        made = animator(batch_size=3)
        assert same(list(made.animate(source, clip)), expected)
        assert [measured for _, measured in examples] == [False, False]
        assert examples[0][0] == [(3, 3, SIZE, SIZE)]
        made.expect(20)
        list(made.animate(source, clip))
        assert len(examples) == 2
        made.expect(None)  # may be long
        list(made.animate(source, clip))
        made.expect(1000)
        list(made.animate(source, clip))
        assert [measured for _, measured in examples[2:]] == [True, True]

    def test_relative_motion_begins_with_the_source_as_it_is(self):
        made, clip = animator(), frames(3)
        still, points = made.still(pattern(SIZE, SIZE)), made.keypoints(clip)
        moved = made.moved(still, points, first(points))
        for key, value in still.points.items():
            assert moved[key][0] == pytest.approx(value[0], abs=1e-5)
        other = made.moved(still, points, {k: v[2:] for k, v in points.items()})
        assert other["value"][2] == pytest.approx(still.points["value"][0], abs=1e-5)
        as_it_is = made.moved(still, points, first(points), relative=False)
        assert (as_it_is["value"] == points["value"]).all()

    def test_the_initial_frame_can_be_any(self):
        source, clip = pattern(SIZE, SIZE), frames(4)
        made = animator()
        last_first = list(made.animate(source, clip, initial=clip[3]))
        expected = list(made.animate(source, clip[3:]))
        assert (last_first[3] == expected[0]).all()
        assert (last_first[0] != next(made.animate(source, clip))).any()

    def test_values_that_are_no_numbers_are_reported(self):
        detector, generator = networks()
        generator.final.bias.set_value(paddle.full([3], float("nan")))
        made = animator(detector, generator, name="broken.pdparams")
        still = made.still(pattern(SIZE, SIZE))
        with pytest.raises(
            WeightsError, match=r"broken\.pdparams makes values that are no numbers"
        ):
            made.draw(still, still.points)

    def test_sizes_that_the_networks_cannot_take(self):
        detector, generator = networks()
        with pytest.raises(UserError, match=r"image_size is 36, .* multiples of 8 .* such as 32"):
            Animator(detector, generator, 36)
        with pytest.raises(UserError, match="batch_size is 0"):
            animator(batch_size=0)
        with pytest.raises(UserError, match="backend is 'magic'"):
            animator(backend="magic")

    def test_edges_are_kept_from_256_pixels_on(self):
        detector, generator = networks()
        assert not Animator(detector, generator, 128, keep_edges=True).generator.inference
        assert Animator(detector, generator, 256, keep_edges=True).generator.inference
        assert not Animator(detector, generator, 256).generator.inference


class TestMemory:
    def test_a_batch_is_halved(self, caplog):
        detector, generator = networks()
        source, clip = pattern(SIZE, SIZE), frames(11)
        expected = list(animator(detector, generator).animate(source, clip))
        sizes, decode = [], generator.decode

        def short_of_memory(maps, motion):
            sizes.append(maps.shape[0])
            if maps.shape[0] > 2:
                raise RuntimeError("ResourceExhausted: Out of memory error")
            return decode(maps, motion)

        generator.decode = short_of_memory
        made = animator(detector, generator, batch_size=8)
        with caplog.at_level(logging.WARNING):
            found = list(made.animate(source, clip))
        assert same(found, expected)
        assert sizes == [8, 4, 2, 2, 2, 2, 2, 1]
        assert "for 4 frames at once, going on with 2" in caplog.text
        assert made.used_batch == 2

    @pytest.mark.parametrize(
        ("batch_size", "error"), [(1, MemoryError()), (4, ValueError("another reason"))]
    )
    def test_other_errors_and_single_frames_are_not_tried_again(self, batch_size, error):
        detector, generator = networks()

        def fails(maps, motion):
            raise error

        generator.decode = fails
        made = animator(detector, generator, batch_size=batch_size)
        with pytest.raises(type(error)):
            list(made.animate(pattern(SIZE, SIZE), frames(4)))


class TestFiles:
    def test_a_checkpoint_of_the_trainer(self, tmp_path):
        trainer = trained("firstorder", tmp_path, "total_iters=2", "snapshot_config.interval=2")
        path = checkpoint_in(tmp_path)
        made = load_animator(path)
        assert (made.size, made.trained_size) == (SIZE, SIZE)
        for name, net in (("kp_detector", made.detector), ("generator", made.generator)):
            expected = arrays_of(trainer.model.nets[name])
            found = arrays_of(net)
            assert all((found[key] == value).all() for key, value in expected.items())
        assert load_animator(path, image_size=64).size == 64

    @pytest.mark.parametrize("layout", ["official", "Gen_Full"])
    def test_layouts_of_paddlegan(self, tmp_path, layout):
        detector, generator = networks()
        path = tmp_path / "a b.中文.pdparams"
        if layout == "official":
            saved(path, detector, generator)
        else:
            both = {f"kp_extractor.{key}": value for key, value in arrays_of(detector).items()}
            both |= {f"generator.{key}": value for key, value in arrays_of(generator).items()}
            write_pdparams(path, {"Gen_Full": both, "Dis": {"a": np.zeros(1, np.float32)}})
        made = load_animator(path)
        assert (made.size, made.trained_size) == (256, None)
        expected = arrays_of(generator)
        assert all(
            (value == expected[key]).all() for key, value in arrays_of(made.generator).items()
        )

    def test_a_config_may_be_a_mapping(self, tmp_path):
        path = saved(tmp_path / "a.pdparams")
        model = load_config(SMOKE / "firstorder.yaml").model.kwargs
        config = {
            "model": {
                "common_params": plain(model["common_params"]),
                "generator": plain(model["generator"]),
            }
        }
        config["model"]["generator"]["kp_detector_cfg"]["temperature"] = 0.3
        assert load_animator(path, config).detector.temperature == 0.3
        with pytest.raises(ConfigError, match="the config describes no First Order Motion"):
            load_animator(path, {"model": {"name": "Pix2PixModel"}})
        with pytest.raises(ConfigError, match=r"pix2pix\.yaml describes no First Order Motion"):
            load_animator(path, SMOKE / "pix2pix.yaml")

    def test_phones_have_networks_of_their_own(self, tmp_path):
        path = saved(tmp_path / "phone.pdparams", *networks("firstorder_mobile"))
        config = SMOKE / "firstorder_mobile.yaml"
        assert load_animator(path, config, mobile_net=True).generator.mobile_net
        with pytest.raises(WeightsError, match="holds the full networks"):
            load_animator(saved(tmp_path / "full.pdparams"), mobile_net=True)

    def test_a_part_in_training_is_beside_a_full_one(self, tmp_path):
        detector, _ = networks()
        _, generator = networks("firstorder_mobile")
        path = saved(tmp_path / "a.pdparams", detector, generator)
        config = load_config(SMOKE / "firstorder_mobile.yaml", ["model.mode=generator"])
        (tmp_path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
        made = load_animator(path)
        assert made.generator.mobile_net
        assert arrays_of(made.detector).keys() == arrays_of(detector).keys()

    @pytest.mark.parametrize("size", [None, 512, "phone"])
    def test_official_weights(self, size, monkeypatch):
        asked = []

        def find(name, path):
            asked.append(name)
            raise WeightsError("not here")

        monkeypatch.setattr("ppzoo.apps.animation.find_weights", find)
        options = {"mobile_net": True} if size == "phone" else {"image_size": size}
        with pytest.raises(WeightsError):
            load_animator(**options)
        names = {
            None: "first_order_vox",
            512: "first_order_vox_512",
            "phone": "first_order_vox_mobile",
        }
        assert asked == [names[size]]


class TestRecognition:
    @pytest.mark.parametrize(
        ("detector", "generator", "common"),
        [
            ({}, {}, {}),
            ({"num_blocks": 3, "max_features": 32, "scale_factor": 0.25}, {}, {"num_kp": 5}),
            ({"single_jacobian_map": True}, {"num_down_blocks": 2, "max_features": 12}, {}),
            ({}, {"estimate_occlusion_map": False}, {"estimate_jacobian": False}),
            ({"scale_factor": 1}, {"dense_motion_params": None}, {"num_channels": 1}),
            ({"mobile_net": True, "scale_factor": 0.25}, {"mobile_net": True}, {}),
        ],
    )
    def test_networks_are_recognised_by_their_weights(self, detector, generator, common):
        dense = {"block_expansion": 4, "max_features": 16, "num_blocks": 2, "scale_factor": 0.25}
        common = {"num_kp": 3, "num_channels": 3, "estimate_jacobian": True, **common}
        detector = {
            "temperature": 0.1,
            "block_expansion": 4,
            "max_features": 16,
            "scale_factor": 0.5,
            "num_blocks": 2,
            **detector,
        }
        generator = {
            "block_expansion": 4,
            "max_features": 8,
            "num_down_blocks": 1,
            "num_bottleneck_blocks": 2,
            "estimate_occlusion_map": True,
            "dense_motion_params": dense,
            **generator,
        }
        if generator["dense_motion_params"] is None:
            generator["estimate_occlusion_map"] = False
        nets = (KPDetector(**detector, **common), OcclusionAwareGenerator(**generator, **common))
        arrays = dict(zip(("kp_detector", "generator"), map(arrays_of, nets), strict=True))
        found = infer_firstorder(arrays)
        assert found["common_params"] == common
        assert found["generator"]["kp_detector_cfg"] == detector
        body = found["generator"]["generator_cfg"]
        if generator["max_features"] != body["max_features"]:  # never reached
            generator["max_features"] = body["max_features"]
        assert body == generator

    def test_other_weights_are_refused(self, tmp_path):
        path = tmp_path / "a.pdparams"
        other = {"conv.weight": np.zeros((3, 3), np.float32)}
        write_pdparams(path, {"kp_detector": other, "generator": other})
        with pytest.raises(WeightsError, match=r"a\.pdparams holds no weights of First Order"):
            load_animator(path)


def test_grouped() -> None:
    assert list(grouped(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(grouped([], 2)) == []
