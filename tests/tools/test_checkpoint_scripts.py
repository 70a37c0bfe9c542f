# SPDX-License-Identifier: Apache-2.0
"""Scripts with the flags of PaddleGAN's `tools`: what becomes of a checkpoint."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import ppzoo
from ppzoo import cli
from ppzoo.apps.animation import load_animator
from ppzoo.config import load_config
from ppzoo.errors import UserError
from ppzoo.media.image import write_image
from ppzoo.media.video import VideoReader, probe
from ppzoo.weights import read, write_pdparams
from tools import export_model, extract_weight, fom_infer

from ..apps.face_pieces import check_one_sentence
from ..apps.motion_pieces import driver, pattern, saved
from ..media.video.clips import make_film, tone
from ..runs import SMOKE, run_tool

GRAPH = "json" if paddle.__version__.startswith("3") else "pdmodel"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint as PaddleGAN's trainer writes them."""
    nets = {name: {"w": np.full((2, 3), i, np.float32)} for i, name in enumerate(("netG", "netD"))}
    write_pdparams(tmp_path / "iter_9_checkpoint.pdparams", {**nets, "epoch": 9})
    return "iter_9_checkpoint.pdparams"


def run(module, *arguments):
    return cli.run_script(module.build_parser(), module.run, [str(each) for each in arguments])


class TestExtractWeight:
    def test_one_network_is_written_flat(self, checkpoint, capsys):
        arguments = (checkpoint, "--net-name", "netD", "--output", "d.pdparams")
        assert run(extract_weight, *arguments) == 0
        assert capsys.readouterr().out == "weights: d.pdparams\n"
        (item,) = read("d.pdparams").items()
        assert item[0] == "w"
        assert (item[1] == 1).all()

    def test_a_second_run_replaces_the_file_as_in_paddlegan(self, checkpoint):
        for number, net in enumerate(("netG", "netD")):
            assert run(extract_weight, checkpoint, "--net-name", net, "--output", "n.pdparams") == 0
            assert (read("n.pdparams")["w"] == number).all()

    def test_the_checkpoint_itself_stays(self, tmp_path, checkpoint, capsys):
        before = (tmp_path / checkpoint).read_bytes()
        (tmp_path / "link.pdparams").symlink_to(checkpoint)
        for output in (checkpoint, f"../{tmp_path.name}/{checkpoint}", "link.pdparams"):
            assert run(extract_weight, checkpoint, "--net-name", "netG", "--output", output) == 2
            check_one_sentence(capsys, r"would replace .*, which it is taken out of")
        assert (tmp_path / checkpoint).read_bytes() == before

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (("--output", "d.pdparams"), "--net-name is missing"),
            (("--net-name", "netD"), "--output is missing"),
            (("--net-name", "netX", "--output", "d.pdparams"), "no network 'netX': .* netG, netD"),
            (("--net-name", "netD", "--output", "d.txt"), r"must end in .*\.pdparams"),
        ],
    )
    def test_refusals(self, tmp_path, checkpoint, options, message, capsys):
        assert run(extract_weight, checkpoint, *options) == 2
        check_one_sentence(capsys, message)
        assert [path.name for path in tmp_path.iterdir()] == [checkpoint]


class TestExportModel:
    def test_flags_are_paddlegans(self):
        given = ["-c", "a.yaml", "--load", "w", "-s", "1,2;3"]
        assert vars(export_model.build_parser().parse_args(given)) == {
            "config_file": "a.yaml",
            "load": "w",
            "inputs_size": "1,2;3",
            "opt": None,
            "output_dir": None,
            "export_serving_model": False,
            "model_name": None,
        }
        long = ["--config-file", "a.yaml", "--load", "w", "--inputs_size", "1", "-o", "a=1", "b=2"]
        more = ["--export_serving_model", "True", "--model_name", "m", "--output_dir", "d"]
        args = export_model.build_parser().parse_args([*long, *more])
        assert (args.opt, args.export_serving_model) == (["a=1", "b=2"], True)
        assert (args.model_name, args.output_dir) == ("m", "d")
        for missing in range(3):
            left = given[: 2 * missing] + given[2 * missing + 2 :]
            with pytest.raises(SystemExit):
                export_model.build_parser().parse_args(left)

    def test_a_network_is_exported(self, tmp_path, capsys):
        config = SMOKE / "pix2pix.yaml"
        net = ppzoo.build_model(load_config(config).model).nets["netG"]
        write_pdparams("w.pdparams", {"netG": {k: v.numpy() for k, v in net.state_dict().items()}})
        options = ("--load", "w.pdparams", "--inputs_size=-1,3,-1,-1", "-o", "model.name=x")
        assert run(export_model, "-c", config, *options[:-2]) == 0
        path = tmp_path / "inference_model" / f"pix2pixmodel_netG.{GRAPH}"
        assert capsys.readouterr().out == f"pix2pixmodel_netG: {path.relative_to(tmp_path)}\n"
        layer = paddle.jit.load(str(path.with_suffix("")))
        assert layer(paddle.zeros([2, 3, 64, 64])).shape == [2, 3, 64, 64]
        assert run(export_model, "-c", config, *options) == 2
        check_one_sentence(capsys, "no model is named 'x'|'x'")
        assert run(export_model, "-c", config, *options[:-2], "--export_serving_model") == 2
        check_one_sentence(capsys, "--export_serving_model is not available")


def test_main_refuses_flags_of_another_script():
    options = ("-c", SMOKE / "lsgan.yaml", "--dry-run")
    done = run_tool(*options, "--source_path", "a")
    assert done.returncode == 2
    assert "unrecognized arguments: --source_path a" in done.stderr


class Handle:
    """An input of Paddle Inference that takes anything."""

    def reshape(self, shape):
        pass

    def copy_from_cpu(self, array):
        pass


class TestFomInfer:
    def test_flags_are_paddlegans(self):
        assert vars(fom_infer.build_parser().parse_args([])) == {
            "model_path": None,
            "batch_size": 1,
            "source_path": None,
            "driving_path": None,
            "output_path": "infer_output/fom/",
            "device": "gpu",
            "image_size": 256,  # ours
        }

    def test_exported_networks_animate_as_the_predictor_does(self, tmp_path, capsys):
        weights = saved(tmp_path / "fom.pdparams")
        options = ("--load", weights, "-s", "1,3,32,32", "--output_dir", "out")
        assert run(export_model, "-c", SMOKE / "firstorder.yaml", *options) == 0
        (tmp_path / "films").mkdir()
        for number in range(2):
            pictures = driver(4, (32, 32))[number:]
            path = tmp_path / "films" / f"{number}.mp4"
            make_film(path, fps=30, pictures=pictures, sound=(tone(0.1), 0))
        write_image(tmp_path / "source.png", pattern(40, 48))
        capsys.readouterr()
        folders = ("--model_path", "out/fom_dy2st", "--driving_path", "films", "--device", "cpu")
        options = ("--source_path", "source.png", "--image_size", 32)
        assert run(fom_infer, *folders, *options) == 0
        results = [f"infer_output/fom/result_{number}.mp4" for number in range(2)]
        assert capsys.readouterr().out == f"film 0: {results[0]}\nfilm 1: {results[1]}\n"
        infos = [probe(result) for result in results]
        assert [(i.frame_count, i.width, i.height, i.fps) for i in infos] == [
            (4, 32, 32, 30),
            (3, 32, 32, 30),
        ]
        assert infos[0].has_audio
        animator = load_animator(weights, SMOKE / "firstorder.yaml", image_size=32)
        frames = list(VideoReader("films/0.mp4"))
        networks = [fom_infer.Network("out", n, "cpu") for n in ("kp_detector", "generator")]
        for source in (None, pattern(32, 32, seed=4)):
            still = frames[0] if source is None else source
            expected = animator.animate(still, frames, adapt_scale=False)
            made = fom_infer.animated(networks, iter(frames), source)
            for one, other in zip(made, expected, strict=True):
                assert np.abs(one.astype(int) - other).max() <= 1
        more = ("--source_path", "source.png", "--image_size", 64, "--output_path", "new")
        assert run(fom_infer, *folders, *more) == 2
        check_one_sentence(capsys, r"exported for .* than 1 x 3 x 64 x 64: .* by --image_size")
        assert not list((tmp_path / "new").iterdir())

    def test_the_films_themselves_are_not_replaced(self, tmp_path, capsys):
        for number, name in enumerate(("a.mp4", "result_0.mp4")):  # the first result is film 1
            (tmp_path / name).write_bytes(bytes([number]))
        for driving, output, name in (
            ("result_0.mp4", ".", "result_0.mp4"),
            (".", ".", "result_0.mp4"),
            (".", str(tmp_path), "result_0.mp4"),
        ):
            options = ("--driving_path", driving, "--output_path", output)
            assert run(fom_infer, "--model_path", "m", *options) == 2
            check_one_sentence(capsys, rf"would replace the film \S*{name}")
        assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"\0", b"\1"]

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            (ValueError("(InvalidArgument) a != b"), r"another size than 1 x 3 x 8 x 8: give the"),
            (MemoryError("..."), r"memory does not suffice to run \S+net\.\w+ on pictures of 1 x"),
            (RuntimeError("ResourceExhaustedError: ..."), r"memory does not suffice"),
            (RuntimeError("a\n(Unavailable) oneDNN\n"), r"cannot be run on .*: \(Unavailable\) o"),
            (OSError(), r"cannot be run on pictures of 1 x 3 x 8 x 8: OSError"),
        ],
    )
    def test_each_failure_is_called_what_it_is(self, tmp_path, monkeypatch, error, message):
        from paddle import inference

        class Predictor:
            get_input_names = list

            def run(self):
                raise error

        class Config:
            def __init__(self, graph, arrays):
                self.disable_gpu = self.disable_glog_info = lambda: None

        monkeypatch.setattr(inference, "Config", Config)
        monkeypatch.setattr(inference, "create_predictor", lambda config: Predictor())
        for suffix in ("json", "pdiparams"):
            (tmp_path / f"net.{suffix}").touch()
        network = fom_infer.Network(str(tmp_path), "net", "cpu")
        monkeypatch.setattr(network, "_inputs", [Handle()])
        with pytest.raises(UserError, match=message) as caught:
            network(np.zeros((1, 3, 8, 8), np.float32))
        assert "\n" not in str(caught.value)

    def test_refusals(self, tmp_path, capsys):
        (tmp_path / "empty").mkdir()
        (tmp_path / "a.mp4").touch()
        for options, message in (
            ((), "--model_path DIR is missing"),
            (("--model_path", "m"), "--driving_path FILE is missing"),
            (("--model_path", "m", "--driving_path", "empty"), "there is no film in empty"),
            (("--model_path", "m", "--driving_path", "a.mp4"), "m holds no network kp_detector"),
        ):
            assert run(fom_infer, *options) == 2
            check_one_sentence(capsys, message)
