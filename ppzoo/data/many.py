# SPDX-License-Identifier: Apache-2.0
"""The same work on many files: by several threads, with a bar, past errors if wanted."""

from __future__ import annotations

import concurrent.futures
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from ppzoo.data.folder import OnError
from ppzoo.errors import DataError

T = TypeVar("T")
R = TypeVar("R")


def for_each(
    work: Callable[[Path, T], R],
    items: Mapping[Path, T],
    label: str,
    *,
    jobs: int | None = None,
    on_error: OnError = "raise",
    problems: list[str],
    progress: bool = True,
) -> Iterator[R]:
    """Yield what `work` returns for each item, as it comes.

    Args:
        work: takes a key and its value; threads call it at the same time.
        items: what to work on.
        label: what the bar says.
        jobs: how many threads work, as many as there are processors by default.
        on_error: `raise` stops at the first `DataError`, `skip` goes on.
        problems: where `skip` puts the errors' sentences, sorted.
        progress: show a bar, if the error stream is a terminal.

    Raises:
        DataError: see `on_error`.
    """
    from tqdm import tqdm

    found = []
    with concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool:
        try:
            futures = [pool.submit(work, key, value) for key, value in items.items()]
            done = concurrent.futures.as_completed(futures)
            hidden = None if progress else True
            for future in tqdm(done, label, len(futures), unit="picture", disable=hidden):
                try:
                    yield future.result()
                except DataError as error:
                    if on_error == "raise":
                        raise
                    found.append(str(error))
        finally:
            # What has begun is finished; the rest is left to the next call.
            pool.shutdown(cancel_futures=True)
    problems += sorted(found)
