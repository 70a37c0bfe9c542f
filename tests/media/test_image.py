# SPDX-License-Identifier: Apache-2.0
"""Pictures in and out: exact values, every odd file defined, every bad file named."""

import errno
import io
import os
import struct
import zlib

import numpy as np
import paddle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from ppzoo.errors import DataError, UserError
from ppzoo.media.image import (
    as_array,
    image_grid,
    load_image,
    make_grid,
    read_image,
    tensor2img,
    to_uint8_images,
    with_one_palette,
    write_gif,
    write_image,
)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def picture(rng):
    return rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)


class TestTensors:
    def test_values_round_to_the_nearest_level_and_clip(self):
        column = np.array([-2.0, -1.0, 0.0, 1.0, 5.0, np.nan, -0.9961], np.float32)
        levels = to_uint8_images(column.reshape(1, 1, 1, 7))
        assert levels.shape == (1, 1, 7, 3)
        assert levels[0, 0, :, 0].tolist() == [0, 0, 128, 255, 255, 0, 0]
        assert (levels == levels[..., :1]).all()

    def test_channels_move_last(self, rng):
        tensor = rng.random((2, 3, 4, 5), dtype=np.float32)
        levels = to_uint8_images(paddle.to_tensor(tensor), min_max=(0, 1))
        assert levels.shape == (2, 4, 5, 3)
        assert np.abs(levels / 255 - tensor.transpose(0, 2, 3, 1)).max() <= 0.5 / 255 + 1e-6

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_half_precision(self, dtype):
        tensor = paddle.to_tensor(np.array([[-1.0, 0.5, 1.0]], np.float32)).astype(dtype)
        assert as_array(tensor).dtype == np.float32
        assert tensor2img(tensor.reshape([1, 1, 3]))[0, :, 0].tolist() == [0, 191, 255]

    def test_empty_batch_of_pictures(self):
        assert to_uint8_images(np.zeros((0, 3, 4, 4))).shape == (0, 4, 4, 3)

    def test_tensor2img_takes_the_first_or_several(self, rng):
        batch = rng.uniform(-1, 1, (3, 3, 4, 5)).astype(np.float32)
        levels = to_uint8_images(batch)
        assert np.array_equal(tensor2img(batch), levels[0])
        assert np.array_equal(tensor2img(batch[0]), levels[0])
        several = tensor2img(batch, image_num=2)
        assert several.shape == (2, 3, 4, 5)
        assert np.array_equal(several.transpose(0, 2, 3, 1), levels[:2])
        assert np.array_equal(tensor2img(levels[0]), levels[0])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: tensor2img(np.zeros((4, 5))), r"\[4, 5\]"),
            (lambda: tensor2img(np.zeros((0, 3, 4, 5))), r"\[0, 3, 4, 5\]"),
            (lambda: to_uint8_images(np.zeros((3, 4, 5))), r"\[3, 4, 5\]"),
            (lambda: to_uint8_images(np.zeros((1, 2, 4, 5))), "1 or 3 channels"),
            (lambda: to_uint8_images(np.zeros((1, 1, 4, 5)), (1, 1)), "low < high"),
        ],
    )
    def test_wrong_shapes_are_named(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


class TestMakeGrid:
    def test_rows_without_gaps_and_empty_places(self, rng):
        images = rng.random((7, 3, 4, 5), dtype=np.float32)
        grid = make_grid(images, 3)
        assert grid.shape == (3, 12, 15)
        assert np.array_equal(grid[:, 4:8, 5:10], images[4])
        assert np.array_equal(grid[:, 8:, :5], images[6])
        assert not grid[:, 8:, 5:].any()

    def test_kinds(self, rng):
        images = rng.random((4, 1, 4, 5), dtype=np.float32)
        tensor = make_grid(paddle.to_tensor(images))
        assert isinstance(tensor, paddle.Tensor)
        assert tensor.shape == [3, 4, 20]
        assert np.array_equal(make_grid(list(images)), tensor.numpy())
        assert make_grid(images[0]).shape == (3, 4, 5)
        assert make_grid(images[0, 0]).shape == (3, 4, 5)

    def test_normalising(self, rng):
        images = rng.random((2, 3, 4, 5), dtype=np.float32) * np.array([1, 9]).reshape(2, 1, 1, 1)
        whole = make_grid(images, normalize=True)
        each = make_grid(images, normalize=True, scale_each=True)
        fixed = make_grid(images, normalize=True, range=(0.0, 0.5))
        span = images.max() - images.min()
        assert whole.max() == pytest.approx(span / (span + 1e-5), rel=1e-6)
        assert each[:, :, :5].max() > 0.99 > 0.2 > whole[:, :, :5].max()
        assert fixed.max() == pytest.approx(0.5 / 0.50001, rel=1e-6)
        assert not np.array_equal(images, make_grid(images))

    def test_wrong_input(self):
        with pytest.raises(ValueError, match="differ in shape"):
            make_grid([np.zeros((3, 4, 4)), np.zeros((3, 4, 5))])
        with pytest.raises(ValueError, match=r"\[0, 3, 4, 4\]"):
            make_grid(np.zeros((0, 3, 4, 4)))
        with pytest.raises(ValueError, match="nrow"):
            make_grid(np.zeros((2, 3, 4, 4)), nrow=0)


class TestImageGrid:
    def test_places(self, rng):
        images = rng.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
        grid = image_grid(images, nrow=3, padding=2, upscale=2, background=9)
        assert grid.shape == (2 * (8 + 2) + 2, 3 * (12 + 2) + 2, 3)
        second_of_row_two = grid[12:20, 16:28]
        assert np.array_equal(second_of_row_two[::2, ::2], images[4])
        assert np.array_equal(second_of_row_two[1::2, 1::2], images[4])
        assert (grid[:2] == 9).all()
        assert (grid[12:, 30:] == 9).all()

    def test_grey_and_fewer_than_a_row(self):
        grid = image_grid(np.full((2, 3, 3, 1), 7, np.uint8), nrow=8, padding=0)
        assert grid.shape == (3, 6, 3)
        assert (grid == 7).all()

    @pytest.mark.parametrize(
        ("images", "options"),
        [
            (np.zeros((1, 2, 2, 3), np.float32), {}),
            (np.zeros((2, 2, 3), np.uint8), {}),
            (np.zeros((0, 2, 2, 3), np.uint8), {}),
            (np.zeros((1, 2, 2, 3), np.uint8), {"upscale": 0}),
            (np.zeros((1, 2, 2, 3), np.uint8), {"nrow": 0}),
        ],
    )
    def test_wrong_input(self, images, options):
        with pytest.raises(ValueError, match="pictures"):
            image_grid(images, **options)


def png_chunk(kind, data):
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png16_rgb(levels):
    """A PNG of 16-bit RGB samples, which Pillow reads but cannot write."""
    height, width, _ = levels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


class TestReading:
    @pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "gif"])
    def test_formats_by_content_not_by_name(self, tmp_path, suffix):
        flat = np.full((6, 5, 3), (200, 30, 90), np.uint8)
        Image.fromarray(flat).save(tmp_path / f"x.{suffix}")
        (tmp_path / f"x.{suffix}").rename(tmp_path / "no_suffix")
        assert np.abs(read_image(tmp_path / "no_suffix").astype(int) - flat).max() <= 4

    def test_string_path_and_writable_result(self, tmp_path, picture):
        Image.fromarray(picture).save(tmp_path / "x.png")
        image = read_image(str(tmp_path / "x.png"))
        assert np.array_equal(image, picture)
        assert image.flags.writeable
        assert image.flags.c_contiguous

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_camera_orientation(self, tmp_path, suffix):
        upright = np.zeros((32, 16, 3), np.uint8)
        upright[:8] = 255  # bright at the top
        stored = Image.fromarray(np.rot90(upright).copy())
        exif = stored.getexif()
        exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
        stored.save(tmp_path / f"x.{suffix}", exif=exif)
        image = read_image(tmp_path / f"x.{suffix}")
        assert image.shape == (32, 16, 3)
        assert np.abs(image.astype(int) - upright).max() < 12

    def test_grey_has_three_equal_channels(self, tmp_path, picture):
        Image.fromarray(picture[..., 0]).save(tmp_path / "x.png")
        assert np.array_equal(read_image(tmp_path / "x.png"), picture[..., :1].repeat(3, 2))

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
    def test_transparent_parts_show_white(self, tmp_path, mode):
        colours = np.full((4, 4, 4), (40, 40, 40, 255), np.uint8)
        colours[0] = (90, 90, 90, 0)
        Image.fromarray(colours).convert(mode).save(tmp_path / "x.png")
        image = read_image(tmp_path / "x.png")
        assert (image[0] == 255).all()
        assert (image[1:] == 40).all()

    def test_half_transparent(self, tmp_path):
        Image.new("RGBA", (2, 2), (0, 0, 0, 128)).save(tmp_path / "x.png")
        assert np.unique(read_image(tmp_path / "x.png")).tolist() == [127]

    def test_sixteen_bits_keep_the_upper_eight(self, tmp_path, rng):
        levels = rng.integers(0, 65536, (6, 7, 3)).astype(np.uint16)
        Image.fromarray(levels[..., 0]).save(tmp_path / "grey.png")
        (tmp_path / "rgb.png").write_bytes(png16_rgb(levels))
        assert np.array_equal(read_image(tmp_path / "grey.png")[..., 1], levels[..., 0] >> 8)
        assert np.array_equal(read_image(tmp_path / "rgb.png"), levels >> 8)

    def test_bilevel_and_print_colours(self, tmp_path):
        Image.new("1", (3, 2), 1).save(tmp_path / "one.png")
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "ink.jpg")
        assert (read_image(tmp_path / "one.png") == 255).all()
        red = read_image(tmp_path / "ink.jpg")[0, 0]
        assert red[0] > 240
        assert red[1:].max() < 15

    def test_first_frame_of_an_animation(self, tmp_path):
        write_gif(tmp_path / "x.gif", [np.full((4, 4), level, np.uint8) for level in (5, 200)])
        assert (read_image(tmp_path / "x.gif") == 5).all()

    def test_floating_point_samples_are_refused(self, tmp_path):
        Image.fromarray(np.zeros((3, 3), np.float32)).save(tmp_path / "x.tiff")
        with pytest.raises(DataError, match=r"x\.tiff.*floating-point"):
            read_image(tmp_path / "x.tiff")


class TestBadFiles:
    def test_missing_and_folder(self, tmp_path):
        with pytest.raises(DataError, match=r"there is no image file .*none\.png"):
            read_image(tmp_path / "none.png")
        with pytest.raises(DataError, match="cannot read the image file"):
            read_image(tmp_path)

    @pytest.mark.parametrize("content", [b"", b"GIF8", b"<html>not found</html>", bytes(500)])
    def test_no_image_at_all(self, tmp_path, content):
        (tmp_path / "x.png").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.png is not an image file"):
            read_image(tmp_path / "x.png")

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
    @pytest.mark.parametrize("share", [0.5, 0.9])
    def test_truncated(self, tmp_path, rng, format, share):
        buffer = io.BytesIO()
        noise = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(noise).save(buffer, format)
        data = buffer.getvalue()
        (tmp_path / "cut.img").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DataError, match=r"cut\.img"):
            read_image(tmp_path / "cut.img")

    def test_larger_than_any_photograph(self, tmp_path):
        header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")
        (tmp_path / "bomb.png").write_bytes(data)
        with pytest.raises(DataError, match=r"bomb\.png"):
            read_image(tmp_path / "bomb.png")

    @settings(
        max_examples=150,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        format=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]),
        edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    )
    @pytest.mark.filterwarnings("ignore")
    def test_damaged_bytes_give_a_picture_or_a_data_error(self, tmp_path, format, edits):
        buffer = io.BytesIO()
        ramp = np.arange(12 * 9 * 3).reshape(12, 9, 3).astype(np.uint8)
        Image.fromarray(ramp).save(buffer, format)
        data = bytearray(buffer.getvalue())
        for where, value in edits:
            data[int(where * (len(data) - 1))] = value
        (tmp_path / "x").write_bytes(bytes(data))
        image, complaint = None, str(tmp_path / "x")
        try:
            image = read_image(tmp_path / "x")
        except DataError as error:
            complaint = str(error)
        assert str(tmp_path / "x") in complaint
        assert image is None or (image.dtype == np.uint8 and image.shape[2] == 3)


class TestWriting:
    @pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 3)])
    def test_png_is_exact_and_folders_are_made(self, tmp_path, rng, shape):
        image = rng.integers(0, 256, shape, dtype=np.uint8)
        write_image(tmp_path / "a" / "b.PNG", image)
        expected = np.broadcast_to(image.reshape(6, 5, -1), (6, 5, 3))
        assert np.array_equal(read_image(tmp_path / "a" / "b.PNG"), expected)

    def test_views_and_transparency(self, tmp_path, picture):
        write_image(tmp_path / "view.png", picture[::-1, ::2])
        assert np.array_equal(read_image(tmp_path / "view.png"), picture[::-1, ::2])
        write_image(tmp_path / "rgba.png", np.zeros((3, 3, 4), np.uint8))
        assert (read_image(tmp_path / "rgba.png") == 255).all()

    def test_jpeg_is_close(self, tmp_path):
        ramp = np.linspace(0, 255, 64, dtype=np.uint8)[None, :, None].repeat(48, 0).repeat(3, 2)
        write_image(tmp_path / "x.jpeg", ramp)
        assert np.abs(read_image(tmp_path / "x.jpeg").astype(int) - ramp).max() < 8

    def test_what_cannot_be_written(self, tmp_path, picture):
        with pytest.raises(UserError, match=r"x\.tga.*\.png"):
            write_image(tmp_path / "x.tga", picture)
        with pytest.raises(ValueError, match="float64"):
            write_image(tmp_path / "x.png", picture / 255.0)
        with pytest.raises(ValueError, match=r"\[9, 13, 2\]"):
            write_image(tmp_path / "x.png", picture[..., :2])
        with pytest.raises(ValueError, match="transparency"):
            write_image(tmp_path / "x.jpg", np.zeros((3, 3, 4), np.uint8))
        assert os.listdir(tmp_path) == []

    def test_unwritable_place(self, tmp_path, picture):
        (tmp_path / "file").write_text("")
        with pytest.raises(UserError, match=r"cannot write .*x\.png"):
            write_image(tmp_path / "file" / "x.png", picture)

    def test_a_full_disk_keeps_the_old_picture(self, tmp_path, picture, monkeypatch):
        write_image(tmp_path / "x.png", picture)

        def full(descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(UserError, match=r"x\.png: No space left"):
            write_image(tmp_path / "x.png", 255 - picture)
        assert np.array_equal(read_image(tmp_path / "x.png"), picture)
        assert os.listdir(tmp_path) == ["x.png"]


def gif_frames(path):
    with Image.open(path) as animation:
        return animation.info.get("loop"), [
            (np.array(frame.convert("RGB")), frame.info["duration"])
            for frame in ImageSequence.Iterator(animation)
        ]


class TestGif:
    @pytest.mark.parametrize("coloured", [False, True])
    def test_frames_survive_and_repeat_for_ever(self, tmp_path, coloured):
        frames = []
        for step in range(6):
            frame = np.zeros((20, 30, 3), np.uint8)
            frame[5:9, 4 * step : 4 * step + 6] = (250, 40 * step, 3) if coloured else 40 + step
            frames.append(frame)
        write_gif(tmp_path / "new" / "x.gif", iter(frames), fps=4)
        loop, found = gif_frames(tmp_path / "new" / "x.gif")
        assert loop == 0
        assert [duration for _, duration in found] == [250] * 6
        for expected, (frame, _) in zip(frames, found, strict=True):
            assert np.array_equal(frame, expected)

    def test_all_grey_levels_are_exact(self, tmp_path, rng):
        frames = [rng.integers(0, 256, (40, 40), dtype=np.uint8) for _ in range(3)]
        write_gif(tmp_path / "x.gif", frames)
        for expected, (frame, _) in zip(frames, gif_frames(tmp_path / "x.gif")[1], strict=True):
            assert np.array_equal(frame[..., 0], expected)

    def test_what_does_not_change_costs_little(self, tmp_path, rng):
        still = rng.integers(0, 256, (64, 64, 1), dtype=np.uint8)
        write_gif(tmp_path / "one.gif", [still], fps=10)
        write_gif(tmp_path / "many.gif", [still] * 50, fps=10)
        assert (tmp_path / "many.gif").stat().st_size < 1.01 * (tmp_path / "one.gif").stat().st_size
        assert sum(duration for _, duration in gif_frames(tmp_path / "many.gif")[1]) == 5000

    def test_no_faster_than_viewers_show(self, tmp_path):
        write_gif(tmp_path / "x.gif", [np.full((3, 3), v, np.uint8) for v in (0, 9)], fps=1000)
        assert {duration for _, duration in gif_frames(tmp_path / "x.gif")[1]} == {20}

    def test_wrong_input_leaves_no_file(self, tmp_path, picture):
        target = tmp_path / "x.gif"
        with pytest.raises(UserError, match=r"must end in \.gif"):
            write_gif(tmp_path / "x.png", [picture])
        with pytest.raises(ValueError, match="at least one frame"):
            write_gif(target, [])
        with pytest.raises(ValueError, match="fps"):
            write_gif(target, [picture], fps=0)
        with pytest.raises(ValueError, match="9 x 13 and then 8 x 13"):
            write_gif(target, [picture, picture[1:]])
        with pytest.raises(ValueError, match=r"\[2, 2, 4\]"):
            write_gif(target, [np.zeros((2, 2, 4), np.uint8)])
        assert os.listdir(tmp_path) == []


class TestLoadImage:
    def test_path_array_and_pillow_are_one_picture(self, picture, tmp_path):
        write_image(tmp_path / "a.png", picture)
        given = [tmp_path / "a.png", str(tmp_path / "a.png"), picture, Image.fromarray(picture)]
        given += [picture.astype(np.uint16) * 257, Image.open(tmp_path / "a.png")]
        given += [io.BytesIO((tmp_path / "a.png").read_bytes())]
        for image in given:
            loaded = load_image(image)
            assert loaded.dtype == np.uint8
            assert loaded is not image
            np.testing.assert_array_equal(loaded, picture)

    def test_grey_and_alpha(self, picture):
        grey = picture[..., 0]
        for image in (grey, grey[..., np.newaxis], Image.fromarray(grey)):
            np.testing.assert_array_equal(load_image(image), np.repeat(grey[..., None], 3, -1))
        alpha = np.dstack([picture, np.zeros_like(grey)])
        assert (load_image(alpha) == 255).all()
        assert (load_image(Image.fromarray(alpha)) == 255).all()

    def test_orientation(self, picture, tmp_path):
        image = Image.fromarray(picture)
        exif = image.getexif()
        exif[0x0112] = 6  # to be turned clockwise
        image.save(tmp_path / "a.png", exif=exif)
        expected = np.rot90(picture, -1)
        np.testing.assert_array_equal(load_image(tmp_path / "a.png"), expected)
        np.testing.assert_array_equal(load_image(Image.open(tmp_path / "a.png")), expected)

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((4, 4, 3)),
            np.zeros((4, 4, 2), np.uint8),
            np.zeros((0, 4, 3), np.uint8),
            np.zeros((1, 4, 4, 3), np.uint8),
            None,
            3,
        ],
    )
    def test_what_is_no_picture(self, image):
        with pytest.raises(DataError, match="expected a path, a Pillow image or an array"):
            load_image(image)

    def test_damaged(self, picture, tmp_path):
        write_image(tmp_path / "a.png", picture)
        data = (tmp_path / "a.png").read_bytes()
        half = data[: len(data) // 2]
        (tmp_path / "a.png").write_bytes(half)
        with pytest.raises(DataError, match=r"a\.png is damaged"):
            load_image(tmp_path / "a.png")
        for opened in (Image.open(tmp_path / "a.png"), io.BytesIO(half), io.BytesIO(b"no")):
            with pytest.raises(DataError, match="the picture cannot be used"):
                load_image(opened)


def test_none_is_no_picture():
    from ppzoo.media.picture import as_picture

    for read in (load_image, as_picture):
        with pytest.raises(DataError, match=r"expected a path, .* and there is None"):
            read(None)


def test_frames_of_an_animation_share_a_palette() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (5, 6, 7, 3), np.uint8)
    frames[:, 0, 0] = (200, 20, 20)
    made = with_one_palette(frames, 16)
    assert {(p.mode, p.size) for p in made} == {("P", (7, 6))}
    assert len({bytes(p.getpalette()) for p in made}) == 1
    assert max(p.getextrema()[1] for p in made) < 16
    assert len({p.getpixel((0, 0)) for p in made}) == 1
    few = np.repeat(frames[:1, :1, :4], 3, axis=0)  # four colours: none is lost
    shown = np.stack([np.asarray(p.convert("RGB")) for p in with_one_palette(few)])
    np.testing.assert_array_equal(shown, few)
    with pytest.raises(ValueError, match="at least one frame"):
        with_one_palette(few[:0])


def test_programs_that_draw_pictures_are_not_run(tmp_path, monkeypatch):
    def run(*_, **__):
        raise AssertionError("Ghostscript was asked")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", run)
    path = tmp_path / "cartoon.png"
    Image.new("RGB", (8, 8)).save(path, "EPS")
    with pytest.raises(DataError, match="is not an image file"):
        read_image(path)
