# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from ppzoo import cli
from ppzoo.apps import prepare_talking as module
from ppzoo.apps import talking_clips
from ppzoo.apps.prepare_talking import prepare_talking
from ppzoo.data.lips import Wav2LipDataset
from ppzoo.data.motion import FirstOrderDataset
from ppzoo.errors import DataError, UserError
from ppzoo.media.video import VideoWriter
from tests.apps.talking_films import RECIPE, ColourDetector, Here, hum, write_film
from tests.runs import trained

LIPS = dataclasses.replace(RECIPE, layout="lips", size=32, margin=0.0)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Here:
    """Let films be worked on in this process, by a detector of colours."""
    stand_in = Here()
    monkeypatch.setattr(module, "run_apart", stand_in)
    monkeypatch.setattr(talking_clips, "_detector", lambda name: ColourDetector())
    return stand_in


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Return a folder of three films."""
    folder = tmp_path / "films"
    for name in ("a.mp4", "sub/my film #1.mp4", "三.mov"):
        write_film(folder / name, count=26, sound=hum(1.04))
    return folder


def files_below(folder: Path) -> dict[str, int]:
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and path.name not in ("talking.json", "train.txt", "val.txt")
    }


def test_the_command_with_a_true_face_and_true_processes(tmp_path, capsys) -> None:
    picture = data.astronaut()[:256, 96:352]
    (tmp_path / "films").mkdir()
    for name in ("b.mp4", "c.mp4"):
        with VideoWriter(tmp_path / "films" / name, 25, preset="ultrafast") as writer:
            for number in range(12):
                writer.write(np.roll(picture, number // 2, axis=1))
    (tmp_path / "films" / "bad.mp4").write_text("no film")
    out = tmp_path / "out"
    command = ["data", "prepare", "talking", "--videos", tmp_path / "films", "--out", out]
    options = ["--layout", "motion", "--size", 64, "--min-seconds", 0.4, "--detect-every", 20]
    code = cli.main([*map(str, [*command, *options, "--detector", "cascade", "--workers", 1])])
    said = capsys.readouterr().out
    assert code == 0, said
    assert f"clips: 2 of 2 films in {out}, 1.0 seconds; 2 of them new" in said
    assert "train: 1, test: 1" in said
    assert "1 films unreadable" in said
    assert "bad.mp4 is not a video" in said
    (clip,) = (out / "train").iterdir()
    assert len(list(clip.iterdir())) == 12
    assert not (out / ".work").exists()


def test_both_datasets_read_what_is_made_and_models_train_on_it(films, tmp_path, here) -> None:
    lips, motion = tmp_path / "lips", tmp_path / "motion"
    made = prepare_talking(films, lips, LIPS, progress=False)
    assert (made.films, sum(made.clips.values()), made.made) == (3, 3, 3)
    assert made.clips["val"] >= 1
    for split in ("train", "val"):
        dataset = Wav2LipDataset(str(lips), str(lips), split)
        assert len(dataset) == made.clips[split]
        assert dataset[0]["x"].shape == (6, 5, 96, 96)
    prepare_talking(films, motion, RECIPE, progress=False)
    video = FirstOrderDataset(str(motion), "test", (32, 32, 3))[0]["video"]
    assert video.shape == (3, 26, 32, 32)
    assert len(FirstOrderDataset(str(motion), "train", id_sampling=True)) == 2
    part = f"{{name: Wav2LipDataset, dataroot: {lips}, filelists_path: {lips}, batch_size: 1}}"
    run = trained("wav2lip", tmp_path / "run", "total_iters=2", f"dataset.train={part}")
    assert run.iteration == 2
    part = f"{{name: FirstOrderDataset, dataroot: {motion}, frame_shape: [32, 32, 3]}}"
    run = trained("firstorder", tmp_path / "run2", "total_iters=2", f"dataset.train={part}")
    assert run.iteration == 2


def test_what_is_done_is_not_done_again(films, tmp_path, here) -> None:
    out = tmp_path / "out"
    here.fails = {"三.mov": KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        prepare_talking(films, out, LIPS, progress=False)
    before = files_below(out)
    assert not any("half" in name for name in before)
    assert {name.split("/")[0] for name in before} == {"a", "sub_my_film_1"}
    here.fails = {}
    here.films.clear()
    made = prepare_talking(films, out, LIPS, progress=False)
    assert dict(here.films) == {"三.mov": 1}
    assert (made.films, made.made) == (3, 1)
    after = files_below(out)
    assert before.items() <= after.items()
    assert {name.split("/")[0] for name in after} == {"a", "sub_my_film_1", "三"}
    assert prepare_talking(films, out, LIPS, progress=False).made == 0
    assert files_below(out) == after


@pytest.mark.parametrize("recipe", [LIPS, RECIPE])
def test_a_film_that_was_half_put_in_place_is_done_again(films, tmp_path, here, recipe) -> None:
    out = tmp_path / "out"
    prepare_talking(films, out, recipe, progress=False)
    note = json.loads((out / "talking.json").read_text("utf-8"))
    note["films"]["a.mp4"] = {"name": "a", "is_done": False}
    (out / "talking.json").write_text(json.dumps(note))
    (folder,) = out.rglob("a" if recipe is LIPS else "a#0001")
    (folder / "junk.jpg").write_text("half")
    here.films.clear()
    prepare_talking(films, out, recipe, progress=False)
    assert dict(here.films) == {"a.mp4": 1}
    assert not list(out.rglob("junk.jpg"))
    assert len(list(folder.rglob("*g"))) == 26


def test_a_film_that_has_changed_is_done_again(films, tmp_path, here) -> None:
    out = tmp_path / "out"
    prepare_talking(films, out, RECIPE, progress=False)
    write_film(films / "a.mp4", count=40)
    here.films.clear()
    made = prepare_talking(films, out, RECIPE, progress=False)
    assert dict(here.films) == {"a.mp4": 1}
    (folder,) = out.rglob("a#0001")
    assert len(list(folder.iterdir())) == 40
    assert made.seconds == pytest.approx(1.04 * 2 + 1.6)


def test_the_test_films_stay_the_same_when_others_come(films, tmp_path, here) -> None:
    out = tmp_path / "out"
    prepare_talking(films, out, RECIPE, progress=False)
    before = {path.name for path in (out / "test").iterdir()}
    assert len(before) == 1
    write_film(films / "new.mp4", count=26)
    made = prepare_talking(films, out, RECIPE, val=0.3, progress=False)
    assert before <= {path.name for path in (out / "test").iterdir()}
    assert len(list((out / "train").iterdir())) == made.clips["train"] >= 1
    assert sum(made.clips.values()) == 4


def test_a_single_film_is_divided_by_its_clips(tmp_path, here) -> None:
    film = write_film(tmp_path / "talk.mp4", count=100, sound=hum(4))
    recipe = dataclasses.replace(LIPS, max_seconds=1.0)
    made = prepare_talking(film, tmp_path / "out", recipe, progress=False)
    assert made.clips == {"train": 3, "val": 1}
    lines = (tmp_path / "out" / "train.txt").read_text().splitlines()
    assert all(line.startswith("talk/000") for line in lines)


@pytest.mark.parametrize("layout", ["lips", "motion"])
def test_clips_that_were_tested_with_are_not_trained_on_when_films_come(
    tmp_path, here, layout
) -> None:
    film = write_film(tmp_path / "films" / "talk.mp4", count=100, sound=hum(4))
    out = tmp_path / "out"
    recipe = dataclasses.replace(LIPS if layout == "lips" else RECIPE, max_seconds=1.0)

    def tested() -> set[str]:
        if layout == "lips":
            return set((out / "val.txt").read_text().split())
        return {path.name for path in (out / "test").iterdir()}

    prepare_talking(film, out, recipe, progress=False)
    before = tested()
    assert len(before) == 1
    for name in ("other.mp4", "third.mp4"):
        write_film(film.parent / name, count=100, sound=hum(4))
        made = prepare_talking(film.parent, out, recipe, progress=False)
        # Films that come later are not divided.
        assert {name for name in tested() if name.startswith("talk")} == before
        assert (made.clips["val"] - 1) % 4 == 0
        assert made.clips["train"] >= 3


def test_films_of_one_name_keep_apart(tmp_path, here) -> None:
    for name in ("x y.mp4", "x_y.mp4", "x#y.mov"):
        write_film(tmp_path / "films" / name, count=26)
    made = prepare_talking(tmp_path / "films", tmp_path / "out", RECIPE, progress=False)
    assert sum(made.clips.values()) == 3
    names = {path.name.split("#")[0] for path in (tmp_path / "out").glob("t*/*")}
    assert len(names) == 3
    assert "x_y" in names


def test_what_others_have_put_there_is_safe(films, tmp_path, here) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.txt was not made here"):
        prepare_talking(films, out, LIPS, progress=False)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    (out / "thesis.txt").unlink()
    prepare_talking(films, out, RECIPE, progress=False)
    (out / "test" / "mine").mkdir()
    with pytest.raises(DataError, match="mine was not made here"):
        prepare_talking(films, out, RECIPE, progress=False)
    (out / "test" / "mine").rmdir()
    with pytest.raises(DataError, match=r"other options \(size 64\)"):
        prepare_talking(films, out, dataclasses.replace(RECIPE, size=128), progress=False)
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="is a file"):
        prepare_talking(films, tmp_path / "file", RECIPE, progress=False)


def test_a_note_that_leads_elsewhere_is_not_followed(films, tmp_path, here) -> None:
    out = tmp_path / "out"
    prepare_talking(films, out, RECIPE, progress=False)
    note = json.loads((out / "talking.json").read_text("utf-8"))
    note["films"]["a.mp4"] = {"name": "../films", "is_done": False}
    (out / "talking.json").write_text(json.dumps(note))
    with pytest.raises(DataError, match="damaged"):
        prepare_talking(films, out, RECIPE, progress=False)
    assert (films / "a.mp4").exists()


def test_clips_that_were_made_are_no_films(tmp_path, here) -> None:
    write_film(tmp_path / "a.mp4", count=26)
    recipe = dataclasses.replace(RECIPE, store="mp4")
    for _ in range(2):
        made = prepare_talking(tmp_path, tmp_path / "out", recipe, progress=False)
        assert sum(made.clips.values()) == 1


@pytest.mark.parametrize("is_relative", ["videos", "out", "neither, by a link"])
def test_clips_that_were_made_are_no_films_however_folders_are_called(
    tmp_path, here, monkeypatch, is_relative
) -> None:
    write_film(tmp_path / "films" / "a.mp4", count=26)
    monkeypatch.chdir(tmp_path)
    videos, out = tmp_path / "films", tmp_path / "films" / "out"
    if is_relative == "videos":
        videos = Path("films")
    elif is_relative == "out":
        out = Path("films", "..", "films", "out")
    else:
        Path("link").symlink_to(tmp_path / "films")
        out = tmp_path / "link" / "out"
    recipe = dataclasses.replace(RECIPE, store="mp4")
    for _ in range(2):
        made = prepare_talking(videos, out, recipe, progress=False)
        assert sum(made.clips.values()) == 1


def test_a_full_disk_stops_all(films, tmp_path, here) -> None:
    here.fails = {"a.mp4": UserError("cannot write clips: No space left on device")}
    with pytest.raises(UserError, match="No space"):
        prepare_talking(films, tmp_path / "out", RECIPE, progress=False)


def test_films_without_any_clip(tmp_path, here) -> None:
    write_film(tmp_path / "films" / "a.mp4", lambda number: None, count=10)
    with pytest.raises(DataError, match=r"(?s)no clip in .*1 films without a face"):
        prepare_talking(tmp_path / "films", tmp_path / "out", RECIPE, progress=False)
    with pytest.raises(DataError, match="does not exist"):
        prepare_talking(tmp_path / "none", tmp_path / "out", RECIPE, progress=False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_one_process_at_a_time(films, tmp_path, here) -> None:
    with (
        module._opened(tmp_path / "out", RECIPE),
        pytest.raises(DataError, match="another process"),
    ):
        prepare_talking(films, tmp_path / "out", RECIPE, progress=False)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--size", "8"),
        ("--fps", "fast"),
        ("--fps", "30"),
        ("--fps", "nan"),
        ("--fps", "1e5000"),
        ("--fps", "0.0001"),
        ("--size", "1000000"),
        ("--margin", "inf"),
        ("--margin", "nan"),
        ("--min-seconds", "nan"),
        ("--max-seconds", "nan"),
        ("--max-seconds", "inf"),
        ("--max-seconds", "1e308"),
        ("--detect-every", "100000000000000000000"),
        ("--val", "nan"),
        ("--margin", "-1"),
        ("--min-seconds", "0"),
        ("--max-seconds", "1"),
        ("--max-faces", "0"),
        ("--min-face", "0"),
        ("--detect-every", "0"),
        ("--val", "1"),
        ("--workers", "0"),
    ],
)
def test_options_out_of_range(tmp_path, capsys, option, value) -> None:
    write_film(tmp_path / "films" / "a.mp4", count=1)
    names = ["--videos", str(tmp_path / "films"), "--out", str(tmp_path / "out")]
    if value != "30":
        names += ["--layout", "motion"]
    assert cli.main(["data", "prepare", "talking", *names, option, value]) == 2
    assert option in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_tells_of_it(capsys) -> None:
    with pytest.raises(SystemExit):
        cli.main(["data", "prepare", "--help"])
    assert "talking" in capsys.readouterr().out
