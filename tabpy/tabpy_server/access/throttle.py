"""Slowing down an address whose credentials fail again and again.

Only addresses are remembered, never names: a name's owner gets in from elsewhere whatever happens
here. The table lies in memory that all web processes share, so that an attacker doesn't get each
one's patience in turn. They write without a lock: the worst of it is a failure not counted.
"""

import hashlib
import ipaddress
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

    def book(self, address: str) -> float:
        """Return the seconds that a try from `address` has to wait, and count it as a failure.

        It counts before it is verified, so that many tries at once are no more guesses than one
        after the other: `refund` one that turns out right. One that would have to wait longer than
        `LAST_DELAY` isn't to be made, and doesn't count.
        """
        offset, key = self._place(address)
        now = time.monotonic()
        failures, reserved = self._read(offset, key, now)
        turn = now
        if failures > FREE - 1:  # a failure is forgotten when all of it has leaked away
            pause = min(FIRST_DELAY * 2 ** (failures - FREE), LAST_DELAY)
            turn = reserved = max(now, reserved) + pause
        if turn - now <= LAST_DELAY:
            SLOT.pack_into(self._table, offset, key, failures + 1, now, reserved)
        return turn - now

    def refund(self, address: str) -> None:
        """Take back one failure that was booked: the credentials were right."""
        offset, key = self._place(address)
        now = time.monotonic()
        failures, reserved = self._read(offset, key, now)
        if failures:  # else the place may be another address's by now
            SLOT.pack_into(self._table, offset, key, max(0.0, failures - 1), now, reserved)

    def _place(self, address: str) -> tuple[int, bytes]:
        network = network_of(address).encode()
        key = hashlib.blake2b(network, key=self._secret, digest_size=8).digest()
        return int.from_bytes(key) % SLOTS * SLOT.size, key

    def _read(self, offset: int, key: bytes, now: float) -> tuple[float, float]:
        stored, failures, counted, reserved = SLOT.unpack_from(self._table, offset)
        if stored != key:
            return 0.0, 0.0
        return min(max(0.0, failures - (now - counted) / FORGET), MOST), reserved


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv4 address, also one that is written as IPv6, or an
    IPv6 network of 64 bits: within it, each machine takes as many as it likes (RFC 4862)."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:  # a socket file's caller has none
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), 64), strict=False))
