# SPDX-License-Identifier: Apache-2.0
"""ppzoo.engine.evaluate: what test pictures are called. The rest is in test_trainer.py."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from ppzoo.data.loader import Loader, build_dataset
from ppzoo.engine.evaluate import Evaluator
from tests.data.videos import preprocess, write_clips

MODEL = SimpleNamespace(
    eval_step=lambda batch: {
        "middle": batch["lq"][:, 1],
        "frames": batch["lq"],
        "stacked": batch["lq"].flatten(1, 2),  # more channels than a picture has
    },
    eval_visuals=lambda batch, outputs: outputs,
)


def written(dataset, folder: Path) -> list[str]:
    loader = Loader(dataset, 2, train=False, seed=0)
    Evaluator(loader, {}, (0.0, 1.0)).run(MODEL, folder)
    return sorted(path.name for path in folder.iterdir())


def test_frames_of_several_clips_do_not_overwrite_each_other(tmp_path: Path) -> None:
    write_clips(tmp_path, ["000", "011"], ["00000000.png", "00000001.png", "00000002.png"])
    dataset = build_dataset(
        {
            "name": "VSRFramesDataset",
            "lq_folder": str(tmp_path / "lq"),
            "gt_folder": str(tmp_path / "gt"),
            "num_frames": 3,
            "preprocess": preprocess(None, crop=False),
        }
    )
    names = [f"{clip}_0000000{frame}_middle.png" for clip in ("000", "011") for frame in range(3)]
    assert written(dataset, tmp_path / "out") == names


def test_clips_without_names_of_frames_are_called_by_their_paths(tmp_path: Path) -> None:
    dataset = build_dataset(
        {"name": "EmbeddedVideoDataset", "mode": "test", "size": 16, "samples": 3}
    )
    names = [f"{photo}_middle.png" for photo in ("chelsea_00000", "chelsea_00002", "flower_00001")]
    assert written(dataset, tmp_path) == names
