# SPDX-License-Identifier: Apache-2.0
"""The command line: flags, exit codes, and one sentence for each mistake."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ppzoo import cli
from ppzoo.atomic import atomic_write
from ppzoo.config import load_config
from ppzoo.registry import MODELS
from ppzoo.weights import read, write_pdparams

from .runs import PLAIN, ROOT, SMOKE, checkpoint_in, run_tool, stopped, trained

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Call `tools/main.py` in this process; returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path, main: Callable[..., int] = cli.main_tool) -> tuple:
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as error:  # argparse's way
            code = error.code
        return (code, *capfd.readouterr())

    return call


def config(name: str = "wgan") -> Path:
    return SMOKE / f"{name}.yaml"


def test_training_says_where_everything_is(run: Run, tmp_path: Path) -> None:
    code, out, err = run(
        *("-c", config("cgan"), "--seed", "3", "-o", "validate=null", "output_dir=runs"),
        *("log_config.visiual_interval=2", "enable_visualdl=true"),
    )
    assert (code, err) == (0, "")
    (folder,) = (tmp_path / "runs").iterdir()
    assert out.startswith("CPU: ")
    assert "seed: 3" in out
    for line in (
        f"pictures: runs/{folder.name}/visual_train/iter000004_fixed_generated_imgs.png",
        f"film of the training: runs/{folder.name}/training.gif",
        f"run folder: runs/{folder.name}",
        f"curves: visualdl --logdir runs/{folder.name}",
    ):
        assert line in out.splitlines()
    assert load_config(folder / "config.yaml").seed == 3


def test_dry_run_prints_the_resolved_config_and_makes_nothing(run: Run, tmp_path: Path) -> None:
    options = ["model.generator.ngf=8", "dataset.train.batch_size=2"]
    code, out, err = run("-c", config(), "--dry-run", "--seed", "0", "--no-cuda", "-o", *options)
    assert (code, err) == (0, "")
    assert not list(tmp_path.iterdir())
    (tmp_path / "again.yaml").write_text(out)
    again = load_config(tmp_path / "again.yaml")
    assert again == load_config(config(), [*options, "seed=0", "device=cpu"])
    assert (again.seed, again.device) == (0, "cpu")
    assert again.model.kwargs["generator"].kwargs["ngf"] == 8


@pytest.mark.parametrize(
    ("arguments", "key", "value"),
    [
        (["--seed", "0"], "seed", 0),
        (["--val-interval", "7"], "validate.interval", 7),
        (["--val-interval", "-1"], "validate.interval", -1),
        (["--no-cuda"], "device", "cpu"),
        (["--device", "cpu", "--no-cuda"], "device", "cpu"),
        (["--device", "gpu:1"], "device", "gpu:1"),
        # Python's spellings, which PaddleGAN's scripts use.
        (["-o", "model.params={'disc_iters': 3}"], "model.params.disc_iters", 3),
        (["-o", "enable_visualdl=False"], "enable_visualdl", False),
        (["-o", "min_max=(0., 1.)"], "min_max.0", 0.0),
        (["-o", "lr_scheduler.learning_rate=1e-5"], "lr_scheduler.learning_rate", 1e-5),
        (["-o", "max_eval_steps=None"], "max_eval_steps", None),
        (["-o", "seed=1", "-o", "image_num=2"], "image_num", 2),
        (["-o", "optimizer.optimizer_G.net_names=['netG']"], "optimizer.optimizer_G.beta1", 0.5),
    ],
)
def test_flags_and_overrides_reach_the_config(
    run: Run, tmp_path: Path, arguments: list[str], key: str, value: object
) -> None:
    code, out, _ = run("-c", config(), "--dry-run", *arguments)
    assert code == 0
    (tmp_path / "again.yaml").write_text(out)
    found = load_config(tmp_path / "again.yaml").to_dict()
    for part in key.split("."):
        found = found[int(part)] if isinstance(found, list) else (found or {}).get(part)
    assert found == value


MISTAKES = {
    "no config": ([], "-c FILE is missing"),
    "no such config": (["-c", "nope.yaml"], "nope.yaml: there is no such file"),
    "folder": (["-c", "."], r"\. is a folder|\.: "),
    "wrong key": (["-o", "model.generator.ngff=4"], r"no argument 'ngff'; did you mean 'ngf'\?"),
    "wrong path": (["-o", "modle.name=X"], r"no key 'modle'; did you mean 'model'\?"),
    "no equals sign": (["-o", "seed"], "-o seed: expected key=value"),
    "wrong type": (["-o", "dataset.train.batch_size=many"], "batch_size.* got 'many'"),
    "unknown model": (["-o", "model.name=GANModle"], r"GANModle'; did you mean 'GANModel'\?"),
    "negative seed": (["--seed", "-1"], "seed: .*greater than or equal to 0"),
    "evaluate never-ending": (["--val-interval", "0"], r"at least 1, or -1 for never, got 0"),
    "contradiction": (["--no-cuda", "--device", "gpu"], "--no-cuda and --device gpu contradict"),
    "no GPU": (["--device", "gpu"], "built for CPUs only"),
    "what device": (["--device", "tpu"], "device.*'tpu'"),
    "profiler key": (["-p", "bach_range=[1,2]"], r"-p .*'bach_range'; did you mean 'batch_range'"),
    "load and resume": (["--load", "a", "--resume", "b"], "--load and --resume contradict"),
    "resume nothing": (["--resume", "nope.pdparams"], "there is no file nope.pdparams"),
    "load nothing": (["--load", "nope.pdparams"], "there is no file nope.pdparams"),
    "evaluate nothing": (["--evaluate-only"], "evaluating needs weights"),
    "no data": (["-o", "dataset.train=null"], "has no dataset.train to train on"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_one_sentence(run: Run, tmp_path: Path, name: str) -> None:
    arguments, message = MISTAKES[name]
    if name not in ("no config", "no such config", "folder"):
        arguments = ["-c", str(config()), *arguments, "-o", f"output_dir={tmp_path / 'runs'}"]
    code, _, err = run(*arguments)
    assert code == 2
    assert re.search(message, err), err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_all_mistakes_of_a_config_are_told_together(run: Run) -> None:
    code, _, err = run(
        *("-c", config(), "-o", "model.generator.ngff=4", "dataset.train.batch_size=many"),
        *("optimizer.optimizer_G.beta9=1", "log_config.interval=0"),
    )
    assert code == 2
    for part in ("'ngff'", "'many'", "'beta9'", "log_config.interval"):
        assert part in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["--sed", "3"], ["--seed", "x"], ["--amp_level", "O9"]])
def test_flag_that_argparse_refuses(run: Run, arguments: list[str]) -> None:
    code, _, err = run("-c", config(), *arguments)
    assert code == 2
    assert "usage: tools/main.py" in err
    assert arguments[0] in err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trian"], "train"),
        (["predict", "dcgann"], "dcgan"),
        (["train", "--dryrun"], "--dry-run"),
        (["train", "--amp-level=O1"], "--amp_level"),
        (["list", "model"], "models"),
    ],
)
def test_words_that_are_almost_right(run: Run, arguments: list[str], meant: str) -> None:
    code, _, err = run(*arguments, main=cli.main)
    assert code == 2
    assert err.endswith(f"; did you mean {meant!r}?\n")


def test_words_that_are_like_nothing(run: Run) -> None:
    code, _, err = run("--zzz", main=cli.main_tool)
    assert code == 2
    assert "did you mean" not in err


def test_a_config_in_another_folder(run: Run, tmp_path: Path) -> None:
    for place in ("demo/dcgan.yaml", "smoke/dcgan.yaml", "str.yaml"):
        (tmp_path / "configs" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "configs" / place).write_text("", encoding="utf-8")
    code, _, err = run("-c", "configs/dem/dcgan.yaml")
    assert code == 2
    assert err.endswith("no such file; did you mean 'configs/demo/dcgan.yaml'?\n")
    assert run("-c", "configs/sty.yaml")[2].endswith("; did you mean 'str.yaml'?\n")
    assert run("-c", "configs/nothere.yaml")[2].endswith("there is no such file\n")


def test_names_of_a_project_are_not_known_to_ppzoo(run: Run, tmp_path: Path) -> None:
    text = f"_base_: {SMOKE / 'wgan.yaml'}\nmodel: {{generator: {{name: MyGenerator}}}}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    write_pdparams(tmp_path / "w.pdparams", {"netG": {"a": np.zeros(3, np.float32)}})
    code, _, err = run(
        *("predict", "wgan", "--weights", "w.pdparams", "--config", "mine.yaml"), main=cli.main
    )
    assert code == 2
    assert "no generator is named 'MyGenerator'" in err
    assert "`python -m my_project predict ...`: see docs/project.md" in err


def test_foreign_and_malicious_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "evil").write_bytes(b"cos\nsystem\n(S'touch exploded'\ntR.")
    write_pdparams(tmp_path / "other", {"generator": {"a": 1}})
    for flag, name, message in (
        ("--resume", "text", "text is a text file"),
        ("--load", "evil", "evil is refused"),
        ("--resume", "evil", "evil is refused"),
        ("--load", "other", "has none of the networks netG, netD"),
        ("--resume", "other", "holds weights but no training state"),
    ):
        code, _, err = run("-c", config(), flag, name)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil", "other", "text"]


def test_changed_options_are_refused_in_one_sentence(run: Run, tmp_path: Path) -> None:
    checkpoint = stopped("wgan", tmp_path / "first", 1)
    code, _, err = run("-c", config("cgan"), "--resume", checkpoint, "-o", *PLAIN)
    assert code == 2
    assert "model.generator.name: DeepConvGenerator -> ConditionalDeepConvGenerator" in err
    assert err.count("\n") == 1


def test_resume_and_load(run: Run, tmp_path: Path) -> None:
    checkpoint = stopped("wgan", tmp_path / "first", 3)
    code, out, _ = run("-c", config(), "--resume", checkpoint, "-o", *PLAIN)
    assert code == 0
    assert "going on after iteration 3 of 4" in out

    weights = checkpoint.with_name("iter_3_weight.pdparams")
    code, out, _ = run("-c", config(), "--load", weights, "-o", *PLAIN, "total_iters=1")
    assert code == 0
    assert "Iter: 1/1" in out


def test_load_of_some_networks_says_which_are_missing(run: Run, tmp_path: Path) -> None:
    run_before = trained("wgan", tmp_path / "first", "total_iters=1")
    content = read(checkpoint_in(run_before.run_dir))
    write_pdparams(tmp_path / "half", {"netG": content["netG"]})
    code, out, _ = run("-c", config(), "--load", "half", "-o", *PLAIN, "total_iters=1")
    assert code == 0
    assert "WARNING: half has no netD: it keeps its initial weights" in out


def test_evaluation_alone(run: Run, tmp_path: Path) -> None:
    options = ["ema={decay: 0.5, nets: [netG]}", "total_iters=3"]
    checkpoint = checkpoint_in(trained("cgan", tmp_path / "first", *options).run_dir)
    content = read(checkpoint)
    write_pdparams(tmp_path / "raw", {name: content[name] for name in ("netG", "netD")})
    look = ["validate={save_img: true}", "max_eval_steps=1", "dataset.test.batch_size=2"]
    pictures = []
    for number, (main, arguments) in enumerate(
        [
            (cli.main_tool, ["--evaluate-only", "--load", checkpoint]),
            (cli.main, ["--resume", checkpoint]),
            (cli.main_tool, ["--evaluate-only", "--load", "raw"]),
        ]
    ):
        rest = ["-o", *options, *look, f"output_dir={number}"]
        command = [] if main is cli.main_tool else ["eval"]
        code, out, err = run(*command, "-c", config("cgan"), *arguments, *rest, main=main)
        assert (code, err) == (0, "")
        assert "Test iter: [0/1]" in out
        (folder,) = (tmp_path / str(number)).iterdir()
        assert [path.name for path in folder.iterdir()] == ["visual_test"]
        pictures.append((folder / "visual_test" / "0000_0000_fake_imgs.png").read_bytes())
    # The averaged weights are looked at, as they are during training.
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize(
    ("validate", "figures"),
    [("null", []), ("{save_img: false, metrics: {psnr: {name: PSNR, crop_border: 0}}}", ["psnr"])],
)
def test_evaluation_always_writes_pictures_and_says_where(
    run: Run, tmp_path: Path, validate: str, figures: list[str]
) -> None:
    first = trained("pix2pix", tmp_path / "first", "total_iters=1")
    options = [f"validate={validate}", "max_eval_steps=1", "dataset.test.batch_size=2"]
    code, out, err = run(
        *("-c", config("pix2pix"), "--evaluate-only", "--load", checkpoint_in(first.run_dir)),
        *("-o", *options, "output_dir=out"),
    )
    assert (code, err) == (0, "")
    (folder,) = (tmp_path / "out").iterdir()
    written = sorted(path.name for path in (folder / "visual_test").iterdir())
    assert len(written) == 6
    *above, last = out.splitlines()
    assert last == f"pictures: out/{folder.name}/visual_test (6 files)"
    assert [line.partition(":")[0] for line in above[-len(figures) :] if figures] == figures


@pytest.mark.parametrize("flags", [["--amp"], ["--amp", "--amp_level", "O2"]])
def test_mixed_precision_runs_on_a_cpu_in_float32(run: Run, flags: list[str]) -> None:
    code, out, _ = run("-c", config(), *flags, "-o", *PLAIN, "total_iters=1")
    assert code == 0
    assert "WARNING: mixed precision needs a GPU: this run is in float32" in out


def test_level_without_mixed_precision_is_told(run: Run) -> None:
    _, _, err = run("-c", config(), "--amp_level", "O2", "--dry-run")
    assert err == "warning: --amp_level has no effect without --amp\n"


def test_warnings_of_the_config_are_told(run: Run, tmp_path: Path) -> None:
    text = config().read_text().replace("_base_: dcgan", f"_base_: {SMOKE / 'dcgan'}")
    (tmp_path / "old.yaml").write_text(text + "\ncheckpoints_dir: x\n")
    code, _, err = run("-c", "old.yaml", "--dry-run")
    assert code == 0
    assert re.fullmatch(r"warning: old\.yaml:\d+ checkpoints_dir: is ignored.*\n", err)


def test_profile(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(
        *("-c", config(), "-p", "batch_range=[2,3];profile_path=trace.json", "-o", *PLAIN)
    )
    assert code == 0
    assert "profile: trace.json" in out
    assert (tmp_path / "trace.json").stat().st_size > 1000


def test_list(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code, out, _ = run("--list")
    assert code == 0
    for line in ("models (", "  DCGANModel", "  Adam", "  configs/dcgan_mnist.yaml"):
        assert f"\n{line}" in f"\n{out}"
    code, out, _ = run("list", "models", main=cli.main)
    assert code == 0
    assert out.splitlines()[1:] == [f"  {name}" for name in MODELS.names()]
    assert run("list", "nonsense", main=cli.main)[0] == 2


def test_train_subcommand(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("train", "-c", config(), "-o", *PLAIN, "total_iters=1", main=cli.main)
    assert code == 0
    assert "run folder: output_dir/wgan-" in out


def test_version_and_help(run: Run) -> None:
    assert run("--version", main=cli.main)[1].startswith("ppzoo ")
    assert "predict" in run("--help", main=cli.main)[1]
    assert run(main=cli.main)[0] == 2


def test_the_package_runs_as_a_module() -> None:
    command = [sys.executable, "-m", "ppzoo", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.split()[0]) == (0, "ppzoo")


def test_version_tells_of_paddlegan(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(run("--version", main=cli.main)[1].splitlines()) == 1
    (tmp_path / "ppgan").mkdir()
    (tmp_path / "ppgan/__init__.py").touch()
    said = run("--version", main=cli.main)[1].splitlines()[1:]
    assert said == [
        f"`import ppgan` finds PaddleGAN here, in {tmp_path / 'ppgan'}: scripts will use that"
    ]
    metadata = tmp_path / "site/ppgan-2.1.0.dist-info/METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.1\nName: ppgan\nVersion: 2.1.0\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path / "site")
    said = run("--version", main=cli.main)[1].splitlines()[1:]
    assert said == ["PaddleGAN 2.1.0 is installed, too: `pip uninstall ppgan` removes it"]
    metadata.unlink()
    monkeypatch.setattr(cli.ppzoo, "__file__", str(tmp_path / "elsewhere/ppzoo/__init__.py"))
    assert "`ppgan` is gone, " in run("--version", main=cli.main)[1]


def test_reader_that_stops_reading_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return descriptor

    with open(Path(__file__), encoding="utf-8") as file:
        descriptor = file.fileno()
        monkeypatch.setattr(sys, "stdout", Closed())
        assert cli.main_tool(["--list"]) == 1


def test_interrupted_before_training(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ppzoo.engine.trainer.Trainer.__init__", interrupt)
    code, _, err = run("-c", config())
    assert (code, err) == (130, "interrupted\n")


def test_ended_by_the_system(monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path) -> None:
    """A file that is being written goes, as it does after an exception."""

    def end(*args: object, **kwargs: object) -> None:
        with atomic_write(tmp_path / "half.bin"):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("ppzoo.engine.trainer.Trainer.__init__", end)
    assert run("-c", config())[0] == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


SLOW_MODULE = """
import os, signal, sys
try:
    if {first}:
        os.kill(os.getpid(), signal.SIGINT)
except BaseException:
    pass  # as modules in compiled code lose it
def add_arguments(parser): pass
def run(args):
    assert signal.getsignal(signal.SIGINT) is {handler}
    if {then}:
        os.kill(os.getpid(), signal.SIGINT)
    print("went on")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("first", "then", "handler", "code", "out", "err"),
    [
        (True, False, "signal.default_int_handler", 130, "", "interrupted\n"),
        (False, True, "signal.default_int_handler", 130, "", "interrupted\n"),
        (True, True, "signal.SIG_IGN", 0, "went on\n", ""),
    ],
    ids=["while importing", "afterwards", "ignored"],
)
def test_interrupted_import(
    tmp_path: Path, first: bool, then: bool, handler: str, code: int, out: str, err: str
) -> None:
    source = SLOW_MODULE.format(first=first, then=then, handler=handler)
    (tmp_path / "slow_module.py").write_text(source)
    script = (
        f"import signal, sys; signal.signal(signal.SIGINT, {handler})\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from ppzoo import cli\n"
        "cli.COMMANDS['slow'] = ('be slow', 'slow_module')\n"
        "sys.exit(cli.main(['slow']))\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, out, err)


def test_bug_is_not_passed_off_as_the_users_mistake(
    monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("ppzoo.gan.gan.GANModel.train_step", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        run("-c", config(), "-o", *PLAIN)


def test_script_of_paddlegan_as_it_is() -> None:
    done = run_tool("-c", "configs/smoke/wgan.yaml", "-o", "model.generator.ngff=3")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: [^\n]*'ngff'[^\n]*\n", done.stderr)
