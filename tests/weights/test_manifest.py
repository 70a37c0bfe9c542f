# SPDX-License-Identifier: Apache-2.0
"""Official weights are found, fetched once, and refused once they have changed."""

import hashlib
import re

import pytest

from ppzoo import download as downloads
from ppzoo.errors import UserError, WeightsError
from ppzoo.weights import manifest
from ppzoo.weights.manifest import OFFICIAL, WeightsFile, cached_path, find_weights

CONTENT = b"the weights"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def fetched(monkeypatch):
    """Stands in for the network; lists what was asked for."""
    asked = []

    def fetch(url, path, sha256=None, mirrors=(), progress=True):
        if not path.exists():
            asked.append(url)
            path.parent.mkdir(parents=True)
            path.write_bytes(CONTENT)
        return path

    monkeypatch.setattr(manifest, "download", fetch)
    return asked


def test_the_table():
    assert len(OFFICIAL) == len(manifest._FILES) > 60  # no name twice
    assert len({file.path for file in OFFICIAL.values()}) == len(OFFICIAL)
    assert len({file.filename for file in OFFICIAL.values()}) == len(OFFICIAL)
    for name, file in OFFICIAL.items():
        assert file.name == name
        assert re.fullmatch(r"/[\w/.%-]+\.(pdparams|npy|dat|tar)", file.path)
        assert file.layout
        assert file.licence


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("inception_v3", "https://paddlegan.bj.bcebos.com/InceptionV3.pdparams"),
        ("s3fd", "https://paddlegan.bj.bcebos.com/models/s3fd_paddle.pdparams"),
        ("blazeface", "https://paddlegan.bj.bcebos.com/models/blazeface.pdparams"),
        ("blazeface_anchors", "https://paddlegan.bj.bcebos.com/models/anchors.npy"),
        ("bisenet", "https://paddlegan.bj.bcebos.com/models/bisenet.pdparams"),
        (
            "photo2cartoon",
            "https://paddlegan.bj.bcebos.com/models/photo2cartoon_genA2B_weight.pdparams",
        ),
        ("realsr", "https://paddlegan.bj.bcebos.com/applications/DF2K_JPEG.pdparams"),
    ],
)
def test_addresses(name, url):
    assert OFFICIAL[name].url == url


# What PaddleGAN's predictors, networks, losses and metrics fetch, and how they read it.
FETCHED = {
    "flat": """
        /InceptionV3 /vggface /applications/DF2K_JPEG /applications/DeOldify_art
        /applications/DeOldify_stable /models/wav2lip_hq /models/syncnet
        /models/photo2cartoon_genA2B_weight /models/stylegan2-ffhq-config-f
        /models/stylegan2-animeface-512 /models/spynet /models/modified_spynet
        /models/modified_spynet_tiny /models/edvrm /models/MPR_Deblurring /models/MPR_Denoising
        /models/MPR_Deraining /models/gpen-ffhq-256-generator /models/singan_universal_trees
        /models/singan_universal_stone /models/singan_universal_mountains
        /models/singan_universal_birds /models/singan_universal_lightning /models/s3fd_paddle
        /models/blazeface /models/bisenet /models/faceseg_FCN-HRNetW18 /models/model_ir_se50
        /models/vgg16_official /models/lins_0.1_vgg /models/vgg19 /models/vgg19pretrain
        /models/vgg_normalised
    """,
    "generator, kp_detector": """
        /applications/first_order_model/vox-cpk /applications/first_order_model/vox-cpk-512
        /applications/first_order_model/vox-mobile
    """,
    "generator": """
        /models/EDVR_L_w_tsa_SRx4 /models/BasicVSR_reds_x4 /models/IconVSR_reds_x4
        /models/BasicVSR%2B%2B_reds_x4 /models/PP-MSVSR_reds_x4 /models/PP-MSVSR_vimeo90k_x4
        /models/PP-MSVSR-L_reds_x4 /models/SwinIR_Denoising /models/NAFNet_Denoising
        /models/InvDN_Denoising
    """,
    "netG": "/models/animeganv2_hayao",
    "modelR, modelC": "/applications/deep_remaster",
    "flat, opts": "/models/pSp-ffhq-inversion /models/pSp-ffhq-toonify",
    "net_enc, net_dec, net_rev, net_rev_2": """
        /models/lapstyle_circuit /models/lapstyle_ocean /models/lapstyle_starrynew
        /models/lapstyle_stars
    """,
    "directions": """
        /models/stylegan2-ffhq-config-f-directions
        /models/stylegan2-ffhq-config-f-styleclip-global-directions
    """,
    "statistics": "/models/stylegan2-ffhq-config-f-styleclip-stats",
    "net_g, net_g_ema": "/models/GFPGAN",
    "not stated": "/models/GPEN-512 /models/psgan_weight /models/wing /applications/midas",
    "archive": "/applications/DAIN_weight.tar",
    "dlib": "/models/lms.dat",
    "NumPy array": "/models/anchors.npy",
    "NumPy dictionary": "/models/vgg19_no_fc.npy",
}


def test_every_file_that_paddlegan_fetches_is_listed():
    layouts = {file.path: file.layout for file in OFFICIAL.values()}
    wanted = {
        path if path.endswith((".tar", ".dat", ".npy")) else f"{path}.pdparams": layout
        for layout, paths in FETCHED.items()
        for path in paths.split()
    }
    assert len(wanted) == 66
    assert {path: layouts.get(path) for path in wanted} == wanted
    # The others are those of its tables of results.
    others = {path.split("/")[-1].split(".")[0] for path in layouts.keys() - wanted.keys()}
    assert others == {"realsr_df2k", "realsr_dped", "realsr_merge", "esrgan_x4", "esrgan_psnr_x4"}


def test_names_on_disk(home):
    assert cached_path("basicvsr_plusplus") == home / "weights" / "BasicVSR++_reds_x4.pdparams"


def test_given_file(tmp_path, fetched):
    mine = tmp_path / "mine.pdparams"
    mine.write_bytes(b"")
    assert find_weights("s3fd", str(mine)) == mine
    assert find_weights("not official", mine) == mine
    assert fetched == []


def test_given_file_is_missing(tmp_path, fetched):
    with pytest.raises(WeightsError, match=r"mine\.pdparams.*models/s3fd_paddle"):
        find_weights("s3fd", tmp_path / "mine.pdparams")
    with pytest.raises(WeightsError, match="is not a file"):
        find_weights("s3fd", tmp_path)
    assert fetched == []


def test_unknown_name():
    with pytest.raises(WeightsError, match="did you mean 'inception_v3'"):
        find_weights("inceptionv3")


def test_fetched_once_and_noted(home, fetched):
    path = find_weights("s3fd")
    assert path == home / "weights" / "s3fd_paddle.pdparams"
    assert path.read_bytes() == CONTENT
    assert find_weights("s3fd") == path
    assert fetched == [OFFICIAL["s3fd"].url]
    note = path.with_name("s3fd_paddle.pdparams.sha256").read_text()
    assert note == f"{hashlib.sha256(CONTENT).hexdigest()}  s3fd_paddle.pdparams\n"


def test_a_changed_file_is_refused(fetched):
    path = find_weights("s3fd")
    path.write_bytes(CONTENT + b"!")
    with pytest.raises(WeightsError, match="not what it was at its first use"):
        find_weights("s3fd")
    assert path.read_bytes() == CONTENT + b"!"
    path.with_name(f"{path.name}.sha256").unlink()
    assert find_weights("s3fd") == path


@pytest.mark.parametrize("damaged", [b"", b"\xff\xfe", b"0" * 64 + b"  s3fd_paddle.pdparams\n"])
def test_a_damaged_note_is_refused(fetched, damaged):
    path = find_weights("s3fd")
    path.with_name(f"{path.name}.sha256").write_bytes(damaged)
    with pytest.raises(WeightsError, match="remove both"):
        find_weights("s3fd")


def test_a_file_put_there_by_hand_needs_no_network(home):
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "s3fd_paddle.pdparams").write_bytes(CONTENT)
    assert find_weights("s3fd").read_bytes() == CONTENT


def test_offline(home, monkeypatch):
    with pytest.raises(WeightsError) as caught:
        find_weights("inception_v3")
    text = str(caught.value)
    assert "'inception_v3' are missing" in text
    assert "https://paddlegan.bj.bcebos.com/InceptionV3.pdparams cannot be reached" in text
    assert f"put it to {home / 'weights' / 'InceptionV3.pdparams'}" in text
    assert "\n" not in text


def test_a_known_checksum_is_checked(home, monkeypatch):
    entry = WeightsFile("known", "/models/known.pdparams", sha256="0" * 64)
    monkeypatch.setitem(OFFICIAL, "known", entry)
    (home / "weights").mkdir(parents=True)
    (home / "weights" / "known.pdparams").write_bytes(CONTENT)
    with pytest.raises(WeightsError, match="is not the file expected"):
        find_weights("known")


def test_unwritable_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PPZOO_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WeightsError, match="PPZOO_HOME"):
        find_weights("s3fd")
    assert issubclass(WeightsError, UserError)
    assert downloads.cache_dir() == tmp_path / "file"


FOLDERS = ("~/.cache/ppgan", "~/.cache/paddle/hapi/weights")


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Stands in for a person's home folder, where PaddleGAN has been."""
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.setattr(manifest, "PADDLEGAN_FOLDERS", FOLDERS)
    monkeypatch.setattr(manifest, "_told", set())

    def place(folder, name):
        path = tmp_path / "person" / folder[2:] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
        return path

    return place


@pytest.mark.parametrize("folder", FOLDERS)
def test_paddlegans_file_is_used_where_ours_is_missing(folder, theirs, fetched, home, caplog):
    path = theirs(folder, "wav2lip_hq.pdparams")
    assert manifest.local_weights("wav2lip") == path
    assert find_weights("wav2lip") == path
    assert find_weights("wav2lip") == path
    assert [record.getMessage() for record in caplog.records] == [
        f"the weights 'wav2lip' are PaddleGAN's file {path}"
    ]
    assert fetched == []
    assert not home.exists()
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    path.write_bytes(b"another one")  # it is the user's
    assert find_weights("wav2lip") == path


def test_ours_comes_first(theirs, fetched, home):
    mine = find_weights("wav2lip")
    theirs(FOLDERS[0], "wav2lip_hq.pdparams")
    assert manifest.local_weights("wav2lip") == mine == find_weights("wav2lip")


def test_paddlegans_names_are_those_of_addresses(theirs, fetched):
    path = theirs(FOLDERS[0], "BasicVSR%2B%2B_reds_x4.pdparams")
    assert find_weights("basicvsr_plusplus") == path
    assert manifest.local_weights("wav2lip") is None


def test_paddlegans_file_with_another_checksum_is_passed_over(theirs, fetched, home, monkeypatch):
    entry = WeightsFile("known", "/models/known.pdparams", sha256="0" * 64)
    monkeypatch.setitem(OFFICIAL, "known", entry)
    theirs(FOLDERS[0], "known.pdparams")
    assert find_weights("known") == home / "weights" / "known.pdparams"


def test_offline_says_where_else_files_are_looked_for(theirs):
    with pytest.raises(WeightsError) as caught:
        find_weights("wav2lip")
    for place in (*FOLDERS, "--weights", "weight_path="):
        assert place in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__cause__ is None
