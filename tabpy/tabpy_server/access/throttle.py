"""Slowing down who guesses at a name's password from one address.

A name and an address are counted together. All of Tableau Cloud calls from a few addresses, so an
address alone would keep out whoever shares it, and a name alone would let strangers lock its owner
out. The table lies in memory that all web processes share, so that an attacker doesn't get each
one's patience in turn. They write without a lock: the worst of it is a failure not counted.
"""

import hashlib
import ipaddress
import mmap
import os
import struct
import time

SLOTS = 65536  # so many that invented names seldom push a real one's count out
SLOT = struct.Struct("<8sddd")  # key, failures (leaking away), when counted, when the next may try
FREE = 30.0  # failures without consequence: people mistype, and workbooks have old passwords
MOST = 60.0  # failures counted
FORGET = 30.0  # seconds until one failure is forgotten
PAUSE = 0.5  # seconds between tries: 7,200 an hour


class Throttle:
    """Counts failures by name and address. Make it before the web processes are forked."""

    def __init__(self) -> None:
        self._table = mmap.mmap(-1, SLOTS * SLOT.size)
        self._secret = os.urandom(16)

    def book(self, name: str, address: str) -> float:
        """Return the seconds that a try of `name` from `address` has to wait, and count it as a
        failure.

        It counts before it is verified, so that tries in several processes at once are no more
        guesses than one after the other: `refund` one that turns out right.
        """
        offset, key = self._place(name, address)
        now = time.monotonic()
        failures, reserved = self._read(offset, key, now)
        turn = now
        if failures > FREE - 1:  # a failure is forgotten when all of it has leaked away
            turn = max(now, reserved)
            reserved = turn + PAUSE
        SLOT.pack_into(self._table, offset, key, min(failures + 1, MOST), now, reserved)
        return turn - now

    def refund(self, name: str, address: str) -> None:
        """Take back one failure that was booked: the password was right."""
        offset, key = self._place(name, address)
        now = time.monotonic()
        failures, reserved = self._read(offset, key, now)
        if failures:  # else the place may be another one's by now
            SLOT.pack_into(self._table, offset, key, max(0.0, failures - 1), now, reserved)

    def _place(self, name: str, address: str) -> tuple[int, bytes]:
        counted = f"{network_of(address)} {name}".encode("utf-8", "surrogatepass")
        key = hashlib.blake2b(counted, key=self._secret, digest_size=8).digest()
        return int.from_bytes(key) % SLOTS * SLOT.size, key

    def _read(self, offset: int, key: bytes, now: float) -> tuple[float, float]:
        stored, failures, counted, reserved = SLOT.unpack_from(self._table, offset)
        if stored != key:
            return 0.0, 0.0
        return max(0.0, failures - (now - counted) / FORGET), reserved


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
