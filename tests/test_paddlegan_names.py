# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import pytest

from ppzoo import registry
from ppzoo.errors import NotHereYetError, UnknownNameError
from ppzoo.paddlegan_names import REGISTERED, has_name, lacking
from ppzoo.registry import Registry

REGISTRIES = {
    value.label: value for value in vars(registry).values() if isinstance(value, Registry)
}
# How many names PaddleGAN registers of each kind.
COUNTS = {
    "criterion": 20,
    "dataset": 31,
    "discriminator": 18,
    "generator": 44,
    "learning-rate scheduler": 4,
    "metric": 4,
    "model": 34,
    "optimizer": 5,
    "preprocess step": 7,
    "transform": 22,
}


def test_every_name_is_in_the_table() -> None:
    assert {label: len(names) for label, names in REGISTERED.items()} == COUNTS
    assert set(REGISTERED) == set(REGISTRIES)


@pytest.mark.parametrize(
    "label", ["learning-rate scheduler", "metric", "optimizer", "preprocess step", "transform"]
)
def test_all_of_these_are_here(label: str) -> None:
    assert REGISTERED[label] <= set(REGISTRIES[label])


def test_a_name_of_paddlegans_that_is_missing_is_known_as_such() -> None:
    with pytest.raises(NotHereYetError, match=r"PaddleGAN's SwinIR yet; `ppzoo list`") as error:
        registry.GENERATORS.get("SwinIR")
    assert error.value.names == ("SwinIR",)
    assert "did you mean" not in str(error.value)


def test_a_name_is_looked_up_by_its_kind() -> None:
    assert has_name("criterion", "SSIM")
    assert not has_name("model", "SwinIR")
    assert not has_name("nothing", "SwinIR")
    with pytest.raises(UnknownNameError) as error:
        registry.MODELS.get("SwinIR")
    assert not isinstance(error.value, NotHereYetError)


def test_the_sentence_names_all() -> None:
    assert lacking(["A", "B", "C"]).startswith("ppzoo does not have PaddleGAN's A yet, nor B, C;")
