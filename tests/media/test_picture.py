# SPDX-License-Identifier: Apache-2.0
"""Pictures with all that their files hold: from file to file, nothing is lost that can be kept."""

from __future__ import annotations

import errno
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps

from ppzoo.errors import DataError, UserError
from ppzoo.media.picture import (
    Canvas,
    Extras,
    Picture,
    as_picture,
    check_writable,
    picture_file,
    read_picture,
)
from ppzoo.media.png import PngFile

MAKE, ORIENTATION, EXPOSURE, GPS_LATITUDE, PIXELS_X = 0x010F, 0x0112, 0x829A, 2, 0xA002
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SHAPE = (13, 21)


def noise(channels, dtype="uint8", shape=SHAPE, seed=0):
    top = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, top, [*shape, channels], dtype, endpoint=True)


def example_exif(orientation=1):
    exif = Image.Exif()
    exif[MAKE] = "Camera"
    exif[ORIENTATION] = orientation
    exif[EXIF_IFD] = {EXPOSURE: 0.125, PIXELS_X: 4000}
    exif[GPS_IFD] = {1: "N", GPS_LATITUDE: (52.0, 31.0, 12.5)}
    return exif


def example_extras():
    exif = Image.Exif()
    exif[MAKE] = "Camera"
    exif[EXIF_IFD] = {EXPOSURE: 0.125}
    return Extras(exif.tobytes(), PROFILE, (300.0, 200.0))


def copied(picture, path):
    """Write a picture in four parts, and read the file."""
    height, width = picture.size
    whole = picture.samples
    if picture.alpha is not None:
        whole = np.concatenate([whole, picture.alpha[..., np.newaxis]], axis=2)
    with picture_file(path, height, width, picture) as file:
        for rows in (slice(0, 5), slice(5, height)):
            for columns in (slice(0, 9), slice(9, width)):
                file.put(rows, columns, whole[rows, columns])
    return read_picture(path)


def tags(extras):
    exif = Image.Exif()
    exif.load(extras.exif)
    return exif


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_eight_bits_survive(tmp_path, channels, has_alpha, suffix):
    alpha = noise(1, seed=1)[..., 0] if has_alpha else None
    picture = Picture(noise(channels), alpha, example_extras())
    again = copied(picture, tmp_path / f"a{suffix}")
    if suffix == ".webp" and channels == 1:  # the format has no grey
        np.testing.assert_array_equal(again.samples, picture.samples.repeat(3, axis=2))
    else:
        np.testing.assert_array_equal(again.samples, picture.samples)
    np.testing.assert_array_equal(again.alpha, alpha)
    assert again.extras.icc_profile == PROFILE
    assert tags(again.extras)[MAKE] == "Camera"
    assert tags(again.extras).get_ifd(EXIF_IFD)[EXPOSURE] == 0.125
    if suffix != ".webp":
        assert again.extras.dpi == pytest.approx((300, 200), abs=0.01)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_survive(tmp_path, channels, has_alpha, suffix):
    alpha = noise(1, "uint16", seed=1)[..., 0] if has_alpha else None
    picture = Picture(noise(channels, "uint16"), alpha, example_extras())
    before = picture.samples.copy()
    again = copied(picture, tmp_path / f"a{suffix}")
    assert again.samples.dtype == np.uint16
    np.testing.assert_array_equal(picture.samples, before)
    if again.samples.shape[2] != channels:
        # Pillow does not know this kind of TIFF.
        assert (suffix, channels, has_alpha) == (".tif", 1, True)
    np.testing.assert_array_equal(again.samples, np.broadcast_to(before, again.samples.shape))
    np.testing.assert_array_equal(again.alpha, alpha)
    assert again.extras.icc_profile == PROFILE
    assert tags(again.extras)[MAKE] == "Camera"
    assert again.extras.dpi == pytest.approx((300, 200), abs=0.01)
    if suffix == ".png":
        assert tags(again.extras).get_ifd(EXIF_IFD)[EXPOSURE] == 0.125


def test_other_programs_read_sixteen_bits_as_they_were_written(tmp_path):
    samples = noise(3, "uint16")
    copied(Picture(samples), tmp_path / "a.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), samples)
    copied(Picture(samples, None, example_extras()), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        image.verify()  # the checksums of all chunks
    with Image.open(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(np.asarray(image), samples >> 8)


def test_canvas_shows_the_upper_bits_of_sixteen():
    samples = noise(3, "uint16", (600, 3))
    canvas = Canvas(600, 3, Picture(samples, None, example_extras()))
    canvas.put(slice(0, 600), slice(0, 3), samples)
    image = canvas.image()
    assert np.abs(np.asarray(image) - samples / 257).max() <= 0.5
    assert image.info["icc_profile"] == PROFILE
    grey = Canvas(2, 2, Picture(noise(1, "uint16", (2, 2))))
    grey.put(slice(0, 2), slice(0, 2), np.full((2, 2, 1), 65535, np.uint16))
    assert (grey.image().mode, grey.image().getextrema()) == ("L", (255, 255))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tif", "jpg"])
def test_orientation_is_applied_once_and_forgotten(tmp_path, kind, orientation):
    blocks = noise(3, shape=(2, 3)).repeat(16, axis=0).repeat(16, axis=1)
    Image.fromarray(blocks).save(tmp_path / f"a.{kind}", exif=example_exif(orientation).tobytes())
    with Image.open(tmp_path / f"a.{kind}") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    picture = read_picture(tmp_path / f"a.{kind}")
    np.testing.assert_array_equal(picture.samples, expected)
    assert picture.size == ((48, 32) if orientation >= 5 else (32, 48))
    exif = tags(picture.extras)
    assert exif.get(ORIENTATION, 1) == 1
    assert exif[MAKE] == "Camera"
    again = copied(picture, tmp_path / "again.png")
    np.testing.assert_array_equal(again.samples, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_to_sixteen_bits(tmp_path, orientation):
    samples = noise(3, "uint16")
    extra = [(ORIENTATION, "H", 1, orientation, True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, samples, photometric="rgb", metadata=None, extratags=extra)
    turned = {
        1: samples,
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.swapaxes(0, 1),
        6: np.rot90(samples, -1),
        7: np.rot90(samples, 2).swapaxes(0, 1),
        8: np.rot90(samples),
    }[orientation]
    np.testing.assert_array_equal(read_picture(path).samples, turned)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    # A PNG whose tag still says how it is to be turned.
    copied(Picture(samples, None, Extras(exif.tobytes())), tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").samples, turned)


def test_tags_of_another_size_are_dropped_and_others_kept(tmp_path):
    exif = example_exif()
    exif[0x0100] = 4000  # the width that the camera noted
    Image.fromarray(noise(3)).save(tmp_path / "a.jpg", exif=exif)
    exif = tags(read_picture(tmp_path / "a.jpg").extras)
    assert 0x0100 not in exif
    assert PIXELS_X not in exif.get_ifd(EXIF_IFD)
    assert exif.get_ifd(EXIF_IFD)[EXPOSURE] == 0.125
    assert exif.get_ifd(GPS_IFD)[GPS_LATITUDE] == (52.0, 31.0, 12.5)


def test_tags_of_how_a_tiff_is_stored_are_dropped(tmp_path):
    Image.fromarray(noise(3)).save(
        tmp_path / "a.tif", exif=example_exif().tobytes(), dpi=(300, 300)
    )
    exif = tags(read_picture(tmp_path / "a.tif").extras)
    assert set(exif) == {MAKE, EXIF_IFD, GPS_IFD}


def test_dots_per_inch_turn_with_the_picture(tmp_path):
    Image.fromarray(noise(3)).save(tmp_path / "a.png", exif=example_exif(6), dpi=(300, 100))
    dpi = read_picture(tmp_path / "a.png").extras.dpi
    assert dpi == pytest.approx((100, 300), abs=0.01)


@pytest.mark.parametrize("dpi", [(0, 0), (1, 0), (70000, 1)])
def test_dots_per_inch_that_mean_nothing_are_dropped(tmp_path, dpi):
    Image.fromarray(noise(3)).save(tmp_path / "a.tif", dpi=(1237, 1237))
    data = (tmp_path / "a.tif").read_bytes()
    assert struct.pack("<II", 1237, 1) in data
    (tmp_path / "a.tif").write_bytes(
        data.replace(struct.pack("<II", 1237, 1), struct.pack("<II", *dpi))
    )
    picture = read_picture(tmp_path / "a.tif")
    assert picture.extras.dpi is None
    for name in ("b.png", "b.jpg", "b.tif"):
        assert copied(picture, tmp_path / name).size == SHAPE


def test_a_tiff_that_tells_no_dots_per_inch_gets_none(tmp_path):
    Image.fromarray(noise(3)).save(tmp_path / "a.tif")
    assert read_picture(tmp_path / "a.tif").extras.dpi is None


def test_the_profile_of_lab_is_not_said_to_be_that_of_rgb(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("LAB", (4, 3), (128, 0, 0)).save(tmp_path / "a.tif", icc_profile=lab)
    picture = read_picture(tmp_path / "a.tif")
    assert picture.samples.shape == (3, 4, 3)
    assert picture.extras.icc_profile is None


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
def test_texts_survive_in_any_letters_and_dates_in_any_form(tmp_path, suffix, dtype):
    exif = Image.Exif()
    # Pillow reads bytes as Latin-1, whatever they are.
    exif[0x010E], exif[0x013B], exif[0x0132] = "桂林".encode(), "Jürgen".encode(), "last May"
    image = Image.fromarray(noise(3))
    image.save(tmp_path / "a.png", exif=exif)
    picture = Picture(noise(3, dtype), extras=read_picture(tmp_path / "a.png").extras)
    again = tags(copied(picture, tmp_path / f"b{suffix}").extras)
    texts = {tag: again[tag].encode("latin-1").decode() for tag in (0x010E, 0x013B, 0x0132)}
    assert texts == {0x010E: "桂林", 0x013B: "Jürgen", 0x0132: "last May"}


def test_palettes_become_colours_and_keep_transparency(tmp_path):
    colours = noise(3, shape=(4, 6))
    image = Image.fromarray(colours).quantize(24)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png").samples, image.convert("RGB"))
    image.save(tmp_path / "b.png", transparency=int(np.asarray(image)[2, 3]))
    picture = read_picture(tmp_path / "b.png")
    assert picture.alpha[2, 3] == 0
    assert picture.alpha.max() == 255


def test_grey_with_a_transparent_level_stays_grey(tmp_path):
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(grey).save(tmp_path / "a.png", transparency=5)
    picture = read_picture(tmp_path / "a.png")
    assert picture.samples.shape == (3, 4, 1)
    np.testing.assert_array_equal(picture.alpha == 0, grey == 5)
    Image.fromarray(grey > 4).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png").samples[..., 0] > 0, grey > 4)


def test_inks_become_colours(tmp_path):
    inks = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    inks.save(tmp_path / "a.jpg", quality=100)
    red, green, blue = read_picture(tmp_path / "a.jpg").samples[4, 4]
    assert red < 10 < 200 < min(green, blue)
    # A profile that is not of inks cannot be used, and does not hold for the colours either.
    inks.save(tmp_path / "b.jpg", quality=100, icc_profile=PROFILE)
    picture = read_picture(tmp_path / "b.jpg")
    assert picture.samples.shape == (8, 8, 3)
    assert picture.extras.icc_profile is None


def test_whatever_is_given(tmp_path):
    colours, deep = noise(3), noise(4, "uint16")
    np.testing.assert_array_equal(as_picture(colours).samples, colours)
    np.testing.assert_array_equal(as_picture(colours[..., 0]).samples, colours[..., :1])
    np.testing.assert_array_equal(as_picture(deep).alpha, deep[..., 3])
    np.testing.assert_array_equal(as_picture(Image.fromarray(colours)).samples, colours)
    half = Image.fromarray(colours)
    half.info["icc_profile"] = PROFILE
    assert as_picture(half).extras.icc_profile == PROFILE
    grey = Image.fromarray(deep[..., 0])
    np.testing.assert_array_equal(as_picture(grey).samples[..., 0], deep[..., 0])
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(as_picture(tmp_path / "a.png").samples, colours)
    for wrong in (np.zeros((3, 4, 2), np.uint8), np.zeros((4, 4)), None):
        with pytest.raises(DataError, match="expected a path, a Pillow image or an array"):
            as_picture(wrong)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_truncated_files_are_refused(tmp_path, dtype, suffix):
    path = tmp_path / f"a{suffix}"
    copied(Picture(noise(3, dtype, (200, 200))), path)
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(DataError, match=rf"a{suffix} is .*damaged"):
        read_picture(path)


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no image file"):
        read_picture(tmp_path / "missing.png")
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="floating-point"):
        read_picture(tmp_path / "a.tif")


def test_files_that_are_too_large_say_so(tmp_path, monkeypatch):
    Image.fromarray(noise(3)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"a\.png is too large: .*273 pixels"):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "size", "has_alpha", "message"),
    [
        ("a.bmp", (4, 4), False, "must end in .png, .jpg"),
        ("a.jpg", (4, 4), True, "JPEG has no transparency"),
        ("a.webp", (4, 16384), False, "16384 x 4 pixels, WEBP takes 16383 a side"),
        ("a.jpeg", (65501, 4), False, "JPEG takes 65500 a side"),
    ],
)
def test_what_a_format_cannot_hold_is_said(name, size, has_alpha, message):
    with pytest.raises(UserError, match=message):
        check_writable(name, size, has_alpha)


def test_jpeg_is_near_and_keeps_extras(tmp_path):
    smooth = np.tile(np.arange(0, 84, 4, dtype=np.uint8)[np.newaxis, :, np.newaxis], (13, 1, 3))
    again = copied(Picture(smooth, None, example_extras()), tmp_path / "a.jpg")
    assert np.abs(again.samples.astype(int) - smooth).max() <= 3
    assert again.extras.icc_profile == PROFILE
    assert tags(again.extras)[MAKE] == "Camera"
    assert again.extras.dpi == (300, 200)
    deep = copied(Picture(smooth.astype(np.uint16) * 257), tmp_path / "b.jpg")
    assert np.abs(deep.samples.astype(int) - smooth).max() <= 3


def test_a_file_in_the_way_stays_whole_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    full = OSError(errno.ENOSPC, "no space left")
    monkeypatch.setattr(PngFile, "close", lambda self: (_ for _ in ()).throw(full))
    with pytest.raises(UserError, match="no space left; free some space"):
        copied(Picture(noise(3)), path)
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_parts_of_another_kind_are_refused():
    canvas = Canvas(4, 4, Picture(noise(3, shape=(4, 4))))
    for part in (np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2, 3), np.uint16)):
        with pytest.raises(ValueError, match=r"expected uint8 \[2, 2, 3\]"):
            canvas.put(slice(0, 2), slice(0, 2), part)


def test_transparent_parts_take_the_nearest_visible_colour():
    samples = np.zeros((1, 7, 3), np.uint8)
    samples[0, 1], samples[0, 5] = (200, 10, 20), (10, 20, 200)
    alpha = np.array([[0, 255, 0, 0, 0, 1, 0]], np.uint8)
    picture = Picture(samples, alpha)
    filled = picture.without_fringes().samples[0, :, 0]
    assert filled.tolist()[:3] + filled.tolist()[4:] == [200, 200, 200, 10, 10, 10]
    assert filled[3] in (200, 10)
    np.testing.assert_array_equal(picture.samples, samples)
    for plain in (None, np.full((1, 7), 255, np.uint8), np.zeros((1, 7), np.uint8)):
        same = Picture(samples, plain)
        assert same.without_fringes() is same


def test_strange_tags_do_not_take_the_others_with_them(tmp_path):
    exif = example_exif()
    image = Image.fromarray(noise(3))
    exif[0x9999] = b"x"
    stream = io.BytesIO()
    image.save(stream, "JPEG", exif=exif)
    # Change the type of that tag to one that does not exist.
    data = stream.getvalue()
    place = data.index(b"\x99\x99")
    (tmp_path / "a.jpg").write_bytes(data[: place + 2] + b"\x00\x63" + data[place + 4 :])
    assert tags(read_picture(Path(tmp_path / "a.jpg")).extras)[MAKE] == "Camera"
