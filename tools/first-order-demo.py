# SPDX-License-Identifier: Apache-2.0
"""Give a picture the motion of a film, with PaddleGAN's flags.

python tools/first-order-demo.py --source_image face.png --driving_video film.mp4 --relative
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppzoo import cli
from tools.paddlegan_scripts import add_device, check_files, device_of, predictor


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(description="Give a picture the motion of a film.")
    add = parser.add_argument
    add("--config", metavar="FILE", help="YAML of the training (found beside the weights)")
    add("--weight_path", metavar="FILE", help="weights (PaddleGAN's official ones)")
    add("--source_image", metavar="FILE", help="the picture")
    add("--driving_video", metavar="FILE", help="the film")
    add("--output", default="output", metavar="DIR", help="folder of the result (output)")
    add("--filename", default="result.mp4", metavar="NAME", help="the result's (result.mp4)")
    add("--relative", action="store_true", help="move as the film does since its first frame")
    add("--adapt_scale", action="store_true", help="scale motion by the source's size")
    add("--find_best_frame", action="store_true", help="begin with the frame posed as the source")
    add("--best_frame", type=int, metavar="N", help="relative motion starts from frame N, not 0")
    add_device(parser, xpu=True)
    add("--ratio", type=float, default=0.4, metavar="R", help="what is seen of several faces (0.4)")
    add("--face_detector", "--face-detector", default="sfd", help="sfd, blazeface, cascade, auto")
    add("--multi_person", action="store_true", help="move all faces, not only the largest")
    add("--image_size", type=int, default=256, metavar="N", help="pixels for the networks (256)")
    add("--batch_size", type=int, default=1, metavar="N", help="frames at once (1)")
    add("--face_enhancement", action="store_true", help="not available")
    add("--mobile_net", action="store_true", help="the networks for phones")
    add("--slice_size", type=int, default=0, metavar="N", help="accepted, and not needed")
    add("--whole", action="store_true", help="ppzoo's own: move the whole picture, find no faces")
    return parser


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Animate the picture and return where the film is, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    from ppzoo.apps.films import check_targets, say
    from ppzoo.media.image import load_image
    from ppzoo.media.video import probe

    device = device_of(args)
    check_files(args, "source_image", "driving_video")
    target = Path(args.output, args.filename)
    check_targets([args.source_image, args.driving_video], target)
    load_image(args.source_image)  # before weights are read, or even downloaded
    probe(args.driving_video)
    animate = predictor("FirstOrderPredictor")(
        output=args.output,
        weight_path=args.weight_path,
        config=args.config,
        relative=args.relative,
        adapt_scale=args.adapt_scale,
        find_best_frame=args.find_best_frame,
        best_frame=args.best_frame,
        ratio=args.ratio,
        filename=args.filename,
        face_detector=args.face_detector,
        multi_person=args.multi_person,
        image_size=args.image_size,
        face_enhancement=args.face_enhancement,
        batch_size=args.batch_size,
        mobile_net=args.mobile_net,
        slice_size=args.slice_size,
        whole=args.whole,
        device=device,
    )
    animate.run(args.source_image, args.driving_video)
    return say(animate.film, animate.describe())


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
