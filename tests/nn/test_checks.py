# SPDX-License-Identifier: Apache-2.0
"""Checks that constructors share."""

import pytest

from ppzoo.nn.checks import check_at_least


def test_what_is_large_enough_passes():
    check_at_least(1, ngf=1, ndf=64)
    check_at_least(0, weight=0.0)


@pytest.mark.parametrize("value", [0, -3, float("nan")])
def test_the_first_that_is_too_small_is_named(value):
    with pytest.raises(ValueError, match=f"^ndf is {value}, expected at least 1$"):
        check_at_least(1, ngf=2, ndf=value, n_layers=-9)
