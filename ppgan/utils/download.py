# SPDX-License-Identifier: Apache-2.0
"""PaddleGAN's downloads, into ppzoo's cache folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ppzoo.download import cache_dir, download
from ppzoo.errors import DataError
from ppzoo.weights.manifest import BASE_URL, OFFICIAL, find_weights

_BY_PATH = {file.path: file.name for file in OFFICIAL.values()}


def get_path_from_url(url: str, md5sum: str | None = None, check_exist: bool = True) -> str:
    """Fetch a file if it is not there yet, and return its path.

    PaddleGAN's official weights are kept and checked as everywhere in ppzoo. Archives are not
    unpacked: `ppzoo data prepare` does that for datasets.

    Args:
        url: its address.
        md5sum: what its MD5 must be.
        check_exist: accepted as PaddleGAN's; a whole file is never fetched again.

    Raises:
        UserError: it cannot be had.
        DataError: it is another file.
    """
    name = _BY_PATH.get(url.removeprefix(BASE_URL))
    if name is not None:
        path = find_weights(name)
    else:
        path = download(url, cache_dir() / "files" / Path(url.partition("?")[0]).name)
    if md5sum is not None and hashlib.md5(path.read_bytes()).hexdigest() != md5sum:
        raise DataError(f"{path} is not the file with the MD5 {md5sum}: remove it and try again")
    return str(path)
