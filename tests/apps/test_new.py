# SPDX-License-Identifier: Apache-2.0
"""`ppzoo new`: projects that train, pass their own test and are clean; nothing is overwritten."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ppzoo import cli, registry
from ppzoo.apps.new import new_project
from ppzoo.errors import UserError

from ..runs import ROOT

FILES = {
    ".gitignore",
    "README.md",
    "config.yaml",
    "draw_pictures.py",
    "requirements.txt",
    "tests/test_training.py",
    "train.py",
    *(f"fine_gan/{name}.py" for name in ("__init__", "__main__", "data", "model", "networks")),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_project(tmp_path_factory.mktemp("work") / "fine-gan")


@pytest.fixture
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in the project's folder, and leave no trace of its classes."""
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(project)
    for table in (registry.MODELS, registry.GENERATORS, registry.DATASETS):
        assert len(table)  # ppzoo's own are there, and stay
        monkeypatch.setattr(table, "_entries", dict(table._entries))
    names = {"train", "draw_pictures"}
    before = set(sys.modules)
    yield project
    for name in set(sys.modules) - before:
        if name in names or name.split(".")[0] == "fine_gan":
            del sys.modules[name]


def files_in(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix() for path in found}


def test_what_is_in_a_project(tmp_path: Path) -> None:
    project = new_project(tmp_path / "fine-gan")
    assert files_in(project) == FILES
    texts = {name: (project / name).read_text(encoding="utf-8") for name in FILES}
    assert "my_project" not in "".join(texts.values())
    assert texts["README.md"].startswith("# fine-gan\n")
    assert "from fine_gan import" in texts["fine_gan/__init__.py"]
    # As docs/course/handin.md asks: a comment that names ppgan, and where it comes from.
    guide = (ROOT / "docs/course/handin.md").read_text(encoding="utf-8")
    needed = texts["requirements.txt"].splitlines()
    assert [line for line in needed if line in guide and "ppzoo" in line] == [needed[0], needed[2]]
    # Both languages.
    for name, text in texts.items():
        if name.endswith((".md", ".py", ".yaml")):
            assert re.search(r"[\u4e00-\u9fff]", text), name


def test_its_code_is_clean(project: Path) -> None:
    options = ["--no-cache", "--config", str(ROOT / "pyproject.toml"), "."]
    for command in (["check", "--extend-ignore=E902", *options], ["format", "--diff", *options]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command], cwd=project, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_trains_samples_and_exports(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    importlib.import_module("draw_pictures").main(count=16)
    importlib.import_module("train")
    steps = ["-o", "total_iters=2", "snapshot_config.interval=2", "log_config.visiual_interval=2"]
    assert cli.main(["train", "-c", "config.yaml", "--device", "cpu", *steps]) == 0
    (run,) = (inside / "output_dir").iterdir()
    assert (run / "visual_train" / "iter000002_samples.png").is_file()
    weights = run / "iter_2_checkpoint.pdparams"
    samples = inside / "samples.png"
    drawn = ["predict", "dcgan", "--weights", str(weights), "--num", "2", "--output", str(samples)]
    assert cli.main(drawn) == 0
    assert samples.is_file()
    assert cli.main(["export", "-c", "config.yaml", "--weights", str(weights), "-s=-1,32"]) == 0
    said = capsys.readouterr().out
    assert "mymodel_netG" in said
    # The pictures that are named are drawn ones.
    assert re.search(r"^pictures: .*/iter000002_samples\.png$", said, re.MULTILINE)


@pytest.mark.parametrize("is_there", [False, True], ids=["no folder", "empty folder"])
def test_training_without_pictures_says_how_to_get_some(
    inside: Path, is_there: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    importlib.import_module("train")
    pictures = inside / "none"
    if is_there:
        pictures.mkdir(exist_ok=True)
    option = f"dataset.train.folder={pictures}"
    assert cli.main(["train", "-c", "config.yaml", "--device", "cpu", "-o", option]) == 2
    problem = "is empty" if is_there else "does not exist"
    hint = "run python draw_pictures.py, or put pictures of your own there"
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"of 'dataset.train.folder' {problem}: {hint}")
    if is_there:
        pictures.rmdir()


@pytest.mark.slow
def test_its_own_test_passes(project: Path) -> None:
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr


def test_nothing_of_paddle_is_heard(project: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for command in (["-m", "fine_gan", "list", "models"], ["train.py", "--help"]):
        done = subprocess.run(
            [sys.executable, "-B", *command], cwd=project, env=environment, capture_output=True
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_its_own_test_finds_a_network_that_does_not_learn(
    inside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = importlib.import_module("fine_gan").model.MyModel
    path = inside / "tests" / "test_training.py"
    spec = importlib.util.spec_from_file_location("fine_gan_test", path)
    test = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(test)
    test.test_two_steps_change_both_networks(tmp_path)
    step = model.update
    for kept, lost in (("optimizer_D", "netG"), ("optimizer_G", "netD")):

        def update(self: object, name: str, *args: object, kept: str = kept, **options: object):
            return step(self, name, *args, **options) if name == kept else {}

        monkeypatch.setattr(model, "update", update)
        with pytest.raises(AssertionError, match=lost):
            test.test_two_steps_change_both_networks(tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "README.md").write_text("thesis", encoding="utf-8")
    with pytest.raises(UserError, match="mine holds something already, and nothing is overwritten"):
        new_project(folder)
    assert files_in(folder) == {"README.md"}
    assert (folder / "README.md").read_text(encoding="utf-8") == "thesis"
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=r"cannot make a project in .*file"):
        new_project(tmp_path / "file")


def test_a_home_that_nobody_has_is_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert new_project("~nobody-of-this-name/fine_gan") == (
        tmp_path / "~nobody-of-this-name" / "fine_gan"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert new_project("~/at_home") == tmp_path / "at_home"


def test_a_project_on_another_drive_is_named_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def relpath(path: object) -> str:
        raise ValueError("path is on mount 'D:', start on mount 'C:'")

    monkeypatch.setattr("ppzoo.apps.new.os.path.relpath", relpath)
    assert cli.main(["new", str(tmp_path / "fine_gan")]) == 0
    assert f"  cd {tmp_path / 'fine_gan'}\n" in capsys.readouterr().out


def test_an_empty_clone_is_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "fine_gan"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "HEAD").write_text("ref", encoding="utf-8")
    monkeypatch.chdir(folder)
    assert new_project(".") == folder
    assert files_in(folder) == FILES | {".git/HEAD"}


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, count = Path.write_text, iter(range(100))

    def write_some(self: Path, *args: object, **kwargs: object) -> int:
        if next(count) == 5:
            raise OSError(28, "No space left on device")
        return write(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", write_some)
    with pytest.raises(UserError, match="fine_gan: No space left on device"):
        new_project(tmp_path / "fine_gan")
    assert files_in(tmp_path / "fine_gan") == set()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("7days", "cannot name a Python package"),
        ("动漫", "cannot name a Python package: take letters (a to z), digits"),
        ("class", "cannot name a Python package: 'class' is a word of Python itself (a keyword)"),
        ("__main__", "cannot name a Python package: take letters"),
        ("_", "cannot name a Python package"),
        ("tests", "'tests' is what a project or Python's tools call something of their own"),
        ("setup", "'setup' is what a project"),
        ("conftest", "'conftest' is what a project"),
        ("Train", "'Train' is what a project"),
        ("NUL", "'NUL' is what Windows calls a device, and no folder there"),
        ("com1", "'com1' is what Windows calls a device"),
        ("random", "there is a module 'random' already"),
        ("sys", "there is a module 'sys' already"),
        ("ppgan", "there is a module 'ppgan' already"),
    ],
)
def test_names_that_no_package_can_have(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, sentence: str
) -> None:
    assert cli.main(["new", str(tmp_path / name)]) == 2
    assert f"error: {name!r}" in (err := capsys.readouterr().err) or "error: there" in err
    assert sentence in err
    assert not list(tmp_path.iterdir())


def test_the_command_says_how_it_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", "fine_gan"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"project: {tmp_path / 'fine_gan'}", "  cd fine_gan"]
    assert "in requirements.txt" in lines[-1]
    assert lines[-1].split()[-1] in (tmp_path / "fine_gan" / "requirements.txt").read_text("utf-8")
    assert cli.main(["new", "my project"]) == 0
    assert "  cd 'my project'" in capsys.readouterr().out.splitlines()
    for word in re.findall(r"python (\S+\.py)", "\n".join(lines)):
        assert (tmp_path / "fine_gan" / word).is_file()
