# SPDX-License-Identifier: Apache-2.0
"""Show that a family learns: python tools/prove.py dcgan

Trains the family's demo config from its seed, measures it on held-out data beside a trivial
baseline, writes docs/models/NAME.json, NAME.png and for some NAME.gif, and puts the figures into
docs/models/NAME.md. A proof holds if every figure is inside its margin, which stands below; it ends
with exit code 1 if not.
`--untrained` skips the training: every proof must fail then, or it proves nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402

import ppzoo  # noqa: E402  (sets the CPU up before Paddle is imported)
from ppzoo import runtime  # noqa: E402
from ppzoo.config import load_config  # noqa: E402
from ppzoo.errors import UserError  # noqa: E402
from ppzoo.media.bicubic import resize_bicubic  # noqa: E402
from ppzoo.media.image import image_grid, to_uint8_images, write_image  # noqa: E402
from tools.animations import write_gif  # noqa: E402
from tools.before_after import comparison  # noqa: E402
from tools.moving_pictures import motion_film, motion_picture  # noqa: E402
from tools.talking_pictures import lips_film, lips_picture, sync_picture  # noqa: E402

Baseline = Literal["untrained", "identity", "bicubic", "first stage", "reference", "copy"]
_BASELINE_TITLES: dict[Baseline, str] = {
    "untrained": "untrained 未训练",
    "identity": "the input itself 原图",
    "bicubic": "bicubic 双三次插值",
    "first stage": "first stage 第一阶段",
    "copy": "a copy of the source 照抄源图",
    "reference": "the reference 参考图",
}


@dataclasses.dataclass(frozen=True)
class Title:
    """How the front page words a figure, which takes the place of `{}`.

    Args:
        english: in README.md.
        chinese: in README.zh-CN.md.
        against: whether the baseline's figure stands beside it.
    """

    english: str
    chinese: str
    against: bool = False


# Figures that are not here stand on the family's page alone.
_FRONT_PAGE = {
    "digits_frechet": Title("Fréchet distance {}", "Fréchet 距离 {}", against=True),
    "digits_coverage": Title("{} kinds of digits", "{} 种数字"),
    "digits_label_accuracy": Title("{} as asked for", "符合指定数字的占 {}"),
    "psnr": Title("{} dB", "{} dB", against=True),
    "gmsd": Title("error of edges {}", "边缘误差 {}", against=True),
    "domain_fooled": Title("{} taken for cartoons", "{} 被认作卡通", against=True),
    "gain_psnr_gain": Title("{} dB over bicubic", "比双三次插值高 {} dB"),
    "gain_psnr_gain_least": Title("{} for the worst picture", "最差的一张 {}"),
    "texture_gradient_distance": Title("distance of gradients {}", "梯度分布距离 {}", against=True),
    "time_psnr_over_still": Title("{} dB by other frames", "其中邻帧贡献 {} dB"),
    "l1_over_source": Title("{} of a copy's error", "误差为照抄源图的 {} 倍"),
    "motion_least": Title("correlation of poses {}", "姿态相关系数 {}"),
    "sync_accuracy": Title("right in {} of cases", "判断正确率 {}", against=True),
    "lse_real_offset": Title("{} frames off", "偏移 {} 帧", against=True),
    "mouth_sound": Title("correlation with the sound {}", "口型与声音的相关系数 {}", against=True),
    "lower_of_average": Title("{} of an average mouth's error", "误差为平均口型的 {} 倍"),
}
_READMES = ("README.md", "README.zh-CN.md")


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
        baseline: what is to be beaten: the networks before training, the input as it is, its
            bicubic enlargement, the networks of the proof `after`, or a film of copies of the
            picture that is to move.
        after: the proof whose networks this training starts from, None for none.
        expert: the option that gets the weights of `after`, for a training that does not start from
            them but asks them for their opinion. On the command line it may name weights that a
            proof of `after` left in its run folder, which then is not trained again.
        film: given the trained and the untrained trainer, returns what docs/models/NAME.gif shows,
            uint8 RGB [T, H, W, 3], and its frames per second.
        picture: given the same, returns docs/models/NAME.png, uint8 RGB [H, W, 3]; None for what
            its outputs call for.
    """

    config: str
    claim: str
    margins: tuple[Margin, ...]
    baseline: Baseline = "untrained"
    after: str | None = None
    expert: str | None = None
    film: Callable[[Any, Any], tuple[np.ndarray, float]] | None = None
    picture: Callable[[Any, Any], np.ndarray] | None = None


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
# Super-resolution: `gain_psnr_gain` is the PSNR beyond bicubic enlargement, in dB of luma, on
# average over photographs; `gain_psnr_gain_least` that of the photograph that gains least.
_SHARPER = (
    Margin("gain_psnr_gain", at_least=0.3),
    Margin("gain_psnr_gain_least", at_least=0.3),
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
        # `domain_fooled` is reported and not claimed: the last bits of a training move it.
        (
            Margin("psnr", at_least=3.0, of_baseline="plus"),
            Margin("gmsd", at_most=0.6, of_baseline="times"),
        ),
    ),
    "esrgan": Proof(
        "configs/demo/esrgan_psnr_photographs.yaml",
        "ESRGAN's first stage enlarges photographs that it has not seen better than bicubic",
        _SHARPER,
        "bicubic",
    ),
    "rcan": Proof(
        "configs/demo/rcan_photographs.yaml",
        "RCAN enlarges photographs that it has not seen better than bicubic",
        _SHARPER,
        "bicubic",
    ),
    "realsr": Proof(
        "configs/demo/realsr_photographs.yaml",
        "RealSR's degradations teach a network to enlarge blurred and noisy photographs",
        _SHARPER,
        "bicubic",
    ),
    "srgan": Proof(
        "configs/demo/srgan_psnr_photographs.yaml",
        "SRGAN's first stage enlarges photographs that it has not seen better than bicubic",
        _SHARPER,
        "bicubic",
    ),
    # `texture_gradient_distance` says how far the strengths of gradients are from the truth's, of
    # which a network trained for PSNR has too few strong ones: lower is better.
    "srgan_gan": Proof(
        "configs/demo/srgan_photographs.yaml",
        "SRGAN's second stage gives photographs more of the texture that they should have",
        (Margin("texture_gradient_distance", at_most=0.95, of_baseline="times"),),
        "first stage",
        after="srgan",
    ),
    # `time_psnr_over_still` is the PSNR beyond that of the same network where it sees the middle
    # frame five times over: what looking at the other frames is worth.
    "edvr": Proof(
        "configs/demo/edvr_photographs.yaml",
        "EDVR enlarges clips that it has not seen better than bicubic, and than from one frame",
        (*_SHARPER, Margin("time_psnr_over_still", at_least=0.15)),
        "bicubic",
    ),
    # `sync_accuracy` is the share of pairs that are rightly judged, half of them lips and sound of
    # one moment, half of the same sound and other lips of the clip. `lse_real_offset` is the shift
    # of the sound, in frames, at which the expert finds true lips most in sync.
    "syncnet": Proof(
        "configs/demo/syncnet.yaml",
        "SyncNet tells lips in sync with a sound from others, of faces that it has not seen",
        (
            Margin("sync_accuracy", at_least=0.85),
            Margin("lse_real_offset", at_least=0, at_most=0),
        ),
        picture=sync_picture,
    ),
    # `mouth_...` are correlations of how far mouths are open, on average over held-out clips,
    # `lower_...` errors of the lower half of faces; see ppzoo/metrics/mouths.py.
    "wav2lip": Proof(
        "configs/demo/wav2lip.yaml",
        "Wav2Lip moves the mouth of a head that it knows as voices say that it has not heard",
        (
            Margin("mouth_sound", at_least=0.7),
            Margin("mouth_sound_least", at_least=0.5),
            Margin("mouth_other_sound_own", at_least=-0.2, at_most=0.2),
            Margin("mouth_other_sound_heard", at_least=0.6),
            Margin("lower_of_average", at_most=0.8),
            Margin("lower_of_other_sound", at_most=0.95),
        ),
        "reference",
        after="syncnet",
        expert="model.pretrained_syncnet",
        film=lips_film,
        picture=lips_picture,
    ),
    # `l1_over_source` is the error of held-out films that are remade from their first frames, over
    # that of copies of these. The others are of pictures that are driven by films of other figures,
    # correlations with the driver's true place and turn: `keypoints_mean` of poses that keypoints
    # tell which the trained detector finds in the results, the mean over x, y and turn;
    # `motion_least` of poses by fitted drawings, for which no network is asked, the least of the
    # three. See ppzoo/metrics/motion.py.
    "firstorder": Proof(
        "configs/demo/firstorder_sprites.yaml",
        "First Order Motion moves figures that it has not seen as films of others do",
        (
            Margin("l1_over_source", at_most=0.6),
            Margin("keypoints_mean", at_least=0.8),
            Margin("motion_least", at_least=0.8),
        ),
        "copy",
        film=motion_film,
        picture=motion_picture,
    ),
    "cgan": Proof(
        "configs/demo/cgan_digits.yaml",
        "the conditional GAN draws the digit that it is asked for",
        (*_DIGITS, Margin("digits_label_accuracy", at_least=0.8)),
    ),
}


def prove(name: str, untrained: bool, overrides: list[str], run_dir: Path) -> tuple[bool, dict]:
    """Train, measure and judge; return whether the proof holds, and the row."""
    proof = PROOFS[name]
    print(f"{name}: {proof.claim}\n{runtime.describe()}")
    started = time.perf_counter()
    start_from = None
    is_given = any(override.startswith(f"{proof.expert}=") for override in overrides)
    if proof.after is not None and not is_given:
        start_from = _train(PROOFS[proof.after], untrained, overrides, run_dir / "first")
    if proof.expert is not None and not is_given:
        overrides, start_from = [*overrides, f"{proof.expert}={start_from}"], None
    trainer = _trainer(proof, overrides, run_dir, start_from)
    beginner = _trainer(proof, overrides, run_dir / "baseline", start_from)
    if proof.baseline == "copy":
        _stand_still(beginner)
    elif proof.baseline in _STAND_INS:
        _replace_output(beginner, *_STAND_INS[proof.baseline])
    baseline = beginner.evaluate()
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
        expected = [f"at least {low:.4g}"] if margin.at_least is not None else []
        expected += [f"at most {high:.4g}"] if margin.at_most is not None else []
        print(
            f"{'pass' if passed else 'FAIL'} {margin.figure}: {figures[margin.figure]:.4g} "
            f"(baseline {baseline[margin.figure]:.4g}, expected {' and '.join(expected)})"
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
        if proof.picture is not None:
            picture = proof.picture(trainer, beginner)
        else:
            picture = _draw(trainer, beginner, proof.baseline)
        write_image(ROOT / "docs" / "models" / f"{name}.png", picture)
        if proof.film is not None:
            with trainer.averaged_weights():
                write_gif(ROOT / "docs" / "models" / f"{name}.gif", *proof.film(trainer, beginner))
    return holds, row


def _trainer(
    proof: Proof, overrides: list[str], run_dir: Path, start_from: Path | None = None
) -> Any:
    from ppzoo.engine.trainer import Trainer

    trainer = Trainer(load_config(ROOT / proof.config, overrides), run_dir=run_dir)
    if start_from is not None:
        trainer.load(start_from)
    return trainer


def _train(proof: Proof, untrained: bool, overrides: list[str], run_dir: Path) -> Path:
    """Train what another proof starts from, and return the file of its weights."""
    trainer = _trainer(proof, overrides, run_dir)
    if not untrained:
        trainer.fit()
    trainer.save("end")
    return trainer.run_dir / "end_weight.pdparams"


def _enlarged(outputs: dict[str, Any]) -> Any:
    """Return the bicubic enlargement of `lq`, as a tensor [N, 3, H, W] in [0, 1]."""
    import paddle

    pictures = to_uint8_images(outputs["lq"], (0.0, 1.0))
    size = tuple(outputs["gt"].shape[-2:])
    enlarged = np.stack([resize_bicubic(picture, size=size) for picture in pictures])
    return paddle.to_tensor(enlarged.transpose(0, 3, 1, 2).astype(np.float32) / 255)


# What stands in for the result of a network, and under which name.
_STAND_INS: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "identity": ("fake", lambda outputs: outputs["source"]),
    "bicubic": ("output", _enlarged),
    "reference": ("fake", lambda outputs: outputs["source"]),
}


def _replace_output(trainer: Any, key: str, stand_in: Callable[[dict[str, Any]], Any]) -> None:
    evaluate = trainer.model.eval_step

    def eval_step(batch: Any) -> dict[str, Any]:
        outputs = evaluate(batch)
        made = stand_in(outputs)
        # What knows no time makes the same of a clip and of copies of its middle frame, and what
        # does not listen makes the same of all sounds.
        same = {other: made for other in ("still", "fake_other_sound") if other in outputs}
        return outputs | {key: made} | same

    trainer.model.eval_step = eval_step


def _stand_still(trainer: Any) -> None:
    """Let evaluation see copies of the source in place of what moves."""
    evaluate = trainer.model.eval_step

    def eval_step(batch: Any) -> dict[str, Any]:
        outputs = evaluate(batch)
        return outputs | {
            "fake": outputs["source"],
            "kp_fake": outputs["kp_source"],
            "animated": outputs["animated_source"],
            # Of copies they do not change; where they are is of no account.
            "kp_animated": outputs["kp_animated"] * 0,
        }

    trainer.model.eval_step = eval_step


def _draw(trainer: Any, beginner: Any, baseline: Baseline) -> np.ndarray:
    """Return a picture of what was learnt."""
    with trainer.averaged_weights():
        outputs = trainer.model.eval_step(next(iter(trainer.evaluator.loader.epoch(0))))
        if "lq" in outputs:
            return _draw_enlarged(trainer, beginner, baseline)
        if "source" in outputs:
            # Rows of held-out pictures, what became of them, and the truth.
            rows = [to_uint8_images(outputs[key][:10]) for key in ("source", "fake", "real")]
            upscale = max(1, 128 // outputs["source"].shape[-1])
            return image_grid(np.concatenate(rows), nrow=10, upscale=upscale)
        visuals = trainer.model.visuals(trainer.batch)
        pictures = to_uint8_images(next(iter(visuals.values())))
        return image_grid(pictures, nrow=8, upscale=max(1, 64 // pictures.shape[1]))


def _draw_enlarged(trainer: Any, beginner: Any, baseline: Baseline) -> np.ndarray:
    """Return held-out pictures enlarged by bicubic and by networks, beside the truth."""
    columns: dict[str, list[np.ndarray]] = {}
    for batch in itertools.islice(trainer.evaluator.loader.epoch(0), 4):
        outputs = trainer.model.eval_step(batch)
        shown = {"bicubic": _enlarged(outputs)}
        if baseline == "first stage":
            shown["first stage"] = beginner.model.eval_step(batch)["output"]
        if "still" in outputs:
            shown["ppzoo, one frame"] = outputs["still"]
        shown |= {"ppzoo": outputs["output"], "truth": outputs["gt"]}
        for title, pictures in shown.items():
            columns.setdefault(title, []).append(to_uint8_images(pictures, (0.0, 1.0))[0])
    return comparison(columns)


def _write_row(name: str, row: dict[str, Any]) -> None:
    folder = ROOT / "docs" / "models"
    (folder / f"{name}.json").write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    # A later stage stands on its family's page.
    family, _, stage = name.partition("_")
    page = folder / f"{family}.md"
    figures = "".join(
        f"| {key.removeprefix('digits_')} | {row['figures'][key]:.4g} | {value:.4g} |\n"
        for key, value in row["baseline"].items()
    )
    title = _BASELINE_TITLES[row["compared_with"]]
    table = (
        f"| figure 指标 | trained 训练后 | {title} |\n|---|---|---|\n"
        f"{figures}\n"
        f"{row['iterations']} steps in {row['seconds']:.0f} s on two CPU cores, "
        f"seed {row['seed']}: `python tools/prove.py {name}`\n"
    )
    _between_markers(page, f"proof {stage}".rstrip(), table)
    for readme in _READMES:
        text = front_page_figures(name, row, chinese=readme != _READMES[0])
        _between_markers(ROOT / readme, f"proof {name}", text, inline=True)


def front_page_figures(name: str, row: dict[str, Any], chinese: bool) -> str:
    """Return what the front page says of a proof.

    Args:
        name: of the proof.
        row: what docs/models/NAME.json holds.
        chinese: in Chinese, for README.zh-CN.md.
    """
    parts = []
    for key in dict.fromkeys(margin.figure for margin in PROOFS[name].margins):
        if key not in _FRONT_PAGE:
            continue
        title = _FRONT_PAGE[key]
        text = (title.chinese if chinese else title.english).format(f"{row['figures'][key]:.3g}")
        if title.against:
            baseline = f"{row['baseline'][key]:.3g}"
            text += f"（基线 {baseline}）" if chinese else f" ({baseline})"
        parts.append(text)
    return ("，" if chinese else ", ").join(parts)


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
