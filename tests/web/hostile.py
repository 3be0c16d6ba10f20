"""What a client may write into a header, and shouldn't."""

import random

NASTY = [
    "",
    " ",
    "\t",
    ",",
    ";",
    ":",
    "*",
    '"',
    "[",
    "]",
    "[]",
    "[::1",
    "[v1.x]",
    "\\",
    "%",
    "%00",
    "%ff",
    "://",
    "http://[",
    "http://]",
    "http://[::1",
    "http://x:abc",
    "//",
    "null",
    "x:abc",
    "x:99999",
    "x:" + "9" * 5000,
    "x:80:80",
    "-1",
    "+5",
    "0x10",
    "1e3",
    "1_000",
    "5, 6",
    "00",
    "9" * 18,
    "9" * 19,
    "9" * 4300,
    "9" * 5000,
    "0" * 5000,
    "\xb2",
    "\xa0",
    "\xff" * 300,
    "\xbd",
    "fe80::1%\xff",
    "1.2.3.4, \xff",
    "W/",
    'W/"',
    '"' * 999,
    "W/*",
    "bytes=" + "9" * 5000 + "-",
    "bytes=--1",
    "gzip, br",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary="\xff',
    "multipart/form-data; boundary=" + "x" * 500,
    "multipart/form-data; boundary*=utf-8''%ff%",
    "Basic \xff",
    "en;q=nan",
    "en;q=1e999, -",
    "Sun, 99 Foo 9999999999 99:99:99 +9999",
]
ALPHABET = 'ab01:/[]@%?#&=,;"\\*+-_.~ \t\xa0\xad\xb2\xbd\xe4\xff'


def header_values(count: int, seed: int = 7) -> list[str]:
    """Return the nasty ones and `count` random ones, the same ones every time.

    All of them go through tornado: no control character, and no blank at either end.
    """
    dice = random.Random(seed)
    made = ("".join(dice.choices(ALPHABET, k=dice.randrange(1, 30))) for _ in range(count))
    return [each.strip(" \t") for each in [*NASTY, *made]]


def texts(count: int, seed: int = 7) -> list[str]:
    """Return what `header_values` returns, and texts of any characters at all."""
    dice = random.Random(seed)
    made = [
        "".join(chr(dice.randrange(0x11_0000)) for _ in range(dice.randrange(20)))
        for _ in range(count)
    ]
    return [*header_values(count, seed), *map(chr, range(256)), *made]
