# SPDX-License-Identifier: Apache-2.0
"""Pictures as files and as arrays.

Pictures are uint8, RGB, channels last. Tensors of networks are float, channels first, in a range
`min_max` that is [-1, 1] unless told otherwise. Files are decoded by Pillow because it, unlike
OpenCV, reports a truncated file instead of filling the rest with grey.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.errors import DataError, UserError

T = TypeVar("T")

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_JPEG_QUALITY = 95
_PALETTE_FRAMES = 64  # that an animation's palette is taken from, at most


# ---------------------------------------------------------------- tensors to pictures


def as_array(tensor: Any) -> np.ndarray:
    """Return a tensor or anything array-like as a NumPy array; half precision becomes float32."""
    if hasattr(tensor, "numpy"):
        # NumPy has no bfloat16: Paddle would hand out its bits as uint16.
        if "float16" in str(tensor.dtype):
            tensor = tensor.astype("float32")
        tensor = tensor.numpy()
    array = np.asarray(tensor)
    return array.astype(np.float32) if array.dtype == np.float16 else array


def to_uint8_images(tensor: Any, min_max: Sequence[float] = (-1.0, 1.0)) -> np.ndarray:
    """Turn a batch of network outputs into pictures.

    Args:
        tensor: [N, C, H, W] with C = 1 or 3, values in `min_max`; what lies outside is clipped and
            what is not a number is black.
        min_max: the values that become 0 and 255.

    Returns:
        uint8 [N, H, W, 3], rounded to the nearest level.

    Raises:
        ValueError: another shape, or an empty range.
    """
    array = as_array(tensor)
    if array.ndim != 4:
        raise ValueError(f"expected images [N, C, H, W], got the shape {list(array.shape)}")
    return _quantised(array, min_max).transpose(0, 2, 3, 1)


def tensor2img(
    tensor: Any, min_max: Sequence[float] = (-1.0, 1.0), image_num: int = 1
) -> np.ndarray:
    """Turn a tensor into a picture to save, as PaddleGAN's function of this name does.

    Args:
        tensor: [C, H, W] or [N, C, H, W] with C = 1 or 3, values in `min_max`. A uint8 NumPy array
            is a picture already and returned as it is.
        min_max: the values that become 0 and 255.
        image_num: how many images of a batch to take.

    Returns:
        uint8 [H, W, 3] of the first image, or [image_num, 3, H, W] (channels first) if more than
        one is asked for.

    Raises:
        ValueError: another shape, an empty batch or an empty range.
    """
    if isinstance(tensor, np.ndarray) and tensor.dtype == np.uint8:
        return tensor
    array = as_array(tensor)
    if array.ndim not in (3, 4) or array.shape[0] == 0:
        raise ValueError(
            f"expected images [C, H, W] or [N, C, H, W], got the shape {list(array.shape)}"
        )
    if array.ndim == 4 and image_num > 1:
        return _quantised(array[:image_num], min_max)
    single = array[:1] if array.ndim == 4 else array[np.newaxis]
    return _quantised(single, min_max)[0].transpose(1, 2, 0)


def _quantised(images: np.ndarray, min_max: Sequence[float]) -> np.ndarray:
    """Return [N, C, H, W] as uint8 [N, 3, H, W]."""
    low, high = (float(value) for value in min_max)
    if not high > low:
        raise ValueError(f"min_max must be (low, high) with low < high, got {tuple(min_max)}")
    if images.shape[1] not in (1, 3):
        raise ValueError(f"expected 1 or 3 channels, got the shape {list(images.shape)}")
    images = images.astype(np.float32, copy=False)
    scaled = (images.clip(low, high) - low) / (high - low) * 255.0
    levels = np.nan_to_num(scaled, nan=0.0).round().astype(np.uint8)
    return np.repeat(levels, 3, axis=1) if levels.shape[1] == 1 else levels


def make_grid(
    tensor: Any,
    nrow: int = 8,
    normalize: bool = False,
    range: tuple[float, float] | None = None,
    scale_each: bool = False,
) -> Any:
    """Lay the images of a batch side by side, as PaddleGAN's function of this name does.

    Args:
        tensor: [N, C, H, W], a list of [C, H, W], or one image [C, H, W] or [H, W]; a single
            channel is repeated to three.
        nrow: images per row.
        normalize: scale values to [0, 1).
        range: the values that normalising starts from, the smallest and largest by default.
        scale_each: normalise each image by its own values.

    Returns:
        [C, rows * H, columns * W] without gaps, empty places 0; of the kind that was given
        (Paddle tensor or NumPy array).

    Raises:
        ValueError: another shape, an empty batch, images of different shapes.
    """
    items = list(tensor) if isinstance(tensor, (list, tuple)) else [tensor]
    arrays = [as_array(item) for item in items]
    if len({array.shape for array in arrays}) != 1:
        raise ValueError(f"images differ in shape: {[list(array.shape) for array in arrays]}")
    array = np.stack(arrays) if isinstance(tensor, (list, tuple)) else arrays[0]
    images = _as_batch(array)
    if normalize:
        images = _normalised(images, range, scale_each)
    grid = images[0] if len(images) == 1 else _tiled(images, nrow)
    if not hasattr(items[0], "numpy"):
        return grid
    import paddle

    return paddle.to_tensor(grid)


def _as_batch(array: np.ndarray) -> np.ndarray:
    if array.ndim == 2:
        array = array[np.newaxis]
    if array.ndim == 3:
        array = array[np.newaxis]
    if array.ndim != 4 or array.shape[0] == 0:
        raise ValueError(f"expected images [N, C, H, W], got the shape {list(array.shape)}")
    return np.repeat(array, 3, axis=1) if array.shape[1] == 1 else array


def _normalised(images: np.ndarray, limits: tuple[float, float] | None, each: bool) -> np.ndarray:
    images = images.astype(np.float32)
    axes = (1, 2, 3) if each else None
    low, high = limits or (
        images.min(axis=axes, keepdims=True),
        images.max(axis=axes, keepdims=True),
    )
    # The constant keeps a flat image at 0; PaddleGAN has the same one.
    return ((images.clip(low, high) - low) / (high - low + 1e-5)).astype(np.float32)


def _tiled(images: np.ndarray, nrow: int) -> np.ndarray:
    """Return [N, C, H, W] as [C, rows * H, columns * W], row by row, empty places 0."""
    if nrow < 1:
        raise ValueError(f"nrow must be at least 1, got {nrow}")
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    padded = np.zeros((rows * columns, channels, height, width), images.dtype)
    padded[:count] = images
    cells = padded.reshape(rows, columns, channels, height, width)
    return cells.transpose(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def image_grid(
    images: np.ndarray, nrow: int = 8, padding: int = 2, upscale: int = 1, background: int = 255
) -> np.ndarray:
    """Lay pictures side by side with gaps and an outer margin, to be looked at.

    Args:
        images: uint8 [N, H, W, C] with C = 1 or 3.
        nrow: pictures per row.
        padding: pixels between pictures and around them.
        upscale: whole factor by which each picture is enlarged, pixels staying squares.
        background: grey level of gaps and empty places, 0 to 255.

    Returns:
        uint8 [H', W', 3].

    Raises:
        ValueError: another type or shape, no picture, sizes below their least value.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            "expected uint8 pictures [N, H, W, 1 or 3], got "
            f"{images.dtype} with the shape {list(images.shape)}"
        )
    if len(images) == 0 or nrow < 1 or padding < 0 or upscale < 1:
        raise ValueError(
            f"a grid needs pictures ({len(images)}), nrow >= 1 ({nrow}), padding >= 0 ({padding}) "
            f"and upscale >= 1 ({upscale})"
        )
    large = images.repeat(upscale, axis=1).repeat(upscale, axis=2)
    if large.shape[-1] == 1:
        large = large.repeat(3, axis=-1)
    columns = min(nrow, len(images))
    step_y, step_x = large.shape[1] + padding, large.shape[2] + padding
    height = math.ceil(len(images) / columns) * step_y + padding
    grid = np.full((height, columns * step_x + padding, 3), background, np.uint8)
    for index, picture in enumerate(large):
        top = padding + index // columns * step_y
        left = padding + index % columns * step_x
        grid[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return grid


# ---------------------------------------------------------------- files


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a picture file of any common format.

    The camera's orientation (EXIF) is applied, grey becomes three equal channels, transparent parts
    show white, of 16 bits the upper 8 are kept, and of an animation the first frame.

    Returns:
        uint8 RGB [H, W, 3].

    Raises:
        DataError: the file is missing, unreadable, truncated, damaged or not a picture; names it.
    """
    from PIL import ImageOps

    return decode(path, lambda image, _: _as_rgb(ImageOps.exif_transpose(image)))


def decode(path: str | os.PathLike[str], convert: Callable[[Any, bytes], T]) -> T:
    """Open a picture file by Pillow and return what `convert` makes of it.

    Args:
        path: the file.
        convert: takes the Pillow image, not decoded yet, and the file's bytes.

    Raises:
        DataError: the file is missing, unreadable, truncated, damaged, too large or not a picture;
            names it.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no image file {os.fspath(path)}") from None
    except OSError as error:
        raise DataError(
            f"cannot read the image file {os.fspath(path)}: {error.strerror or error}"
        ) from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            # A program, which Pillow would have Ghostscript run.
            if image.format == "EPS":
                raise UnidentifiedImageError
            return convert(image, data)
    except UnidentifiedImageError:
        raise DataError(
            f"{os.fspath(path)} is not an image file (or is damaged from its first bytes on)"
        ) from None
    except Image.DecompressionBombError as error:
        raise DataError(f"the image file {os.fspath(path)} is too large: {error}") from error
    # Pillow's decoders answer damaged bytes with a dozen kinds of exceptions (struct.error,
    # SyntaxError, ZeroDivisionError, ...), all of which mean the same to the user.
    except Exception as error:
        raise DataError(f"the image file {os.fspath(path)} is damaged: {error}") from error


def load_image(image: Any) -> np.ndarray:
    """Return a picture that is given in any common way as one in RGB.

    Args:
        image: a path (see `read_image`), an open file, a Pillow image, or an array [H, W],
            [H, W, 1], [H, W, 3] or [H, W, 4] of uint8, or of uint16, of which the upper 8 bits are
            kept. Alpha is laid on white.

    Returns:
        uint8 RGB [H, W, 3], a copy.

    Raises:
        DataError: the file cannot be read (names it), or it is something else.
    """
    from PIL import Image, ImageOps

    if isinstance(image, (str, os.PathLike)):
        return read_image(image)
    if isinstance(image, Image.Image) or hasattr(image, "read"):
        try:
            opened = image if isinstance(image, Image.Image) else Image.open(image)
            return _as_rgb(ImageOps.exif_transpose(opened))
        except Exception as error:  # as in `read_image`: a file that is only now decoded
            raise DataError(f"the picture cannot be used: {error}") from error
    if image is None:
        raise DataError("expected a path, a Pillow image or an array, and there is None")
    array = np.asarray(image)
    is_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3, 4))
    if array.dtype not in (np.uint8, np.uint16) or not is_shape or array.size == 0:
        raise DataError(
            "expected a path, a Pillow image or an array [H, W, 3] of uint8, got "
            f"{type(image).__name__} {array.dtype} with the shape {list(array.shape)}"
        )
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    return _as_rgb(_as_pillow(array))


def _as_rgb(image: Any) -> np.ndarray:
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) >> 8
        return np.repeat(grey.astype(np.uint8)[..., np.newaxis], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("it holds floating-point samples, whose white level is unknown")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return np.array(image.convert("RGB"), dtype=np.uint8)


def write_image(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write a picture whole or not at all, as PNG (lossless) or JPEG by the name's suffix.

    Missing folders are made.

    Args:
        path: a name that ends in .png, .jpg or .jpeg.
        image: uint8 [H, W], [H, W, 1], RGB [H, W, 3] or, for PNG, RGBA [H, W, 4].

    Raises:
        UserError: another suffix, or a file that cannot be written; names it.
        ValueError: another type or shape.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _FORMATS:
        raise UserError(
            f"cannot write {os.fspath(path)}: the name must end in {', '.join(_FORMATS)}"
        )
    picture = _as_pillow(image)
    if picture.mode == "RGBA" and _FORMATS[suffix] == "JPEG":
        raise ValueError("JPEG has no transparency, give an RGB image [H, W, 3]")
    with atomic_write(path) as file:
        picture.save(file, format=_FORMATS[suffix], quality=_JPEG_QUALITY)


def _as_pillow(image: np.ndarray) -> Any:
    from PIL import Image

    image = np.asarray(image)
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    is_shape = image.ndim == 2 or (image.ndim == 3 and image.shape[-1] in (3, 4))
    if image.dtype != np.uint8 or not is_shape or image.size == 0:
        raise ValueError(
            "expected a uint8 picture [H, W], [H, W, 1], [H, W, 3] or [H, W, 4], got "
            f"{image.dtype} with the shape {list(image.shape)}"
        )
    return Image.fromarray(np.ascontiguousarray(image))


def write_gif(
    path: str | os.PathLike[str], frames: Iterable[np.ndarray], fps: float = 10.0
) -> None:
    """Write an animation that repeats for ever, whole or not at all.

    Frames are taken one at a time and kept as one byte per pixel, only the part that changes is
    stored, and frames without change only prolong the one before. Grey frames keep their exact
    levels, coloured ones get the 256 colours that suit them best. Missing folders are made.

    Args:
        path: a name that ends in .gif.
        frames: uint8 pictures [H, W], [H, W, 1] or [H, W, 3], all of one shape.
        fps: frames per second, in the format's steps of 1/100 s per frame and 50 at most.

    Raises:
        UserError: another suffix, or a file that cannot be written; names it.
        ValueError: no frames, frames of different shapes, or a frame rate that is not positive.
    """
    if Path(path).suffix.lower() != ".gif":
        raise UserError(f"cannot write {os.fspath(path)}: the name must end in .gif")
    if not fps > 0:
        raise ValueError(f"fps must be positive, got {fps}")
    prepared = _gif_frames(frames)
    first = next(prepared, None)
    if first is None:
        raise ValueError("an animation needs at least one frame")
    # Viewers slow down what claims to be faster than 50 frames/s.
    milliseconds = 10 * max(2, round(100 / fps))
    with atomic_write(path) as file:
        first.save(
            file,
            format="GIF",
            save_all=True,
            append_images=prepared,
            duration=milliseconds,
            loop=0,
        )


def _gif_frames(frames: Iterable[np.ndarray]) -> Iterator[Any]:
    from PIL import Image

    size = None
    for frame in frames:
        picture = _as_pillow(frame)
        if picture.mode == "RGBA":
            raise ValueError(f"frames are grey or RGB, got the shape {list(np.shape(frame))}")
        if size not in (None, picture.size):
            raise ValueError(
                f"frames differ in size: {size[1]} x {size[0]} and then "
                f"{picture.size[1]} x {picture.size[0]} pixels"
            )
        size = picture.size
        if picture.mode == "RGB":
            channels = np.asarray(frame)
            if (channels == channels[..., :1]).all():
                picture = Image.fromarray(np.ascontiguousarray(channels[..., 0]))
            else:
                # No dithering: its noise differs from frame to frame and multiplies the size.
                picture = picture.quantize(256, dither=Image.Dither.NONE)
        yield picture


def with_one_palette(frames: Sequence[np.ndarray], colours: int = 128) -> list[Any]:
    """Return the frames of an animation as Pillow pictures that share a palette.

    What stands still then does not flicker, and takes no room in files.

    Args:
        frames: uint8 RGB [T, H, W, 3].
        colours: of the palette, 2 to 256.

    Raises:
        ValueError: no frames.
    """
    from PIL import Image

    if len(frames) == 0:
        raise ValueError("an animation needs at least one frame")
    some = frames[:: -(-len(frames) // _PALETTE_FRAMES)]
    palette = Image.fromarray(np.concatenate(list(some))).quantize(
        colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
    )
    # No dithering: its noise differs from frame to frame.
    return [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
