# SPDX-License-Identifier: Apache-2.0
"""What code does besides computing: files it opens, programs it starts, modules it imports.

Python tells its audit hooks of all of that, whoever asks for it, so that no trick of a hostile file
goes unseen. A hook cannot be taken out again: this one is put in once, and idle outside `watched`.
"""

import codecs
import contextlib
import os
import sys
import threading
import tracemalloc

# Looked for at their first use, which may be in a file that is watched.
for codec in ("utf-8-sig", "utf-16", "utf-32", "cp437", "latin-1"):
    codecs.lookup(codec)

_seen = None
_thread = None
# What tells nothing about a file's powers.
_IDLE = ("object.__getattr__", "sys._getframe", "sys._current_frames", "gc.", "cpython.")
# A codec that is needed for the first time.
_CODECS = "encodings"


def _hook(event, arguments):
    if _seen is not None and threading.get_ident() == _thread and not event.startswith(_IDLE):
        _seen.append((event, arguments))


sys.addaudithook(_hook)


@contextlib.contextmanager
def watched(*read):
    """Give the list of what has been done in the block; reading the files `read` is not in it."""
    global _seen, _thread
    allowed = {os.fspath(path) for path in read}
    seen, found = [], []
    _seen, _thread = seen, threading.get_ident()
    try:
        yield found
    finally:
        _seen = None
        found += [
            f"{event} {arguments!r}"[:300]
            for event, arguments in seen
            if not _is_harmless(event, arguments, allowed)
        ]


def _is_harmless(event, arguments, allowed):
    if event == "import":
        return str(arguments[0]).startswith(_CODECS)
    if event != "open":
        return False
    path, _, flags = arguments
    if isinstance(path, str) and f"{os.sep}{_CODECS}{os.sep}" in path:
        return not flags & (os.O_WRONLY | os.O_RDWR)
    if isinstance(path, (str, os.PathLike)) and os.fspath(path) in allowed:
        return not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    return False


@contextlib.contextmanager
def memory_peak():
    """Give a list that holds, after the block, the most memory that Python took in it, in bytes."""
    peak = []
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    try:
        yield peak
    finally:
        peak.append(tracemalloc.get_traced_memory()[1] - before)
        if started:
            tracemalloc.stop()
