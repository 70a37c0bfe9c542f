# SPDX-License-Identifier: Apache-2.0
"""Pictures that are to be enlarged, with all that a file holds beside its colours.

What survives from file to file: transparency, grey, 16 bits per value, EXIF (the camera's
orientation is applied and the tag reset, sizes are updated), the ICC profile, whose own numbers are
computed with, and dots per inch. What does not: a palette becomes colours, CMYK becomes sRGB by its
profile, of several pages the first is taken, embedded previews are dropped, and TIFF files of 16
bits keep the EXIF tags that describe the picture, not those of the exposure and the place, and have
colours in place of grey with transparency.

Pillow reads and writes 8 bits, as it has 16 for grey only; OpenCV reads 16, tifffile writes them.
PNG files, which results are by default, are written as they are made: memory does not hold them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ppzoo.atomic import atomic_write
from ppzoo.errors import DataError, UserError
from ppzoo.media.image import decode
from ppzoo.media.png import PngFile

if TYPE_CHECKING:
    from PIL import Image

FORMATS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
# What each format can take along one side, in pixels.
_LONGEST = {"JPEG": 65500, "WEBP": 16383}
_SAVE: Mapping[str, Mapping[str, Any]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "WEBP": {"lossless": True, "exact": True},
    # Uncompressed: libtiff, which would compress, takes no tags of the exposure from Pillow.
    "TIFF": {},
}
_ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x0112, 0x8769, 0x8825
_X_RESOLUTION = 0x011A
_WIDTHS, _HEIGHTS = (0x0100, 0xA002), (0x0101, 0xA003)
# Of a TIFF's own tags, those that describe the picture and not how it is stored.
_DESCRIPTIVE = {
    0x010D,  # document name
    0x010E,  # description
    0x010F,  # make
    0x0110,  # model
    0x0131,  # software
    0x0132,  # time
    0x013B,  # artist
    0x013C,  # host computer
    0x8298,  # copyright
}
_JPEG_SEGMENT = 65533  # bytes that EXIF can have there
_MOST_DPI = 65535  # what JPEG can hold
_MODES = {(1, False): "L", (1, True): "LA", (3, False): "RGB", (3, True): "RGBA"}
_DEEP_GREY = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_STRIP = 256  # rows that are converted at a time


@dataclasses.dataclass(frozen=True)
class Extras:
    """What a picture file holds beside its samples.

    Args:
        exif: tags, without orientation (it is applied) and without those of another size.
        icc_profile: of the samples' colour space, as it is embedded.
        dpi: dots per inch, across and down.
    """

    exif: bytes | None = None
    icc_profile: bytes | None = None
    dpi: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture as it is in its file, upright.

    Args:
        samples: uint8 or uint16 [H, W, C], grey (C = 1) or RGB (C = 3), in the numbers of the
            file's own profile.
        alpha: [H, W] of the same type, 0 where transparent; None for opaque pictures.
        extras: what else the file holds.
    """

    samples: np.ndarray
    alpha: np.ndarray | None = None
    extras: Extras = dataclasses.field(default_factory=Extras)

    @property
    def size(self) -> tuple[int, int]:
        """Return height and width in pixels."""
        return self.samples.shape[:2]

    @property
    def white(self) -> int:
        """Return the largest value that a sample can have: 255 or 65535."""
        return int(np.iinfo(self.samples.dtype).max)

    def without_fringes(self) -> Picture:
        """Return the picture with the nearest visible colours in its fully transparent parts.

        Files have any colour there, mostly black, which a network would draw into what is visible.
        """
        import cv2

        if self.alpha is None or not (self.alpha == 0).any() or not self.alpha.any():
            return self
        hidden = (self.alpha == 0).astype(np.uint8)
        _, labels = cv2.distanceTransformWithLabels(
            hidden, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
        )
        # Each visible pixel has a label of its own, which its transparent neighbours share.
        visible = hidden == 0
        colours = np.zeros((int(labels.max()) + 1, self.samples.shape[2]), self.samples.dtype)
        colours[labels[visible]] = self.samples[visible]
        return dataclasses.replace(self, samples=colours[labels])


class Canvas:
    """A picture in memory that is filled part by part.

    Args:
        height: in pixels.
        width: in pixels.
        like: the picture that it is made from, which decides on grey or colours, alpha, 8 or 16
            bits, and what is written beside the samples.
    """

    def __init__(self, height: int, width: int, like: Picture) -> None:
        self.size = height, width
        self.extras = like.extras
        self.channels = like.samples.shape[2]
        self.has_alpha = like.alpha is not None
        self.dtype = like.samples.dtype
        self._image: Image.Image | None = None
        self._array: np.ndarray | None = None
        if self.dtype == np.uint8:
            from PIL import Image

            self._image = Image.new(_MODES[self.channels, self.has_alpha], (width, height))
        else:
            self._array = np.zeros((height, width, self.channels + self.has_alpha), self.dtype)

    def put(self, rows: slice, columns: slice, part: np.ndarray) -> None:
        """Fill a part of the picture.

        Args:
            rows: where, with start and stop.
            columns: where, with start and stop.
            part: [h, w, C] in the picture's type, with alpha as its last channel if it has one.

        Raises:
            ValueError: another type or shape.
        """
        shape = rows.stop - rows.start, columns.stop - columns.start, self.channels + self.has_alpha
        if part.dtype != self.dtype or part.shape != shape:
            raise ValueError(
                f"expected {self.dtype} {list(shape)}, got {part.dtype} {list(part.shape)}"
            )
        if self._image is None:
            self._array[rows, columns] = part
            return
        from PIL import Image

        part = np.ascontiguousarray(part[..., 0] if part.shape[2] == 1 else part)
        self._image.paste(Image.fromarray(part), (columns.start, rows.start))

    def image(self) -> Image.Image:
        """Return the picture for Pillow: as it is, or of 16 bits the upper 8.

        Pillow has no colours of 16 bits. The ICC profile, EXIF and dots per inch are in its `info`.
        """
        from PIL import Image

        image = self._image
        if image is None:
            height, width = self.size
            image = Image.new(_MODES[self.channels, self.has_alpha], (width, height))
            for top in range(0, height, _STRIP):
                strip = np.rint(self._array[top : top + _STRIP] / np.float32(257)).astype(np.uint8)
                strip = np.ascontiguousarray(strip[..., 0] if strip.shape[2] == 1 else strip)
                image.paste(Image.fromarray(strip), (0, top))
        image.info.update(_given(self.extras))
        return image

    def save(self, file: BinaryIO, kind: str) -> None:
        """Write the picture into a file, in a format of `FORMATS`.

        All but JPEG are lossless, it has quality 95 without chroma subsampling. JPEG and WebP hold
        the upper 8 of 16 bits.
        """
        if self._array is not None and kind == "TIFF":
            _write_deep_tiff(file, self._array, self.extras)
            return
        given = _given(self.extras)
        if kind == "JPEG" and len(given.get("exif", b"")) > _JPEG_SEGMENT:
            del given["exif"]
        if kind == "TIFF" and self.extras.exif:
            given["exif"] = _loaded(self.extras.exif)
        self.image().save(file, format=kind, **_SAVE[kind], **given)


@contextlib.contextmanager
def picture_file(
    path: str | os.PathLike[str], height: int, width: int, like: Picture
) -> Iterator[Canvas | PngFile]:
    """Give what has `put` and is a picture file when the block ends without an exception.

    Parts are put in from the top to the bottom, and from left to right. PNG is written at once, in
    memory for one row of parts; for other formats, the picture is held whole. See `Canvas.save`.

    Args:
        path: ends in a suffix of `FORMATS`; missing folders are made, and the file is written whole
            or not at all.
        height: in pixels.
        width: in pixels.
        like: see `Canvas`.

    Raises:
        UserError: see `check_writable`, or the file cannot be written.
    """
    kind = check_writable(path, (height, width), like.alpha is not None)
    with atomic_write(path) as file:
        if kind == "PNG":
            channels = like.samples.shape[2] + (like.alpha is not None)
            extras = _given(like.extras)
            with PngFile(file, height, width, channels, like.samples.dtype, **extras) as png:
                yield png
        else:
            canvas = Canvas(height, width, like)
            yield canvas
            canvas.save(file, kind)


def check_writable(
    path: str | os.PathLike[str], size: tuple[int, int], has_alpha: bool = False
) -> str:
    """Return the format that a file's name ends in, if it can hold a picture.

    Args:
        path: the file's name.
        size: height and width of the picture.
        has_alpha: whether it has transparency.

    Raises:
        UserError: another suffix, or the format has no transparency or is too small.
    """
    kind = FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise UserError(
            f"cannot write {os.fspath(path)}: the name must end in {', '.join(FORMATS)}"
        )
    if has_alpha and kind == "JPEG":
        raise UserError(
            f"cannot write {os.fspath(path)}: JPEG has no transparency, and the picture has; "
            "choose a name that ends in .png"
        )
    longest = _LONGEST.get(kind)
    if longest is not None and max(size) > longest:
        raise UserError(
            f"cannot write {os.fspath(path)}: the result has {size[1]} x {size[0]} pixels, {kind} "
            f"takes {longest} a side at most; choose a name that ends in .png"
        )
    return kind


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture file with all that it holds.

    Raises:
        DataError: the file is missing, unreadable, truncated, damaged or not a picture; names it.
    """
    return decode(path, _picture)


def as_picture(image: Any) -> Picture:
    """Return a picture that is given in any common way.

    Args:
        image: a path, a Pillow image, or an array [H, W], [H, W, 1], [H, W, 3] or [H, W, 4] of
            uint8 or uint16, RGB, with alpha last.

    Raises:
        DataError: the file cannot be read (names it), or it is something else.
    """
    from PIL import Image

    if isinstance(image, (str, os.PathLike)):
        return read_picture(image)
    if isinstance(image, Image.Image):
        try:
            return _picture(image, b"")
        # As with files: this one may be decoded only now.
        except Exception as error:
            raise DataError(f"the picture cannot be used: {error}") from error
    if image is None:
        raise DataError("expected a path, a Pillow image or an array, and there is None")
    array = np.asarray(image)
    is_shape = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3, 4))
    if array.dtype not in (np.uint8, np.uint16) or not is_shape or array.size == 0:
        raise DataError(
            "expected a path, a Pillow image or an array [H, W, 3] of uint8 or uint16, got "
            f"{type(image).__name__} {array.dtype} with the shape {list(array.shape)}"
        )
    return Picture(*_split(array))


def _picture(image: Image.Image, data: bytes) -> Picture:
    """Return what a Pillow image holds; `data` is its file, which it may hold more of."""
    exif = image.getexif()
    # Pillow and OpenCV turn a TIFF by themselves when they decode it.
    orientation = 1 if image.format == "TIFF" else exif.get(_ORIENTATION, 1)
    profile, dpi = image.info.get("icc_profile"), image.info.get("dpi")
    # Pillow makes up one dot per inch where a TIFF says nothing.
    if image.format == "TIFF" and _X_RESOLUTION not in image.tag_v2:
        dpi = None
    # Also where OpenCV decodes: it answers a truncated file by grey.
    image.load()
    deep = _deep_samples(image, data)
    if deep is None:
        image, profile = _in_known_mode(image, profile)
        deep = np.array(image)
        if image.mode in _DEEP_GREY:
            deep = deep.astype(np.int64).clip(0, 65535).astype(np.uint16)
    return _upright(Picture(*_split(deep)), orientation, exif, profile, dpi)


def _split(array: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    if array.ndim == 2:
        array = array[..., np.newaxis]
    if array.shape[2] in (2, 4):
        return np.ascontiguousarray(array[..., :-1]), np.ascontiguousarray(array[..., -1])
    return np.ascontiguousarray(array), None


def _upright(
    picture: Picture,
    orientation: int,
    exif: Image.Exif,
    profile: bytes | None,
    dpi: tuple[float, float] | None,
) -> Picture:
    samples, alpha = (
        None if array is None else np.ascontiguousarray(_turned(array, orientation))
        for array in (picture.samples, picture.alpha)
    )
    if dpi is not None:
        dpi = float(dpi[0]), float(dpi[1])
        if orientation >= 5:
            dpi = dpi[::-1]
        # Files also say 0 / 0, and numbers that no other format can hold.
        if not all(0 < value < _MOST_DPI for value in dpi):
            dpi = None
    return Picture(samples, alpha, Extras(_clean(exif), profile or None, dpi))


def _turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """Return an array [H, W, ...] as EXIF says that it is to be seen."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return array


def _clean(exif: Image.Exif) -> bytes | None:
    """Return the tags that also hold for an enlarged, upright picture."""
    from PIL import Image

    is_tiff = 0x0111 in exif or 0x0144 in exif  # where strips or tiles are
    kept = Image.Exif()
    for tag, value in exif.items():
        is_stored = tag in (_EXIF_IFD, _GPS_IFD, _ORIENTATION, *_WIDTHS, *_HEIGHTS)
        if not is_stored and (not is_tiff or tag in _DESCRIPTIVE) and _is_writable(tag, value):
            kept[tag] = _as_stored(tag, value)
    for folder in (_EXIF_IFD, _GPS_IFD):
        inside = {
            tag: value
            for tag, value in exif.get_ifd(folder).items()
            if tag not in (*_WIDTHS, *_HEIGHTS) and _is_writable(folder, {tag: value})
        }
        if inside:
            kept[folder] = inside
    return kept.tobytes() if kept else None


def _as_stored(tag: int, value: Any) -> Any:
    """Return a tag's value, of a text beyond ASCII its bytes: Pillow would write question marks."""
    if tag not in _DESCRIPTIVE or not isinstance(value, str) or value.isascii():
        return value
    try:
        # As Pillow reads them, whatever the file's encoding.
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return value.encode()


def _loaded(data: bytes) -> Image.Exif:
    """Return tags as Pillow writes them into a TIFF, where it takes them apart."""
    from PIL import Image

    exif = Image.Exif()
    exif.load(data)
    for tag, value in exif.items():
        exif[tag] = _as_stored(tag, value)
    return exif


def _is_writable(tag: int, value: Any) -> bool:
    """Tell whether Pillow can write a tag: cameras use types that it only reads."""
    from PIL import Image

    exif = Image.Exif()
    exif[tag] = value
    try:
        exif.tobytes()
    # Whatever the encoder makes of a strange value.
    except Exception:
        return False
    return True


def _deep_samples(image: Image.Image, data: bytes) -> np.ndarray | None:
    """Return uint16 samples [H, W] or [H, W, C], RGB, of what Pillow cuts to 8 bits, else None."""
    is_png = image.format == "PNG" and data[24:25] == b"\x10"  # bits per sample, in IHDR
    is_tiff = image.format == "TIFF" and set(image.tag_v2.get(258, ())) == {16}
    if not (is_png or is_tiff) or image.mode not in ("L", "LA", "RGB", "RGBA", *_DEEP_GREY):
        return None
    import cv2

    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or samples.shape[:2] != image.size[::-1]:
        return None
    if samples.ndim == 3:
        samples = samples[..., [2, 1, 0, 3][: samples.shape[2]]]
        # Both libraries make colours of grey with transparency: colour type 4 of PNG.
        if is_png and data[25:26] == b"\x04":
            samples = samples[..., [0, 3]]
    return samples


def _in_known_mode(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bytes | None]:
    """Return an image as L, LA, RGB, RGBA or grey of 16 bits, and the profile that holds for it."""
    if image.mode in _DEEP_GREY:
        return image, profile
    if image.mode == "F":
        raise ValueError("it holds floating-point samples, whose white level is unknown")
    if image.mode == "CMYK":
        return _from_cmyk(image, profile)
    has_alpha = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    if image.mode in ("1", "L", "LA", "La"):
        mode = "LA" if has_alpha else "L"
    else:
        mode = "RGBA" if has_alpha else "RGB"
    # It describes the file's L*a*b*, not the colours of a screen that these become.
    profile = None if image.mode == "LAB" else profile
    return image if image.mode == mode else image.convert(mode), profile


def _from_cmyk(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bytes | None]:
    """Return printing inks as colours of a screen, with the profile of those if they have one."""
    from PIL import ImageCms

    if profile is None:
        return image.convert("RGB"), None
    screen = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    try:
        inks = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, inks, screen, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):  # a profile that is damaged, or for something else
        return image.convert("RGB"), None
    return converted, screen.tobytes()


def _given(extras: Extras) -> dict[str, Any]:
    return {key: value for key, value in vars(extras).items() if value is not None}


def _write_deep_tiff(file: BinaryIO, array: np.ndarray, extras: Extras) -> None:
    """Write uint16 [H, W, C] with the tags of `extras` that say what the picture is."""
    import tifffile

    if array.shape[2] == 2:
        array = array[..., [0, 0, 0, 1]]  # Pillow does not read grey with transparency
    exif = _loaded(extras.exif or b"")
    with tempfile.TemporaryDirectory(prefix="ppzoo-") as folder:
        # tifffile asks a file for its name, which the temporary one that is given has not.
        scratch = Path(folder) / "picture.tif"
        tifffile.imwrite(
            scratch,
            array[..., 0] if array.shape[2] == 1 else array,
            photometric="rgb" if array.shape[2] > 2 else "minisblack",
            planarconfig=None if array.shape[2] == 1 else "contig",
            extrasamples=["unassalpha"] if array.shape[2] == 4 else None,
            compression="zlib",
            resolution=extras.dpi,
            resolutionunit="INCH" if extras.dpi else None,
            iccprofile=extras.icc_profile,
            software=False,
            metadata=None,
            extratags=[
                (tag, "s", None, value, True)
                for tag, value in sorted(exif.items())
                if tag in _DESCRIPTIVE and isinstance(value, (str, bytes))
            ],
        )
        with scratch.open("rb") as samples:
            shutil.copyfileobj(samples, file)
