# SPDX-License-Identifier: Apache-2.0
"""Show that a family learns: python tools/prove.py dcgan

Trains the family's demo config from its seed, measures it on held-out data beside a trivial
baseline, writes docs/models/NAME.json and NAME.png, and puts both into docs/models/NAME.md. A proof
holds if every figure is inside its margin, which stands below; it ends with exit code 1 if not.
`--untrained` skips the training: every proof must fail then, or it proves nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import ppzoo  # noqa: E402  (sets the CPU up before Paddle is imported)
from ppzoo import runtime  # noqa: E402
from ppzoo.config import load_config  # noqa: E402
from ppzoo.errors import UserError  # noqa: E402
from ppzoo.media.image import image_grid, to_uint8_images, write_image  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Margin:
    """What a figure must reach.

    Args:
        figure: its name among the metrics.
        at_most: upper limit, None for none.
        at_least: lower limit, None for none.
        of_baseline: the limits are numbers (`none`), multiples of the baseline's figure (`times`),
            or distances from it (`plus`).
    """

    figure: str
    at_most: float | None = None
    at_least: float | None = None
    of_baseline: Literal["none", "times", "plus"] = "none"

    def limits(self, baseline: dict[str, float]) -> tuple[float, float]:
        """Return the lowest and the highest figure that pass."""
        unit = baseline[self.figure] if self.of_baseline == "times" else 1.0
        start = baseline[self.figure] if self.of_baseline == "plus" else 0.0
        low = float("-inf") if self.at_least is None else start + self.at_least * unit
        high = float("inf") if self.at_most is None else start + self.at_most * unit
        return low, high


@dataclasses.dataclass(frozen=True)
class Proof:
    """A claim about a family.

    Args:
        config: the demo config, relative to the repository.
        claim: what the figures show, one sentence.
        margins: what makes the claim true.
        baseline: what is to be beaten: the networks before training, or the input as it is.
    """

    config: str
    claim: str
    margins: tuple[Margin, ...]
    baseline: Literal["untrained", "identity"] = "untrained"


# The baseline is the same generator before training. `digits_sure` is the share of samples that a
# classifier, which knows ten digits and "no digit", is sure to be digits; `digits_coverage` the
# number of classes among them; `digits_frechet` the distance to held-out real digits in the
# classifier's feature space; `digits_label_accuracy` the share that is the digit asked for.
_DIGITS = (
    Margin("digits_frechet", at_most=0.05, of_baseline="times"),
    Margin("digits_sure", at_least=0.35),
    Margin("digits_coverage", at_least=8),
)
# Here the baseline is the photograph itself, compared with its cartoon. `psnr` is in dB. `gmsd`,
# the gradient magnitude similarity deviation, says how far edges are from where they should be:
# lower is better. `domain_fooled` is the share of results that a classifier takes for cartoons.
_CARTOONS = (
    Margin("psnr", at_least=1.0, of_baseline="plus"),
    Margin("gmsd", at_most=0.98, of_baseline="times"),
)
# Without pairs, values cannot be expected to come nearer to the hidden truth; edges can.
_UNPAIRED_CARTOONS = (
    Margin("gmsd", at_most=0.97, of_baseline="times"),
    Margin("psnr", at_least=-0.2, of_baseline="plus"),
    Margin("domain_fooled", at_least=0.05, of_baseline="plus"),
)
PROOFS = {
    "dcgan": Proof(
        "configs/demo/dcgan_digits.yaml", "DCGAN draws all ten handwritten digits", _DIGITS
    ),
    "lsgan": Proof(
        "configs/demo/lsgan_digits.yaml", "LSGAN draws all ten handwritten digits", _DIGITS
    ),
    "wgan": Proof(
        "configs/demo/wgan_digits.yaml", "WGAN draws all ten handwritten digits", _DIGITS
    ),
    "wgangp": Proof(
        "configs/demo/wgangp_digits.yaml", "WGAN-GP draws all ten handwritten digits", _DIGITS
    ),
    "pix2pix": Proof(
        "configs/demo/pix2pix_photographs.yaml",
        "pix2pix draws cartoons of photographs that it has not seen",
        _CARTOONS,
        "identity",
    ),
    "cyclegan": Proof(
        "configs/demo/cyclegan_photographs.yaml",
        "CycleGAN draws cartoons of photographs, trained without a single pair",
        _UNPAIRED_CARTOONS,
        "identity",
    ),
    "ugatit": Proof(
        "configs/demo/ugatit_photographs.yaml",
        "U-GAT-IT finds the colours and contrasts of cartoons, trained without a single pair",
        (
            Margin("psnr", at_least=3.0, of_baseline="plus"),
            Margin("domain_fooled", at_least=0.1, of_baseline="plus"),
        ),
    ),
    "cgan": Proof(
        "configs/demo/cgan_digits.yaml",
        "the conditional GAN draws the digit that it is asked for",
        (*_DIGITS, Margin("digits_label_accuracy", at_least=0.8)),
    ),
}


def prove(name: str, untrained: bool, overrides: list[str], run_dir: Path) -> tuple[bool, dict]:
    """Train, measure and judge; return whether the proof holds, and the row."""
    from ppzoo.engine.trainer import Trainer

    proof = PROOFS[name]
    config = load_config(ROOT / proof.config, overrides)
    print(f"{name}: {proof.claim}\n{runtime.describe()}")
    beginner = Trainer(config, run_dir=run_dir / "baseline")
    if proof.baseline == "identity":
        _hand_through(beginner.model)
    baseline = beginner.evaluate()
    trainer = Trainer(config, run_dir=run_dir)
    started = time.perf_counter()
    if untrained:
        figures = trainer.evaluate()
    else:
        trainer.fit()
        figures = trainer.metrics
    seconds = time.perf_counter() - started

    holds = True
    for margin in proof.margins:
        low, high = margin.limits(baseline)
        passed = low <= figures[margin.figure] <= high
        holds &= passed
        print(
            f"{'pass' if passed else 'FAIL'} {margin.figure}: {figures[margin.figure]:.4g} "
            f"(baseline {baseline[margin.figure]:.4g}, expected "
            f"{f'at most {high:.4g}' if margin.at_most is not None else f'at least {low:.4g}'})"
        )
    row = {
        "name": name,
        "claim": proof.claim,
        "config": proof.config,
        "seed": trainer.seed,
        "iterations": trainer.iteration,
        "seconds": round(seconds, 1),
        "ppzoo": ppzoo.__version__,
        "compared_with": proof.baseline,
        "figures": {key: round(value, 4) for key, value in figures.items()},
        "baseline": {key: round(value, 4) for key, value in baseline.items()},
        "holds": holds,
    }
    if not untrained:
        _write_picture(name, trainer)
    return holds, row


def _hand_through(model: Any) -> None:
    """Let a model of image translation return its input."""
    evaluate = model.eval_step

    def eval_step(batch: Any) -> dict[str, Any]:
        outputs = evaluate(batch)
        return outputs | {"fake": outputs["source"]}

    model.eval_step = eval_step


def _write_picture(name: str, trainer: Any) -> None:
    columns, upscale = 8, 1
    with trainer.averaged_weights():
        outputs = trainer.model.eval_step(next(iter(trainer.evaluator.loader.epoch(0))))
        if "source" in outputs:
            # Rows of held-out pictures, what became of them, and the truth.
            columns, upscale = 10, max(1, 128 // outputs["source"].shape[-1])
            rows = [to_uint8_images(outputs[key][:columns]) for key in ("source", "fake", "real")]
            pictures = np.concatenate(rows)
        else:
            visuals = trainer.model.visuals(trainer.batch)
            pictures = to_uint8_images(next(iter(visuals.values())))
            upscale = max(1, 64 // pictures.shape[1])
    grid = image_grid(pictures, nrow=columns, upscale=upscale)
    write_image(ROOT / "docs" / "models" / f"{name}.png", grid)


def _write_row(name: str, row: dict[str, Any]) -> None:
    folder = ROOT / "docs" / "models"
    (folder / f"{name}.json").write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    page = folder / f"{name}.md"
    figures = "".join(
        f"| {key.removeprefix('digits_')} | {row['figures'][key]:.4g} | {value:.4g} |\n"
        for key, value in row["baseline"].items()
    )
    baseline = {"untrained": "untrained 未训练", "identity": "the input itself 原图"}
    table = (
        f"| figure 指标 | trained 训练后 | {baseline[row['compared_with']]} |\n|---|---|---|\n"
        f"{figures}\n"
        f"{row['iterations']} steps in {row['seconds']:.0f} s on two CPU cores, "
        f"seed {row['seed']}: `python tools/prove.py {name}`\n"
    )
    _between_markers(page, "proof", table)
    summary = ", ".join(
        f"{key.removeprefix('digits_')} {value:.3g}" for key, value in row["figures"].items()
    )
    for readme in ("README.md", "README.zh-CN.md"):
        if (ROOT / readme).is_file():
            _between_markers(ROOT / readme, f"proof {name}", summary, inline=True)


def _between_markers(path: Path, label: str, text: str, inline: bool = False) -> None:
    """Replace what stands between `<!-- label -->` and `<!-- /label -->`, if they are there."""
    content = path.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {label} -->).*?(<!-- /{label} -->)", re.DOTALL)
    body = text if inline else f"\n{text}"
    path.write_text(pattern.sub(lambda m: f"{m[1]}{body}{m[2]}", content), encoding="utf-8")


def main() -> int:
    """Prove what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=[*PROOFS, "all"], help="family to prove")
    parser.add_argument("--untrained", action="store_true", help="must fail: nothing is trained")
    parser.add_argument("-o", "--opt", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--run-dir", type=Path, help="keep the run folder here")
    parser.add_argument("--no-write", action="store_true", help="leave docs/models as it is")
    args = parser.parse_args()
    names = list(PROOFS) if args.name == "all" else [args.name]
    all_hold = True
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            run_dir = (args.run_dir or Path(temporary)) / name
            holds, row = prove(name, args.untrained, args.opt, run_dir)
        if not args.untrained and not args.no_write:
            _write_row(name, row)
        print(f"{name}: {'proved' if holds else 'NOT proved'} in {row['seconds']} s\n")
        all_hold &= holds
    return 0 if all_hold else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
