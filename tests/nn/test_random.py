# SPDX-License-Identifier: Apache-2.0
"""Random draws: one place to redirect, and rows that do not depend on the number of processes."""

import numpy as np
import paddle
import pytest

from ppzoo.nn import random


@pytest.fixture
def shard():
    """Let a test play several processes, and be one again afterwards."""
    yield random.set_shard
    random.set_shard(0, 1)


class Counting:
    """Noise that counts on: the first draw is 0, 1, 2, ..."""

    def __init__(self):
        self.asked = []
        self.next = 0

    def _draw(self, *asked):
        self.asked.append(asked)
        shape = asked[-1]
        size = int(np.prod(shape))
        self.next += size
        return np.arange(self.next - size, self.next, dtype="float64").reshape(shape)

    def normal(self, shape):
        return self._draw("normal", list(shape))

    def uniform(self, shape):
        return self._draw("uniform", list(shape))

    def randint(self, low, high, shape):
        return self._draw("randint", low, high, list(shape)).astype("int32")


DRAWS = {
    "normal": lambda shape: random.normal(shape),
    "uniform": lambda shape: random.uniform(shape),
    "randint": lambda shape: random.randint(3, 9, shape),
}


@pytest.mark.parametrize("kind", DRAWS)
class TestEveryKind:
    def test_shape_and_dtype(self, kind):
        draw = DRAWS[kind]([4, 3])
        assert draw.shape == [4, 3]
        assert draw.dtype == (paddle.int64 if kind == "randint" else paddle.float32)
        assert draw.stop_gradient

    def test_is_a_function_of_paddles_seed(self, kind):
        draws = []
        for seed in (1, 1, 2):
            paddle.seed(seed)
            draws.append(DRAWS[kind]([20]).numpy())
        assert np.array_equal(draws[0], draws[1])
        assert not np.array_equal(draws[0], draws[2])

    @pytest.mark.parametrize("world_size", [2, 3])
    def test_ranks_together_draw_what_one_process_draws(self, kind, world_size, shard):
        paddle.seed(5)
        one = DRAWS[kind]([4 * world_size, 2]).numpy()
        rows = np.full_like(one, -99)
        for rank in range(world_size):
            shard(rank, world_size)
            paddle.seed(5)
            rows[rank::world_size] = DRAWS[kind]([4, 2]).numpy()
        assert np.array_equal(rows, one)

    def test_a_scalar_is_the_same_for_all(self, kind, shard):
        paddle.seed(5)
        one = DRAWS[kind]([]).item()
        shard(1, 2)
        paddle.seed(5)
        assert DRAWS[kind]([]).item() == one

    def test_is_redirected(self, kind):
        source = Counting()
        with random.source(source):
            draw = DRAWS[kind]((2, 3))
        assert draw.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
        assert draw.dtype == (paddle.int64 if kind == "randint" else paddle.float32)
        asked = (kind, 3, 9, [2, 3]) if kind == "randint" else (kind, [2, 3])
        assert source.asked == [asked]

    def test_a_redirected_draw_is_sharded_too(self, kind, shard):
        shard(1, 2)
        with random.source(Counting()):
            assert DRAWS[kind]([2]).numpy().tolist() == [1, 3]


def test_values_lie_where_they_should():
    uniform, integers = random.uniform([10000]).numpy(), random.randint(3, 9, [10000]).numpy()
    normal = random.normal([10000]).numpy()
    assert 0.0 <= uniform.min() < 0.01 < 0.99 < uniform.max() < 1.0
    assert set(integers.tolist()) == {3, 4, 5, 6, 7, 8}
    assert normal.mean() == pytest.approx(0.0, abs=0.05)
    assert normal.std() == pytest.approx(1.0, abs=0.05)


def test_a_source_ends_with_its_context_even_after_an_error():
    source = Counting()
    with pytest.raises(KeyError), random.source(source):
        raise KeyError
    random.normal([2])
    assert not source.asked


def test_sources_nest():
    outer, inner = Counting(), Counting()
    with random.source(outer):
        with random.source(inner):
            random.normal([1])
        random.normal([2])
    assert inner.asked == [("normal", [1])]
    assert outer.asked == [("normal", [2])]
