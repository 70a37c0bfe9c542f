# SPDX-License-Identifier: Apache-2.0
"""Files from the network: resumed where they broke off, verified, and moved into place when whole.

A file on its way is `name.part` beside its place; `name.part.json` says what it is a part of, and
`.name.lock` keeps a second process waiting instead of writing into the same part.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ppzoo.atomic import sync_folder
from ppzoo.errors import DataError, UserError

_LOG = logging.getLogger(__name__)

_TIMEOUTS = (10.0, 30.0)  # seconds until a connection stands, and between two pieces of data
_ATTEMPTS = 4  # without any progress, per address
_PAUSE = 1.0  # seconds before the second attempt, twice as long before each further one
_CHUNK = 1 << 16  # bytes; what is lost where a connection breaks
# Python refuses to read numbers of thousands of digits.
_LENGTH = re.compile(r"\d{1,40}", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,40})-(\d{1,40})/(\d{1,40})", re.ASCII)


def cache_dir() -> Path:
    """Return the folder for fetched files: PPZOO_HOME if it is set, else ~/.cache/ppzoo.

    Raises:
        UserError: neither PPZOO_HOME nor a home folder is known.
    """
    chosen = os.environ.get("PPZOO_HOME")
    try:
        return Path(chosen or "~/.cache/ppzoo").expanduser()
    except RuntimeError:
        raise UserError(
            "no home folder is known: set PPZOO_HOME to a folder for downloaded files"
        ) from None


def download(
    url: str,
    path: str | os.PathLike[str],
    sha256: str | None = None,
    mirrors: Sequence[str] = (),
    progress: bool = True,
) -> Path:
    """Fetch a file if it is not there yet, and return its path.

    What an interrupted call has fetched is continued by the next one, if the server still has the
    same file. Where several processes fetch one file, one does it and the others wait. The folder
    is made if it is missing.

    Args:
        url: an http or https address.
        path: the file to make. One that exists is checked against `sha256` and never replaced.
        sha256: the file's SHA-256, hexadecimal; without it, the length alone is checked.
        mirrors: further addresses of the same file, tried in turn where one fails.
        progress: show a bar, if the error stream is a terminal.

    Raises:
        UserError: no address gives the file, or it cannot be written; names the addresses, the
            reasons and the place where a file fetched by other means belongs.
        DataError: the file at `path`, or the one fetched, is not the one that `sha256` describes.
    """
    path, addresses = Path(path), [url, *mirrors]
    for address in addresses:
        _check_address(address)
    if _is_there(path, sha256):
        return path
    with _writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        if not _is_there(path, sha256):  # another process may just have fetched it
            _fetch_from_any(addresses, path, sha256, progress)
    return path


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, hexadecimal.

    Raises:
        DataError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise DataError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    return digest.hexdigest()


class _FailedError(Exception):
    """An address that does not give the file; the text says why."""


class _OtherFileError(_FailedError):
    """An address that gives another file than the one described."""


class _BrokenOffError(Exception):
    """A transfer that may succeed when it is tried again; the text says what happened."""


class _UnreachableError(_BrokenOffError):
    """No connection could be made."""


@dataclasses.dataclass(frozen=True)
class _Origin:
    """What a part is a part of: the address, and how the server tells versions apart."""

    url: str
    size: int | None
    etag: str | None
    modified: str | None

    @classmethod
    def of(cls, url: str, response: Any, size: int | None) -> _Origin:
        headers = response.headers
        return cls(url, size, headers.get("ETag"), headers.get("Last-Modified"))

    @classmethod
    def noted(cls, text: str) -> _Origin:
        """Return what a note says.

        Raises:
            ValueError: it is no note, or a damaged one.
        """
        try:
            origin = cls(**json.loads(text))
        except (TypeError, RecursionError) as error:
            raise ValueError("no note") from error
        texts = (origin.etag, origin.modified)
        if not (isinstance(origin.url, str) and type(origin.size) in (int, type(None))):
            raise ValueError("no note")
        if not all(isinstance(text, (str, type(None))) for text in texts):
            raise ValueError("no note")
        return origin

    def is_known(self) -> bool:
        """Tell whether a later answer can be recognised as the same file."""
        return self.size is not None and bool(self.etag or self.modified)


def _check_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        usable = False
    if not usable:
        raise UserError(f"{url!r} is not an http or https address: check it")


def _is_there(path: Path, sha256: str | None) -> bool:
    if path.is_dir():
        raise UserError(f"cannot download to {path}: it is a folder, name a file in it")
    if not path.is_file():
        return False
    if sha256 is not None and (found := file_sha256(path)) != sha256.lower():
        raise DataError(
            f"{path} is not the file expected (its SHA-256 is {found}, not {sha256.lower()}): move "
            "it away, and it is downloaded again"
        )
    return True


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    with _writing(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            _LOG.warning("waiting for another process that downloads %s", path)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()
        # Only where the file is complete: whoever waits finds it, in whatever lock. Removing the
        # lock earlier would let a third process lock another file of this name.
        if path.is_file():
            with contextlib.suppress(OSError):
                os.unlink(lock.lock_file)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}; free some space or choose another folder (PPZOO_HOME "
            "is that of downloaded files)"
        ) from error


def _fetch_from_any(
    addresses: Sequence[str], path: Path, sha256: str | None, progress: bool
) -> None:
    failures, kind = [], UserError
    for address in addresses:
        try:
            _fetch(address, path, sha256, progress)
            return
        except _FailedError as error:
            failures.append(f"{address} {error}")
            kind = DataError if isinstance(error, _OtherFileError) else kind
    raise kind(
        f"cannot download {path.name}: {', '.join(failures)}; try again later, or fetch the file "
        f"by other means and put it to {path}"
    )


def _fetch(url: str, path: Path, sha256: str | None, progress: bool) -> None:
    part = path.with_name(f"{path.name}.part")
    begun = _size(part) > 0
    _transfer(url, part, sha256 is not None, progress)
    if sha256 is not None and begun and file_sha256(part) != sha256.lower():
        # What came earlier, and perhaps from elsewhere, may be at fault.
        _discard(part)
        _transfer(url, part, True, progress)
    if sha256 is not None and (found := file_sha256(part)) != sha256.lower():
        _discard(part)
        raise _OtherFileError(f"gives another file (SHA-256 {found}, not {sha256.lower()})")
    with _writing(path):
        os.replace(part, path)
        sync_folder(path.parent)
    _discard(part)


def _transfer(url: str, part: Path, verified: bool, progress: bool) -> None:
    """Complete a part from one address.

    Args:
        url: the address.
        part: the part's file, which may hold the beginning.
        verified: the whole will be checked, so a beginning from another address may be used.
        progress: show a bar.
    """
    first = furthest = _size(part)
    failed = 0
    while True:
        try:
            _request(url, part, verified, progress)
            return
        except _BrokenOffError as error:
            failed = 1 if _size(part) > furthest else failed + 1
            furthest = max(furthest, _size(part))
            unreachable = isinstance(error, _UnreachableError) and furthest == first
            if failed >= _ATTEMPTS or unreachable:
                raise _FailedError(str(error)) from error
            time.sleep(_PAUSE * 2 ** (failed - 1))


def _request(url: str, part: Path, verified: bool, progress: bool) -> None:
    """Ask once for what is missing, and receive it."""
    import requests

    known, start = _beginning(url, part, verified)
    # Compressed on the way, a file's length and ranges would be those of something else.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with _network(part):
        response = requests.get(url, headers=headers, stream=True, timeout=_TIMEOUTS)
    with response:
        _check_way(response)
        _check_answer(response, part, bool(start))
        if known is not None and start and not _continues(response, url, known, start):
            start = 0
        if start or response.status_code == 200:
            _receive(url, response, part, start, progress)
            return
    _discard(part)  # the server has another file by now
    _request(url, part, verified, progress)


@contextlib.contextmanager
def _network(part: Path) -> Iterator[None]:
    from requests import exceptions

    try:
        yield
    except exceptions.SSLError as error:
        raise _FailedError(f"has no valid certificate ({_cause(error)})") from error
    except exceptions.ProxyError as error:
        raise _UnreachableError(
            "cannot be reached through the proxy that the environment variables HTTP_PROXY and "
            f"HTTPS_PROXY name ({_cause(error)})"
        ) from error
    except exceptions.ConnectTimeout as error:
        raise _UnreachableError("cannot be reached (no network? no answer)") from error
    except exceptions.Timeout as error:
        raise _BrokenOffError(f"sends nothing for {_TIMEOUTS[1]:g} seconds") from error
    except exceptions.ChunkedEncodingError as error:
        raise _BrokenOffError(f"breaks off after {_size(part)} bytes") from error
    except exceptions.ConnectionError as error:
        # So is a pause in the middle that is too long: what has arrived decides.
        raise _UnreachableError(f"cannot be reached (no network? {_cause(error)})") from error
    # Addresses that make no sense, of proxies and redirections, leave `requests` as other errors.
    except (exceptions.RequestException, ValueError) as error:
        raise _FailedError(f"cannot be fetched ({_cause(error)})") from error


def _beginning(url: str, part: Path, verified: bool) -> tuple[_Origin | None, int]:
    """Return what the part is a part of, and how much of it can be kept."""
    try:
        known = _Origin.noted(_note(part).read_text("utf-8"))
    except (OSError, ValueError):
        return None, 0
    usable = known.size is not None and (verified or (known.url == url and known.is_known()))
    if not usable:
        return None, 0
    # At least one byte is asked for: a server answers a range of none with an error.
    return known, max(0, min(_size(part), known.size - 1))


def _check_way(response: Any) -> None:
    """Refuse to be led from where nobody on the way can change the file to where everybody can."""
    schemes = [urlsplit(hop.url).scheme for hop in (*response.history, response)]
    if ("https", "http") in itertools.pairwise(schemes):
        raise _FailedError("redirects from https to http, where a file can be changed on its way")


def _check_answer(response: Any, part: Path, ranged: bool) -> None:
    status = response.status_code
    answer = f"answers {status} {_printable(response.reason or '')}".rstrip()
    if status in (408, 425, 429) or status >= 500:
        raise _BrokenOffError(answer)
    if status != 200 and not (ranged and status in (206, 416)):
        raise _FailedError(answer)
    kind = response.headers.get("Content-Type", "")
    if status != 416 and kind.startswith("text/html") and not part.stem.endswith((".html", ".htm")):
        raise _FailedError("answers with a web page: does the network ask for a login?")


def _continues(response: Any, url: str, known: _Origin, start: int) -> bool:
    """Tell whether an answer is the rest of the file that a part was begun from."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if response.status_code != 206 or match is None:
        return False
    first, _, total = map(int, match.groups())
    if (first, total) != (start, known.size):
        return False
    return known.url != url or _Origin.of(url, response, total) == known


def _receive(url: str, response: Any, part: Path, start: int, progress: bool) -> None:
    from tqdm import tqdm

    length = response.headers.get("Content-Length", "")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    size = start + int(length) if _LENGTH.fullmatch(length) and not encoded else None
    _check_space(part, start, size)
    with _kept_if_of_use(part, size), _writing(part):
        if start == 0:
            _discard(part)
            note = dataclasses.asdict(_Origin.of(url, response, size))
            _note(part).write_text(json.dumps(note), "utf-8")
        with (
            part.open("r+b" if start else "wb") as file,
            tqdm(
                desc=part.stem,
                total=size,
                initial=start,
                unit="B",
                unit_scale=True,
                unit_divisor=1024,
                # None leaves the bar out where the error stream is no terminal.
                disable=None if progress else True,
            ) as bar,
        ):
            file.seek(start)
            file.truncate()
            for chunk in _chunks(response, part):
                file.write(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())
    if size is not None and _size(part) != size:
        raise _BrokenOffError(f"breaks off after {_size(part)} of {size} bytes")


@contextlib.contextmanager
def _kept_if_of_use(part: Path, size: int | None) -> Iterator[None]:
    """Leave no part that cannot be continued; of an endless one, the disk would stay full."""
    try:
        yield
    except (UserError, _BrokenOffError, _FailedError):
        if size is None:
            _discard(part)
        raise


def _chunks(response: Any, part: Path) -> Iterator[bytes]:
    with _network(part):
        yield from response.iter_content(_CHUNK)


def _check_space(part: Path, start: int, size: int | None) -> None:
    with _writing(part):
        free = shutil.disk_usage(part.parent).free
    if size is not None and size - start > free:
        raise UserError(
            f"cannot download {part.stem}: {_megabytes(size - start)} are to come and the disk of "
            f"{part.parent} has {_megabytes(free)} left; free some space or choose another folder "
            "(PPZOO_HOME is that of downloaded files)"
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _discard(part: Path) -> None:
    for path in (part, _note(part)):
        path.unlink(missing_ok=True)


def _cause(error: BaseException) -> str:
    """Return the innermost reason of an error of `requests`, which wraps those of three layers."""
    inner: Any = error
    while inner is not None:
        reason, inner = inner, getattr(inner, "reason", None)
        if not isinstance(inner, BaseException):
            wrapped = [part for part in reason.args if isinstance(part, BaseException)]
            inner = wrapped[0] if wrapped else getattr(reason, "original_error", None)
    return _printable(str(reason).rpartition(": ")[2]) or type(reason).__name__


def _printable(text: str) -> str:
    """Return what a server says so that it cannot act on a terminal."""
    return "".join(c if c.isprintable() else "?" for c in text[:200])
