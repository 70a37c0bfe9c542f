# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.config import load_config
from ppzoo.errors import ConfigError, DataError
from tests.runs import SMOKE

from .pieces import batch, model, ready


def weights_of(made):
    return {
        f"{name}.{key}": value.numpy().copy()
        for name in made.nets
        for key, value in made.nets[name].named_parameters()
    }


def test_it_learns_to_remake_a_frame():
    made = ready(model(), rate=2e-3)
    pair = batch()
    first = made.train_step(pair)
    for made.iteration in range(1, 60):
        last = made.train_step(pair)
    assert set(first) == {
        "perceptual",
        "gen_gan",
        "feature_matching",
        "equivariance_value",
        "equivariance_jacobian",
        "disc_gan",
    }
    assert float(last["perceptual"]) < 0.9 * float(first["perceptual"])


def test_without_an_adversary_there_is_no_step_of_the_discriminator():
    section = load_config(SMOKE / "firstorder.yaml").model.to_dict()["train_params"]
    section["loss_weights"] |= {"generator_gan": 0}
    made = ready(model(train_params=section))
    before = weights_of(made)
    logs = made.train_step(batch())
    after = weights_of(made)
    assert "disc_gan" not in logs
    moved = {key.split(".")[0] for key in before if not np.array_equal(before[key], after[key])}
    assert moved == {"kp_detector", "generator"}


def test_each_network_has_its_rate():
    made = model()
    made.setup_lr_schedulers(
        {"epoch_milestones": [1], "lr_generator": 1, "lr_discriminator": 2, "lr_kp_detector": 3}
    )
    made.setup_optimizers({"optim": ({"name": "Adam"}, None)})
    rates = {name: optimizer.get_lr() for name, optimizer in made.optimizers.items()}
    assert rates == {"optimizer_KP": 3, "optimizer_Gen": 1, "optimizer_Dis": 2}
    made.step_lr_schedulers()
    assert np.isclose(made.optimizers["optimizer_KP"].get_lr(), 0.3)


def test_schedules_of_another_kind_are_refused():
    with pytest.raises(ConfigError, match="FirstOrderModel has MultiStepDecay"):
        model().setup_lr_schedulers({"name": "LinearDecay"})
    with pytest.raises(ConfigError, match="lr_scheduler needs lr_generator"):
        model().setup_lr_schedulers(
            {"epoch_milestones": [1], "lr_discriminator": 1, "lr_kp_detector": 1}
        )


def test_a_video_is_remade_from_its_first_frame():
    made = model()
    made.train()
    video = paddle.rand([2, 3, 4, 32, 32])
    outputs = made.eval_step({"video": video})
    assert outputs["fake"].shape == outputs["real"].shape == [8, 3, 32, 32]
    assert np.allclose(outputs["real"][5].numpy(), video[1, :, 1].numpy() * 2 - 1)
    assert np.allclose(outputs["source"][5].numpy(), video[1, :, 0].numpy() * 2 - 1)
    assert outputs["kp_driving"].shape == [8, 3, 2]
    made.nets["kp_detector"].eval()
    again = made.nets.kp_detector((outputs["fake"] + 1) / 2)["value"]
    assert np.allclose(outputs["kp_fake"].numpy(), again.numpy(), atol=1e-4)
    assert not np.allclose(outputs["kp_fake"].numpy(), outputs["kp_driving"].numpy(), atol=1e-4)


def test_videos_of_a_batch_move_each_other():
    batch = {"video": paddle.rand([3, 3, 4, 32, 32]), "pose": paddle.rand([3, 4, 6])}
    assert "animated" not in model().eval_step(batch)
    outputs = model(eval_animation=True).eval_step(batch)
    assert outputs["animated"].shape == [12, 3, 32, 32]
    assert np.array_equal(outputs["pose_driver"][2].numpy(), batch["pose"][0].numpy())


def test_pictures_of_a_training_show_no_animation():
    made = model(eval_animation=True)
    assert set(made.visuals(batch())) == {"source", "driving", "made", "moved"}


def test_pixels_alone_can_teach():
    section = load_config(SMOKE / "firstorder.yaml").model.to_dict()["train_params"]
    section["loss_weights"] = {"reconstruction": 4}
    made, pair = ready(model(train_params=section)), batch()
    logs = made.train_step(pair)
    assert set(logs) == {"reconstruction"}
    again = made.train_step(pair)
    assert float(again["reconstruction"]) < float(logs["reconstruction"])


def test_unknown_losses_are_refused():
    section = load_config(SMOKE / "firstorder.yaml").model.to_dict()["train_params"]
    section["loss_weights"] = {"percptual": [1] * 5}
    with pytest.raises(ValueError, match="loss_weights has percptual, known are"):
        model(train_params=section)


def test_other_data_are_refused():
    with pytest.raises(DataError, match="gives A, B; First Order Motion needs"):
        ready(model()).train_step({"A": None, "B": None})


def test_mistakes_in_a_network_are_found_before_it_is_built():
    override = ["model.generator.kp_detector_cgf={}"]
    with pytest.raises(ConfigError, match="did you mean 'kp_detector_cfg'"):
        load_config(SMOKE / "firstorder.yaml", override, check=True)
