# SPDX-License-Identifier: Apache-2.0
"""Two processes on one CPU, under Paddle's launcher with gloo, equal one process."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ppzoo.weights import read

from .runs import PLAIN, ROOT, clean_environment, trained

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="Paddle's gloo runs on Linux"),
]
WORKER = ROOT / "tests" / "distributed_worker.py"


def launch(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2"]
    return subprocess.run(
        [*command, "--log_dir", str(folder / "log"), *map(str, arguments)],
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )


def logs_of(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted((folder / "log").glob("workerlog.*")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def ranks(folder: Path) -> Sequence[dict[str, np.ndarray]]:
    done = launch(folder, WORKER, folder)
    assert done.returncode == 0, done.stdout + done.stderr + logs_of(folder)
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in (0, 1)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, dict[str, float]]]:
    """Return what one process sees at the same global batch."""
    run = trained("dcgan", tmp_path_factory.mktemp("alone"), "total_iters=6")
    return {"steps": run.recorder.steps, "lines": run.recorder.lines}


def test_losses_equal_those_of_one_process(
    ranks: Sequence[dict[str, np.ndarray]], alone: dict[str, dict[int, dict[str, float]]]
) -> None:
    assert [rank["rank"] for rank in ranks] == [0, 1]
    for step, losses in alone["steps"].items():
        for name, value in losses.items():
            # Each process has half of the batch.
            halves = [float(rank[f"steps.{step}.{name}"]) for rank in ranks]
            assert halves[0] != halves[1]
            assert np.mean(halves) == pytest.approx(value, abs=1e-4)
    for step, losses in alone["lines"].items():
        for name, value in losses.items():
            logged = [float(rank[f"lines.{step}.{name}"]) for rank in ranks]
            assert logged[0] == logged[1] == pytest.approx(value, abs=1e-4)


def test_processes_keep_the_same_networks(ranks: Sequence[dict[str, np.ndarray]]) -> None:
    keys = [key for key in ranks[0] if key.startswith("state.")]
    assert len(keys) > 50
    assert not [key for key in keys if not np.array_equal(ranks[0][key], ranks[1][key])]


def test_batches_are_shares_of_the_global_batch(
    ranks: Sequence[dict[str, np.ndarray]], tmp_path: Path
) -> None:
    from ppzoo.data import build_dataloader

    from .runs import smoke_config

    data = smoke_config("dcgan", tmp_path).dataset.train
    whole = list(build_dataloader(data, train=True, seed=0).epoch(0))[:6]
    for rank, found in enumerate(ranks):
        assert found["images"].shape == (6, 4, 1, 64, 64)
        for mine, batch in zip(found["images"], whole, strict=True):
            assert np.array_equal(mine, batch["img"].numpy()[rank::2])


def test_noise_is_shares_of_the_global_noise(ranks: Sequence[dict[str, np.ndarray]]) -> None:
    import paddle

    paddle.seed(7)
    whole = paddle.rand([6, 2]).numpy()
    for rank, found in enumerate(ranks):
        assert np.array_equal(found["noise"], whole[rank::2])


def test_objects_are_gathered_in_order(ranks: Sequence[dict[str, np.ndarray]]) -> None:
    assert [[rank["gathered.0"], rank["gathered.1"]] for rank in ranks] == [[0, 10], [0, 10]]


def test_metrics_see_all_test_data_once(ranks: Sequence[dict[str, np.ndarray]]) -> None:
    from ppzoo.data.digits import DigitsDataset

    dataset = DigitsDataset("test", 64, return_label=False)
    total = sum(float(sample["img"].astype("float64").sum()) for sample in dataset)
    for found in ranks:
        assert found["metric.seen_count"] == len(dataset)
        assert found["metric.seen_sum"] == pytest.approx(total)


def test_evaluation_uses_the_running_statistics_of_the_first(
    ranks: Sequence[dict[str, np.ndarray]],
) -> None:
    assert np.array_equal(ranks[0]["running"], ranks[1]["running"])
    assert not ranks[0]["running"].any()


def test_resumed_run_equals_an_unbroken_one(ranks: Sequence[dict[str, np.ndarray]]) -> None:
    assert all(found["resumed"] for found in ranks)


def test_signal_to_one_process_stops_all_after_the_same_step(
    ranks: Sequence[dict[str, np.ndarray]], folder: Path
) -> None:
    assert [found["stopped"].tolist() for found in ranks] == [[3, 15], [3, 15]]
    assert len(list((folder / "interrupted").rglob("iter_3_checkpoint.pdparams"))) == 1


def test_loss_that_diverges_on_one_process_stops_all(
    ranks: Sequence[dict[str, np.ndarray]], folder: Path
) -> None:
    for found in ranks:
        assert "D_real_loss became nan at iteration 3" in str(found["diverged"])
    assert not list((folder / "diverged").rglob("*.pdparams"))


def test_synchronised_batch_norm_is_that_of_all_rows(
    ranks: Sequence[dict[str, np.ndarray]],
) -> None:
    for found in ranks:
        # Output, input's gradient (of size 300), running mean and variance, parameters' gradients.
        assert (found["norm"] < [1e-4, 1e-3, 1e-5, 1e-5, 1e-5, 1e-5]).all()
        assert found["norm.keys"].tolist() == ["weight", "bias", "_mean", "_variance"]


def test_only_the_first_process_writes(
    ranks: Sequence[dict[str, np.ndarray]], folder: Path
) -> None:
    (run,) = (folder / "whole").iterdir()
    assert sorted(path.name for path in run.iterdir()) == [
        *("config.yaml", "iter_2_weight.pdparams", "iter_4_weight.pdparams"),
        *("iter_6_checkpoint.pdparams", "iter_6_weight.pdparams", "log.txt", "log.txt.rank1"),
        "visual_train",
    ]
    (evaluated,) = (folder / "evaluated").iterdir()
    names = [path.name for path in (evaluated / "visual_test").glob("*_real.png")]
    assert len(names) == 225


def test_command_of_the_documentation(tmp_path: Path) -> None:
    """The tool itself; and a checkpoint of two processes is no checkpoint of one."""
    tool = [ROOT / "tools" / "main.py", "-c", ROOT / "configs" / "smoke" / "dcgan.yaml"]
    options = [*PLAIN, "sync_batch_norm=True", "dataset.train.batch_size=4", "output_dir=runs"]
    done = launch(tmp_path, *tool, "--device", "cpu", "-o", *options)
    assert done.returncode == 0, done.stdout + done.stderr + logs_of(tmp_path)
    (run,) = (tmp_path / "runs").iterdir()
    text = (run / "log.txt").read_text()
    alone = trained("dcgan", tmp_path / "alone")
    for step, losses in alone.recorder.lines.items():
        shown = " ".join(rf"{name}: ([-\d.]+)" for name in losses)
        (match,) = re.finditer(rf"Iter: {step}/4 lr: \S+ {shown} ", text)
        values = [float(value) for value in match.groups()]
        assert values == pytest.approx(list(losses.values()), abs=6e-4)
    state = read(run / "iter_4_checkpoint.pdparams")["ppzoo"]
    assert state["world_size"] == 2

    from ppzoo.errors import ConfigError

    from .runs import make_trainer

    again = make_trainer(
        "dcgan", tmp_path, "total_iters=9", "sync_batch_norm=true", "dataset.train.batch_size=4"
    )
    with pytest.raises(ConfigError, match="number of processes: 2 -> 1"):
        again.resume(run / "iter_4_checkpoint.pdparams")
