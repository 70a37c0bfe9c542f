# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from ppzoo.errors import ConfigError
from ppzoo.translation.direction import check_direction, pictures_of
from tests.translation import pieces

FAMILIES = sorted(pieces.SPECS)


@pytest.mark.parametrize(
    ("direction", "a_to_b"), [("a2b", True), ("AtoB", True), ("b2a", False), ("BtoA", False)]
)
def test_spellings_mean_what_they_say(direction, a_to_b):
    assert check_direction(direction) is a_to_b


@pytest.mark.parametrize("direction", ["A2B", "a2c", "", None])
def test_other_spellings_are_refused(direction):
    with pytest.raises(ConfigError, match=r"model\.direction is .* expected 'a2b'"):
        check_direction(direction)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_model_follows_it(family):
    batch = pieces.batch(1)
    for direction, source, target in (("a2b", "A", "B"), ("b2a", "B", "A")):
        outputs = pieces.build(family, direction=direction).eval_step(batch)
        assert np.array_equal(outputs["source"].numpy(), batch[source].numpy())
        assert np.array_equal(outputs["real"].numpy(), batch[target].numpy())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_model_refuses_another(family):
    with pytest.raises(ConfigError, match=r"model\.direction"):
        pieces.build(family, direction="a2z")


def test_a_dataset_without_one_of_the_domains_is_named():
    with pytest.raises(ConfigError, match=r"needs 'B' of each sample, .* gives only 'A'"):
        pictures_of({"A": 1}, True, "Pix2PixModel")
