# SPDX-License-Identifier: Apache-2.0
"""Linux's seccomp: a process gives up calls to the system for good, compiled code included.

No privileges are needed. What is given up: new processes and programs, signals to others, looking
into others and slowing them down, sockets, memory and queues that no limit counts, and what
Landlock lets pass: modes, owners, times and attributes of files, on old systems their lengths.
Numbers from the kernel's uapi headers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS = 38
_PR_GET_SECCOMP = 21
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _REFUSE, _END = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BITS, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # places in struct seccomp_data
_CLONE_THREAD = 0x10000
_X32 = 0x40000000

# The same on both architectures: pidfd_send_signal, io_uring_setup, open_tree, move_mount, fsopen,
# pidfd_open, pidfd_getfd, process_madvise, memfd_secret, process_mrelease, setxattrat,
# removexattrat, file_setattr.
_REFUSED_ON_BOTH = (424, 425, 428, 429, 430, 434, 438, 440, 447, 448, 463, 466, 469)
_FCHMODAT2 = 452
# Have the system signal another process when a file is ready: F_SETOWN, F_SETSIG, F_SETOWN_EX of
# fcntl; FIOSETOWN, SIOCSPGRP of ioctl, and TIOCSTI, which types into a terminal.
_OWNERS_BY_FCNTL = (8, 10, 15)
_OWNERS_BY_IOCTL = (0x8901, 0x8902, 0x5412)
# Taken for those of an old system: what they are asked is not in registers, and cannot be seen.
_CLONE3, _OPENAT2 = 435, 437
# Of open: to empty a file takes no right to write it where Landlock is of version 1 or 2.
_ACCESS, _TO_READ, _FOR_NOTHING, _EMPTY = 3, 0, 3, 0x200
# Of prctl: to be ended with its parent, and to be looked into by others of the same user.
_PDEATHSIG, _DUMPABLE = 1, 4
# By machine: the audit number of its architecture, then numbers of calls. `refused`: fork, vfork,
# execve, execveat, tkill, rt_sigqueueinfo, rt_tgsigqueueinfo, ptrace, process_vm_readv and
# _writev, socket, connect, memfd_create, mq_open, bpf, perf_event_open, userfaultfd, add_key,
# request_key, keyctl, mount, unshare, setns, setpriority, ioprio_set; inotify_add_watch,
# fanotify_mark; sendmsg and sendmmsg, which pass open files on; chown, fchown, lchown, fchownat,
# setxattr, removexattr and their kin, truncate; shared memory, semaphores and queues of System V.
# `attributes`: chmod, fchmod, fchmodat, utime and its kin. `opening`: open, openat, each with the
# place of its flags. `own`: kill, tgkill. `own_or_zero`, where 0 means oneself (to kill, it is a
# whole group): prlimit64. `scheduling`: sched_setparam, sched_setscheduler, sched_setaffinity,
# sched_setattr.
_MACHINES: dict[str, dict[str, tuple[int, ...]]] = {
    "x86_64": {
        "architecture": (0xC000003E,),
        "seccomp": (317,),
        "clone": (56,),
        "fcntl": (72,),
        "ioctl": (16,),
        "own": (62, 234),
        "own_or_zero": (302,),
        "scheduling": (142, 144, 203, 314),
        "prctl": (157,),
        "opening": (2, 1, 257, 2),
        "attributes": (90, 91, 268, 132, 235, 261, 280),
        "refused": (57, 58, 59, 322, 200, 129, 297, 101, 310, 311, 41, 42, 319, 240, 321, 298, 323,
                    248, 249, 250, 165, 272, 308, 141, 251, 254, 301,
                    46, 307, 92, 93, 94, 260, 188, 189, 190, 197, 198, 199, 76,
                    29, 30, 31, 64, 65, 66, 67, 68, 69, 70, 71, 220),
    },
    "aarch64": {
        "architecture": (0xC00000B7,),
        "seccomp": (277,),
        "clone": (220,),
        "fcntl": (25,),
        "ioctl": (29,),
        "own": (129, 131),
        "own_or_zero": (261,),
        "scheduling": (118, 119, 122, 274),
        "prctl": (167,),
        "opening": (56, 2),
        "attributes": (52, 53, 88),
        "refused": (221, 281, 130, 138, 240, 117, 270, 271, 198, 203, 279, 180, 280, 241, 282, 217,
                    218, 219, 40, 97, 268, 140, 30, 27, 263,
                    211, 269, 55, 54, 5, 6, 7, 14, 15, 16, 45,
                    186, 187, 188, 189, 190, 191, 192, 193, 194, 195, 196, 197),
    },
}  # fmt: skip


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def available() -> bool:
    """Tell whether this system has seccomp, on a machine whose numbers are known here."""
    if sys.platform != "linux" or platform.machine() not in _MACHINES or sys.maxsize < 2**32:
        return False
    return ctypes.CDLL(None, use_errno=True).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) >= 0


def confine() -> bool:
    """Give up processes, sockets, signals and more, for all threads and for good.

    Sockets that are there already go on working; new threads can be started.

    Returns:
        Whether that was done; False where `available` says so, and nothing was given up.

    Raises:
        OSError: the system refuses.
    """
    if not available():
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    code = _filter(platform.machine(), os.getpid())
    program = _Program(len(code) // 8, code)
    call = _MACHINES[platform.machine()]["seccomp"][0]
    if (
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
        or libc.syscall(call, _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)) != 0
    ):
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")
    return True


def _filter(machine: str, pid: int) -> bytes:
    """Return the filter as instructions of 8 bytes: code, jump if true, if false, operand."""
    numbers = _MACHINES[machine]
    refuse = _step(_RETURN, _REFUSE | errno.EPERM)
    allow, done = _step(_RETURN, _ALLOW), _step(_RETURN, _REFUSE)
    steps = [
        _step(_LOAD, _ARCHITECTURE),
        _step(_EQUAL, numbers["architecture"][0], 1, 0),
        _step(_RETURN, _END),
        _step(_LOAD, _NUMBER),
        _step(_AT_LEAST, _X32, 0, 1),
        refuse,
        # On an old system the C library makes threads by clone, whose flags can be seen.
        _step(_EQUAL, _CLONE3, 1, 0),
        _step(_EQUAL, _OPENAT2, 0, 1),
        _step(_RETURN, _REFUSE | errno.ENOSYS),
        _step(_EQUAL, numbers["clone"][0], 0, 4),
        _step(_LOAD, _ARGUMENTS),
        _step(_HAS_BITS, _CLONE_THREAD, 1, 0),
        refuse,
        allow,
    ]
    for number in (*numbers["refused"], *_REFUSED_ON_BOTH):
        steps += [_step(_EQUAL, number, 0, 1), refuse]
    for number in numbers["own"]:
        steps += _where(number, 0, (pid,), allow, refuse)
    for number in numbers["own_or_zero"]:
        steps += _where(number, 0, (pid, 0), allow, refuse)
    for number in numbers["scheduling"]:
        # Libraries set their new threads, whose numbers nobody knows here, to what they are
        # already, and end the process where that fails: it is taken for done.
        steps += _where(number, 0, (pid, 0), allow, done)
    for number in (*numbers["attributes"], _FCHMODAT2):
        # Libraries that copy or save files set these as well, and need nothing of it.
        steps += [_step(_EQUAL, number, 0, 1), done]
    places = numbers["opening"]
    for number, place in zip(places[::2], places[1::2], strict=True):
        values = (_EMPTY | _TO_READ, _EMPTY | _FOR_NOTHING)
        steps += _where(number, place, values, refuse, allow, _EMPTY | _ACCESS)
    steps += _where(numbers["prctl"][0], 0, (_PDEATHSIG, _DUMPABLE), refuse, allow)
    steps += _where(numbers["fcntl"][0], 1, _OWNERS_BY_FCNTL, refuse, allow)
    steps += _where(numbers["ioctl"][0], 1, _OWNERS_BY_IOCTL, refuse, allow)
    return b"".join([*steps, allow])


def _where(
    number: int,
    argument: int,
    values: tuple[int, ...],
    then: bytes,
    otherwise: bytes,
    bits: int = 0xFFFFFFFF,
) -> list[bytes]:
    """Return what ends a call by whether some bits of an argument are one of some values."""
    tests = [_step(_EQUAL, value, len(values) - place, 0) for place, value in enumerate(values)]
    load = [_step(_LOAD, _ARGUMENTS + 8 * argument), _step(_AND, bits)]
    inner = [*load, *tests, otherwise, then]
    return [_step(_EQUAL, number, 0, len(inner)), *inner]


def _step(code: int, operand: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, operand)
