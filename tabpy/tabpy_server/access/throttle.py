"""Slowing down an address whose credentials fail again and again.

Only addresses are remembered, never names: a name's owner gets in from elsewhere whatever happens
here. The table lies in memory that all web processes share, so that an attacker doesn't get each
one's patience in turn. They write without a lock: the worst of it is a failure not counted.
"""

import hashlib
import mmap
import os
import struct
import time

SLOTS = 4096
SLOT = struct.Struct("<8sddd")  # key, failures (leaking away), when counted, when the next may try
FREE = 5.0  # failures without consequence: people mistype
MOST = 20.0  # failures counted
FORGET = 30.0  # seconds until one failure is forgotten
FIRST_DELAY, LAST_DELAY = 0.5, 15.0  # seconds between tries, doubling with each failure


class Throttle:
    """Counts failures by address. Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._table = mmap.mmap(-1, SLOTS * SLOT.size)
        self._secret = os.urandom(16)

    def delay(self, address: str) -> float:
        """Return the seconds that the next try from `address` has to wait, and book that turn."""
        offset, key = self._place(address)
        now = time.monotonic()
        failures, reserved = self._read(offset, key, now)
        if failures < FREE:
            return 0.0
        turn = max(now, reserved) + min(FIRST_DELAY * 2 ** (failures - FREE), LAST_DELAY)
        if turn - now <= LAST_DELAY:  # a try that is refused takes no place
            SLOT.pack_into(self._table, offset, key, failures, now, turn)
        return turn - now

    def failed(self, address: str) -> None:
        """Count that credentials from `address` were wrong."""
        offset, key = self._place(address)
        now = time.monotonic()
        failures, reserved = self._read(offset, key, now)
        SLOT.pack_into(self._table, offset, key, failures + 1, now, reserved)

    def _place(self, address: str) -> tuple[int, bytes]:
        key = hashlib.blake2b(address.encode(), key=self._secret, digest_size=8).digest()
        return int.from_bytes(key) % SLOTS * SLOT.size, key

    def _read(self, offset: int, key: bytes, now: float) -> tuple[float, float]:
        stored, failures, counted, reserved = SLOT.unpack_from(self._table, offset)
        if stored != key:
            return 0.0, 0.0
        return min(max(0.0, failures - (now - counted) / FORGET), MOST), reserved
