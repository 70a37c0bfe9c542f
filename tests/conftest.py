# SPDX-License-Identifier: Apache-2.0
"""What every test can rely on: one thread a worker, fixed random states, no network."""

from __future__ import annotations

import logging
import os
import random
import socket
import sys

# Two workers of one thread each finish sooner than one process of two threads, and two of two would
# fight over the cores. Set before anything imports paddle, which reads it once; not by default,
# because the process that starts the workers has imported ppzoo, whose choice they inherit.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import numpy as np
import pytest

import ppzoo  # noqa: F401  (sets the CPU runtime, which must happen before paddle is imported)

LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1", ""}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need a GPU where there is none."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if not on_gpu:
        return
    import paddle

    if not (paddle.device.is_compiled_with_cuda() and paddle.device.cuda.device_count()):
        config.hook.pytest_deselected(items=on_gpu)
        items[:] = [item for item in items if item not in on_gpu]


@pytest.fixture(autouse=True)
def same_random_states() -> None:
    """Seed every generator, so that no test depends on those that ran before it."""
    random.seed(0)
    np.random.seed(0)
    if "paddle" in sys.modules:
        sys.modules["paddle"].seed(0)


@pytest.fixture(autouse=True)
def same_log() -> None:
    """Begin with ppzoo's log as it is before anything runs: trainings make it speak on stdout."""
    logger = logging.getLogger("ppzoo")
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behave like a machine that is offline, except towards itself."""
    connect, getaddrinfo = socket.socket.connect, socket.getaddrinfo

    def local_connect(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and address[0] not in LOCAL_HOSTS:
            raise OSError(f"tests run without a network, and one connects to {address[0]}")
        connect(self, address)

    def local_getaddrinfo(host: object, *args: object, **kwargs: object) -> object:
        if host is not None and str(host) not in LOCAL_HOSTS:
            raise socket.gaierror(f"tests run without a network, and one looks up {host}")
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", local_connect)
    monkeypatch.setattr(socket, "getaddrinfo", local_getaddrinfo)


@pytest.fixture(autouse=True)
def no_data_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the datasets of the person who runs the tests out of them."""
    monkeypatch.delenv("PPZOO_DATA", raising=False)


@pytest.fixture(autouse=True)
def no_weights_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the weights that PaddleGAN has fetched for that person out of them, too."""
    monkeypatch.setattr("ppzoo.weights.manifest.PADDLEGAN_FOLDERS", ())
