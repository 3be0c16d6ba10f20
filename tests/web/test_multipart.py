"""An upload is taken in as it comes, in pieces of any size, and nothing in it is an accident."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tabpy.tabpy_server.errors import InvalidInputError
from tabpy.tabpy_server.web import multipart
from tabpy.tabpy_server.web.multipart import METADATA_LIMIT, Parts, Upload
from tests.deploying import BOUNDARY, FORM, form, part
from tests.functions.swapping import Swap, swaps

CONTENT_TYPE = FORM["Content-Type"]
ARCHIVE = bytes(range(256)) * 20 + b"\r\n--" + BOUNDARY.encode()[:-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "incoming"


@pytest.fixture
def upload(folder: Path) -> Iterator[Upload]:
    made = Upload(CONTENT_TYPE, folder)
    yield made
    made.discard()


def feed(upload: Upload, body: bytes, size: int = 1000) -> Parts:
    for start in range(0, len(body), size):
        upload.feed(body[start : start + size])
    return upload.finish()


def refusal(upload: Upload, body: bytes) -> str:
    with pytest.raises(InvalidInputError) as raised:
        feed(upload, body)
    assert raised.value.message == "The upload can't be read."
    return raised.value.info


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_both_parts_are_taken_whatever_the_pieces(upload: Upload, folder: Path, size: int) -> None:
    body = form(part("metadata", b'{"name": "f"}'), part("archive", ARCHIVE))
    metadata, archive = feed(upload, body, size)
    assert metadata == b'{"name": "f"}'
    assert archive is not None
    assert archive.path.read_bytes() == ARCHIVE
    assert list(folder.iterdir()) == [archive.path]
    upload.discard()
    assert list(folder.iterdir()) == []


@swaps
def test_whatever_lies_in_the_archives_place_is_removed(
    upload: Upload, folder: Path, swap: Swap
) -> None:
    _, archive = feed(upload, form(part("metadata", b"{}"), part("archive", ARCHIVE)))
    assert archive is not None
    swap(archive.path)
    upload.discard()
    assert list(folder.iterdir()) == []


def test_an_archive_need_not_come(upload: Upload, folder: Path) -> None:
    assert feed(upload, form(part("metadata", b"{}"))) == Parts(b"{}", None)
    assert not folder.exists()


def test_metadata_has_a_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert METADATA_LIMIT == 4 << 20
    monkeypatch.setattr(multipart, "METADATA_LIMIT", 1000)
    assert feed(Upload(CONTENT_TYPE, folder), form(part("metadata", bytes(1000))))
    upload = Upload(CONTENT_TYPE, folder)
    assert refusal(upload, form(part("metadata", bytes(1001)))) == (
        "As multipart/form-data, its metadata is larger than 1000 bytes: send the parts 'metadata' "
        "(JSON) and 'archive'."
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "it ends before its last boundary"),
        (form(part("metadata", b"{}"))[:-3], "it ends before its last boundary"),
        (form(part("archive", b"x")), "it has no part 'metadata'"),
        (
            form(part("metadata", b"{}"), part("metadata", b"{}")),
            "it has a part 'metadata' that isn't expected there",
        ),
        (form(part("x" * 50, b"")), f"it has a part '{'x' * 40}' that isn't expected there"),
        (b"no boundary", ""),
    ],
)
def test_what_is_not_an_upload_says_so(upload: Upload, body: bytes, problem: str) -> None:
    assert refusal(upload, body).startswith(f"As multipart/form-data, {problem}")


@pytest.mark.parametrize(
    ("content_type", "problem"),
    [
        ("multipart/form-data", "names no boundary"),
        ("multipart/form-data; boundary=", "names no boundary"),
        ("multipart/form-data; boundary=" + "x" * 300, "boundary is too long"),
    ],
)
def test_a_boundary_that_cannot_be(folder: Path, content_type: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        Upload(content_type, folder)


def test_nothing_that_is_sent_raises_anything_else(folder: Path) -> None:
    whole = form(part("metadata", b'{"name": "f"}'), part("archive", b"\x80\0\xff" * 10))
    chance = random.Random(7)
    for _ in range(3000):
        body = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(body))
            if chance.random() < 0.5:
                body[place] = chance.choice(b'\r\n-:;="\0\xff%a')
            else:
                body[place:place] = chance.choice([b"\r\n", b"; ", b"*=utf-8''%", b'"', b"--"])
        upload = Upload(CONTENT_TYPE, folder)
        try:
            feed(upload, bytes(body), chance.choice([3, 1000]))
        except InvalidInputError:
            pass
        finally:
            upload.discard()


def test_no_content_type_raises_anything_else(folder: Path) -> None:
    chance = random.Random(7)
    for _ in range(3000):
        text = list(CONTENT_TYPE + "; name*0=a; name*1=b")
        for _ in range(chance.randrange(1, 5)):
            text[chance.randrange(len(text))] = chance.choice(";=\"'*%\0é\\ ,-")
        try:
            Upload("".join(text), folder)
        except InvalidInputError:
            continue
