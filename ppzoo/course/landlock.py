# SPDX-License-Identifier: Apache-2.0
"""Linux's Landlock: a process gives up access to files, network and other processes for good.

No privileges are needed; children inherit it. Numbers from the kernel's uapi/linux/landlock.h.
Kernels from 5.13 on have it, unless it is turned off; each version adds what can be given up.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
READ = EXECUTE | READ_FILE | READ_DIR
LIST = READ_DIR
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST = (1 << 13) - 1  # all rights that version 1 knows
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | _IOCTL_DEV
_TCP = 1 | 2  # bind, connect
_SCOPE = 1 | 2  # abstract sockets, signals
EVERYTHING = (1 << 16) - 1


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scope", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return which version of Landlock this system has, 0 for none."""
    if sys.platform != "linux":
        return 0
    return max(0, _libc().syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))


def confine(allowed: Mapping[Path, int]) -> int:
    """Give up all files but some, TCP, and signals to others, for this thread and its children.

    To be called before other threads are started, which it would not concern.

    Args:
        allowed: rights (`READ`, `LIST`, `EVERYTHING`) in folders with all that is in them. Those
            that do not exist are passed over.

    Returns:
        The version of Landlock; 0 where the system has none, and nothing was given up.

    Raises:
        OSError: the system refuses.
    """
    known = version()
    if not known:
        return 0
    libc = _libc()
    files = _FIRST
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV)):
        files |= right if known >= since else 0
    rules = _Ruleset(files, _TCP if known >= 4 else 0, _SCOPE if known >= 6 else 0)
    # Older kernels take a shorter structure, or zeros in what they do not know.
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), _size(known), 0))
    try:
        for path, rights in allowed.items():
            _allow(ruleset, path, rights & files)
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return known


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _OF_FILES
        rule = _PathBeneath(rights, folder)
        _checked(_libc().syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(folder)


def _size(known: int) -> int:
    return 8 if known < 4 else 16 if known < 6 else 24


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
