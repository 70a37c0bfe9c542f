# SPDX-License-Identifier: Apache-2.0
"""Make a face say what a sound says, with PaddleGAN's flags.

python tools/wav2lip.py --face film.mp4 --audio speech.wav --outfile results/talking.mp4
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

# From a checkout this works without installing ppzoo first.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppzoo import cli
from tools.paddlegan_scripts import add_device, add_switch, check_files, device_of, predictor


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the script's options."""
    parser = argparse.ArgumentParser(description="Make a face say what a sound says.")
    add = parser.add_argument
    four = {"nargs": "+", "type": int, "metavar": "N"}
    add("--checkpoint_path", metavar="FILE", help="weights (PaddleGAN's official ones)")
    add("--audio", required=True, metavar="FILE", help="what it is to say: sound, or a film's")
    add("--face", required=True, metavar="FILE", help="film or picture of a face")
    add("--outfile", default="results/result_voice.mp4", metavar="FILE", help="the new film")
    add_switch(parser, "--static", "take the first frame of a film only")
    add("--fps", type=float, default=25.0, metavar="N", help="frames a second of a picture (25)")
    add("--pads", default=[0, 10, 0, 0], help="top, bottom, left, right (0 10 0 0)", **four)
    add("--face_det_batch_size", type=int, default=16, metavar="N", help="frames at once (16)")
    add("--wav2lip_batch_size", type=int, default=128, metavar="N", help="faces at once (128)")
    add("--resize_factor", type=int, default=1, metavar="N", help="make frames N times smaller")
    add("--crop", default=[0, -1, 0, -1], help="of frames: top, bottom, left, right", **four)
    add("--box", default=[-1] * 4, help="the face: top, bottom, left, right", **four)
    add("--rotate", action="store_true", help="turn frames clockwise by 90 degrees")
    add("--nosmooth", action="store_true", help="do not average boxes over 5 frames")
    add_device(parser)
    add("--face_detector", "--face-detector", default="sfd", help="sfd, blazeface, cascade, auto")
    add("--face_enhancement", action="store_true", help="not available")
    return parser


def run(args: argparse.Namespace) -> dict[str, Path]:
    """Make the face talk and return where the film is, by kind.

    Raises:
        UserError: an option is out of range, a file cannot be read or written.
    """
    from ppzoo.apps.films import check_targets, say
    from ppzoo.apps.talkers import FaceFilm, Framing
    from ppzoo.media.video.sound import audio_chunks

    check_files(args, "face", "audio")
    check_targets([args.face, args.audio], args.outfile)
    # Before weights are read, or even downloaded.
    framing = Framing(args.resize_factor, args.rotate, tuple(args.crop))
    FaceFilm(args.face, framing, args.fps, args.static)
    with contextlib.closing(audio_chunks(args.audio)) as chunks:
        next(chunks, None)
    talk = predictor("Wav2LipPredictor")(
        checkpoint_path=args.checkpoint_path,
        static=args.static,
        fps=args.fps,
        pads=args.pads,
        face_det_batch_size=args.face_det_batch_size,
        wav2lip_batch_size=args.wav2lip_batch_size,
        resize_factor=args.resize_factor,
        crop=args.crop,
        box=args.box,
        rotate=args.rotate,
        nosmooth=args.nosmooth,
        face_detector=args.face_detector,
        face_enhancement=args.face_enhancement,
        device=device_of(args),
    )
    film = talk.run(args.face, args.audio, args.outfile)
    return say(film, [talk.describe()])


if __name__ == "__main__":
    sys.exit(cli.run_script(build_parser(), run))
