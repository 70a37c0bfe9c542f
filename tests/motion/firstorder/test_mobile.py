# SPDX-License-Identifier: Apache-2.0
import numpy as np
import paddle
import pytest

from ppzoo.errors import WeightsError
from ppzoo.weights import write_pdparams

from .pieces import batch, model, ready


def state(net):
    return {key: value.numpy().copy() for key, value in net.state_dict().items()}


@pytest.mark.parametrize(
    ("mode", "fixed"), [("generator", "kp_detector"), ("kp_detector", "generator")]
)
def test_one_part_learns_beside_a_full_one(mode, fixed, tmp_path):
    path = tmp_path / "full.pdparams"
    full = model()
    write_pdparams(path, {name: state(full.nets[name]) for name in (fixed,)})
    option = "kp_weight_path" if fixed == "kp_detector" else "gen_weight_path"
    made = ready(model("firstorder_mobile", mode=mode, **{option: str(path)}))
    before = {name: state(made.nets[name]) for name in made.nets}
    assert all(np.array_equal(before[fixed][k], v) for k, v in state(full.nets[fixed]).items())
    logs = made.train_step(batch())
    assert ("equivariance_value" in logs) is (mode == "kp_detector")
    for key, value in state(made.nets[fixed]).items():  # running statistics, too
        assert np.array_equal(value, before[fixed][key]), key
    learned = state(made.nets[mode])
    assert any(not np.array_equal(value, before[mode][key]) for key, value in learned.items())
    assert all(layer.training for layer in made.nets[fixed].sublayers(include_self=True))


def test_both_together_start_from_the_parts(tmp_path):
    paddle.seed(7)
    parts = model("firstorder_mobile")
    paths = {}
    for name in ("kp_detector", "generator"):
        paths[name] = tmp_path / f"{name}.pdparams"
        write_pdparams(paths[name], {name: state(parts.nets[name])})
    made = ready(
        model(
            "firstorder_mobile",
            kp_weight_path=str(paths["kp_detector"]),
            gen_weight_path=str(paths["generator"]),
        )
    )
    for name in paths:
        loaded = state(made.nets[name])
        assert all(np.array_equal(loaded[k], v) for k, v in state(parts.nets[name]).items())


def test_a_missing_file_is_said(tmp_path):
    made = model("firstorder_mobile", mode="generator", kp_weight_path=str(tmp_path / "none"))
    with pytest.raises(WeightsError, match="there is no weights file"):
        ready(made)


def test_unknown_modes_are_refused():
    with pytest.raises(ValueError, match="expected kp_detector, generator or both"):
        model("firstorder_mobile", mode="all")
