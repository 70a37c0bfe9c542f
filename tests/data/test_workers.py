# SPDX-License-Identifier: Apache-2.0
"""ppzoo.data.workers: what becomes of batches, errors and processes."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ppzoo.data.workers import Pool, room
from ppzoo.errors import ConfigError, DataError, MissingExtraError

PLAN = [np.array([row]) for row in range(12)]


def read(epoch, indices):
    """Return arrays of several kinds, one without elements, and a list."""
    value = epoch * 100 + int(indices[0])
    return {
        "wide": np.full((3, 5), value, np.float64),
        "byte": np.array(value % 256, np.uint8),
        "none": np.zeros((0, 4), np.float32),
        "path": [f"{value}.png"],
    }


def copies(batches):
    return [
        {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in b.items()} for b in batches
    ]


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A zombie that nobody waits for is gone as well.
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] == "Z"


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def pool():
    pools = []

    def make(function=read, num_workers=2, shared_bytes=4096):
        pools.append(Pool(function, num_workers, shared_bytes))
        return pools[-1]

    yield make
    for made in pools:
        made.close()


@pytest.mark.parametrize("shared_bytes", [0, 100, 4096])
def test_batches_come_in_order_and_unchanged(pool, shared_bytes):
    got = copies(pool(shared_bytes=shared_bytes).batches(2, PLAN))
    assert len(got) == len(PLAN)
    for indices, batch in zip(PLAN, got, strict=True):
        expected = read(2, indices)
        assert batch.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_array_equal(batch[key], value)
            assert getattr(batch[key], "dtype", None) == getattr(value, "dtype", None)


def test_room_counts_what_slots_must_hold():
    assert room(read(0, PLAN[0])) == 128 + 64 + 0


def test_a_pool_serves_many_epochs_also_after_one_left_early(pool):
    made = pool()
    for epoch in range(5):
        for number, batch in enumerate(made.batches(epoch, PLAN)):
            assert batch["byte"] == epoch * 100 % 256 + number
            if number == 3:
                break
    assert len(copies(made.batches(0, PLAN))) == len(PLAN)
    assert sorted(made._free) == list(range(len(made._slots)))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (DataError("x.png is damaged"), DataError, r"^x\.png is damaged$"),
        (ConfigError("'size' is odd"), ConfigError, "^'size' is odd$"),
        (MissingExtraError("av", "video", "reading"), DataError, "^reading needs the package 'av'"),
        (KeyError("secret"), RuntimeError, r"in a worker process:\n[\s\S]*KeyError: 'secret'"),
    ],
)
def test_errors_arrive_with_their_text(pool, error, kind, message):
    def fail(epoch, indices):
        if indices[0] == 3:
            raise error
        return read(epoch, indices)

    batches = pool(fail).batches(0, PLAN)
    for _ in range(3):
        next(batches)
    with pytest.raises(kind, match=message):
        next(batches)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_worker_is_one_sentence_at_once(pool, number):
    def die(epoch, indices):
        if indices[0] == 3:
            os.kill(os.getpid(), number)
        return read(epoch, indices)

    begin = time.monotonic()
    with pytest.raises(DataError, match=r"^a worker process .* died, .* 'num_workers'"):
        copies(pool(die).batches(0, PLAN))
    assert time.monotonic() - begin < 20


def test_processes_end_with_the_pool(pool):
    made = Pool(read, 2, 4096)
    next(made.batches(0, PLAN))
    assert len(multiprocessing.active_children()) >= 2
    del made
    gc.collect()
    assert eventually(lambda: not multiprocessing.active_children())


def test_workers_leave_ctrl_c_to_the_main_process(pool):
    def tell(epoch, indices):
        return {"pid": [os.getpid()], **read(epoch, indices)}

    made = pool(tell)
    pids = {batch["pid"][0] for batch in made.batches(0, PLAN)}
    assert os.getpid() not in pids
    for pid in pids:
        os.kill(pid, signal.SIGINT)
    assert len(copies(made.batches(0, PLAN))) == len(PLAN)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_workers_of_a_killed_process_do_not_stay(tmp_path):
    script = (
        "import os, sys, numpy as np\n"
        "from ppzoo.data.workers import Pool\n"
        "read = lambda epoch, indices: {'pid': [os.getpid()]}\n"
        "pool = Pool(read, 2, 0)\n"
        "pids = {b['pid'][0] for b in pool.batches(0, [np.zeros(1)] * 50)}\n"
        "print(*pids, flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert pids
    process.kill()
    process.communicate()
    assert eventually(lambda: all(gone(pid) for pid in pids))
