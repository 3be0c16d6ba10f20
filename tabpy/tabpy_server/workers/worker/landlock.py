"""Landlock: which files a process may touch, and whom it may signal.

A process restricts itself and all that it starts, for good; it needs no privilege. Numbers are
those of linux/landlock.h. What each version ("ABI") of the kernel's knows:
https://docs.kernel.org/userspace-api/landlock.html
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass

# System calls, of the same number on every machine: asm-generic/unistd.h.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
GET_VERSION = 1  # LANDLOCK_CREATE_RULESET_VERSION
PATH_BENEATH = 1  # LANDLOCK_RULE_PATH_BENEATH

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_FILE, MAKE_CHAR, MAKE_REG, MAKE_BLOCK = 1 << 5, 1 << 6, 1 << 8, 1 << 11
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV  # the others are of folders
# How many of the rights to files each ABI knows, beginning with bit 0.
RIGHTS_KNOWN = ((1, 13), (2, 14), (3, 15), (5, 16))
BIND_TCP, BIND_TCP_SINCE = 1 << 0, 4
SCOPES, SCOPES_SINCE = 1 << 0 | 1 << 1, 6  # abstract Unix sockets, signals

READING = EXECUTE | READ_FILE | READ_DIR
LISTING = READ_DIR
USING = READ_FILE | WRITE_FILE  # a device such as /dev/null
SHARING = USING | TRUNCATE | MAKE_REG | REMOVE_FILE  # files whose names one has to know
DRIVING = ((1 << 16) - 1) & ~(MAKE_CHAR | MAKE_BLOCK)  # all, ioctl on devices included
WRITING = DRIVING & ~IOCTL_DEV


@dataclass(frozen=True)
class Rule:
    """What may be done with files, and with everything in folders."""

    paths: Iterable[str]
    rights: int


@dataclass(frozen=True)
class Allowed:
    """A file or folder that is open, as `descriptor`, and the `rights` to it."""

    descriptor: int
    rights: int


def open_all(rules: Iterable[Rule]) -> list[Allowed]:
    """Open what rules name and what is there, for `restrict`; it takes longer than the rest."""
    found = []
    for rule in rules:
        for path in rule.paths:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except (FileNotFoundError, PermissionError, NotADirectoryError):
                continue
            is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            rights = rule.rights if is_folder else rule.rights & OF_FILES
            found.append(Allowed(descriptor, rights))
    return found


def close_all(allowed: Iterable[Allowed]) -> None:
    """Close what `open_all` has opened."""
    for each in allowed:
        os.close(each.descriptor)


def abi() -> int:
    """Return the version of this kernel's Landlock; 0 where there is none, or it is off."""
    return max(0, int(_libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), GET_VERSION)))


def restrict(allowed: Iterable[Allowed], version: int) -> None:
    """Leave this process nothing but what is `allowed`. Raises OSError.

    `version`: what `abi` returned. Below 6, signals aren't restricted; below 4, nor are TCP ports;
    `no_new_privs` has to be set.
    """
    handled = (1 << max(bits for since, bits in RIGHTS_KNOWN if since <= version)) - 1
    attributes = struct.pack("Q", handled)
    if version >= BIND_TCP_SINCE:
        attributes += struct.pack("Q", BIND_TCP)
    if version >= SCOPES_SINCE:
        attributes += struct.pack("Q", SCOPES)
    ruleset = _call(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    try:
        for each in allowed:
            if rights := each.rights & handled:
                beneath = struct.pack("=Qi", rights, each.descriptor)
                _call(ADD_RULE, ruleset, PATH_BENEATH, beneath, 0)
        _call(RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


_libc = ctypes.CDLL(None, use_errno=True)
