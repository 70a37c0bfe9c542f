# SPDX-License-Identifier: Apache-2.0
"""Scripts with the flags of PaddleGAN's `tools`: what becomes of a checkpoint."""

from __future__ import annotations

import numpy as np
import paddle
import pytest

import ppzoo
from ppzoo import cli
from ppzoo.config import load_config
from ppzoo.weights import read, write_pdparams
from tools import export_model, extract_weight

from ..apps.face_pieces import check_one_sentence
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


def test_main_takes_flags_that_paddlegans_main_takes(tmp_path):
    config = SMOKE / "lsgan.yaml"
    unused = ("--source_path", "a", "--reference_dir", "b", "--model_path", "c")
    done = run_tool("-c", config, "--dry-run", "--no-cuda", "--val-interval", "5", *unused)
    assert done.returncode == 0, done.stderr
    assert "interval: 5" in done.stdout
    assert "device: cpu" in done.stdout
