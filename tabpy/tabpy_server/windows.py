"""What Windows tells by functions of its own, where others have files or `os.sysconf`."""

import ctypes
import sys

DWORD, DWORDLONG = ctypes.c_uint32, ctypes.c_uint64


class MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of sysinfoapi.h, in bytes."""

    _fields_ = (
        ("length", DWORD),  # of this structure; to be set
        ("load", DWORD),  # percent in use
        ("physical", DWORDLONG),
        ("physical_free", DWORDLONG),
        ("page_file", DWORDLONG),
        ("page_file_free", DWORDLONG),
        ("virtual", DWORDLONG),
        ("virtual_free", DWORDLONG),
        ("extended_free", DWORDLONG),
    )


def physical_memory() -> int:
    """Return the bytes that this machine has; 0 if it doesn't say, or isn't Windows."""
    if sys.platform != "win32":
        return 0
    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    there = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.physical) if there else 0
