"""Certificate and key at the start: each fault is one line that names the setting."""

import os
import ssl
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls import chain, pair
from tabpy.tabpy_server.tls.pair import Pair
from tests.issuing import ROOT, Files, at, encrypted, issue

NOW = at(2026, 12).timestamp()
LEAF = issue()
RSA = issue(kind=trustme.KeyType.RSA)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A good pair, until a test spoils it."""
    made = Files(tmp_path)
    made.put(LEAF)
    return made


def load(files: Files, *, now: float = NOW, **settings: object) -> Pair:
    given = {"certificate_file": files.certificate, "key_file": files.key, **settings}
    return pair.load(replace(Settings(transfer_protocol="https"), **given), now)  # type: ignore[arg-type] # by name


def refusal(files: Files, *, now: float = NOW, **settings: object) -> str:
    with pytest.raises(StartError) as refused:
        load(files, now=now, **settings)
    said = str(refused.value)
    assert "\n" not in said
    return said


# --- what can be used ---


@pytest.mark.parametrize("leaf", [LEAF, RSA], ids=["elliptic", "RSA"])
def test_a_whole_chain_and_its_key_are_fine(files: Files, leaf: trustme.LeafCert) -> None:
    files.put(leaf)
    loaded = load(files)
    assert loaded.warnings == []
    assert chain.moment(loaded.dates.ends) == "3000-01-01 00:00:00 UTC"


def test_one_file_may_have_both(files: Files) -> None:
    both = LEAF.private_key_and_cert_chain_pem.bytes()
    files.put_key(both)
    assert load(files, certificate_file=files.key).warnings == []


def test_a_self_signed_certificate_is_a_whole_chain(files: Files) -> None:
    files.put_chain([ROOT.cert_pem])
    files.put_key(ROOT.private_key_pem.bytes())
    assert load(files).warnings == []


def test_the_oldest_version_is_that_of_the_setting(files: Files) -> None:
    assert load(files).context.minimum_version is ssl.TLSVersion.TLSv1_2
    strict = load(files, minimum_tls_version="TLSv1_3")
    assert strict.context.minimum_version is ssl.TLSVersion.TLSv1_3


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_pass_phrase_comes_from_a_setting_or_a_file(files: Files, end: str) -> None:
    files.put_key(encrypted(LEAF, "open, sésame"))
    load(files, key_password="open, sésame")
    phrase = files.folder / "phrase"
    phrase.write_bytes(f"open, sésame{end}".encode())
    load(files, key_password_file=phrase)


# --- what can't ---


@pytest.mark.parametrize(
    ("unset", "said"),
    [
        (["key_file"], "TABPY_KEY_FILE must"),
        (["certificate_file"], "TABPY_CERTIFICATE_FILE must"),
        (["certificate_file", "key_file"], "TABPY_CERTIFICATE_FILE and TABPY_KEY_FILE must"),
    ],
    ids=["key", "certificate", "both"],
)
def test_both_have_to_be_set(files: Files, unset: list[str], said: str) -> None:
    nothing: Any = dict.fromkeys(unset)
    assert said in refusal(files, **nothing)


@pytest.mark.parametrize("setting", ["certificate_file", "key_file"])
def test_a_file_has_to_be_there(files: Files, setting: str) -> None:
    key = f"TABPY_{setting.upper()}"
    missing: Any = {setting: files.folder / "nosuch.pem"}
    folder: Any = {setting: files.folder}
    said = f"{key} is '{files.folder / 'nosuch.pem'}', but there is no such file."
    assert refusal(files, **missing) == said
    assert refusal(files, **folder) == f"{key} is '{files.folder}', which is a folder."


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads everything")
def test_a_file_has_to_be_readable(files: Files) -> None:
    files.key.chmod(0)
    assert "Permission denied" in refusal(files)


@pytest.mark.parametrize("text", [b"", b"\x30\x82\x01\x0a" * 9], ids=["empty", "DER"])
def test_what_is_no_pem_is_told_how_to_become_it(files: Files, text: bytes) -> None:
    files.put_key(text)
    assert "no private key in PEM form" in refusal(files)
    files.put(LEAF)
    files.certificate.write_bytes(text)
    assert "no certificate in PEM form" in refusal(files)


@pytest.mark.parametrize(
    "middle", [b"AAA", b"AAAA", b"*"], ids=["no base64", "no certificate", "nothing"]
)
def test_a_damaged_certificate_is_refused(files: Files, middle: bytes) -> None:
    damaged = b"-----BEGIN CERTIFICATE-----\n%b\n-----END CERTIFICATE-----\n" % middle
    files.certificate.write_bytes(damaged)
    assert "TABPY_CERTIFICATE_FILE" in refusal(files)
    files.certificate.write_bytes(LEAF.cert_chain_pems[0].bytes() + damaged)
    assert "TABPY_CERTIFICATE_FILE" in refusal(files)


def test_a_damaged_key_is_refused(files: Files) -> None:
    files.put_key(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert "can't be used" in refusal(files)


@pytest.mark.parametrize("other", [issue(), RSA], ids=["same kind", "other kind"])
def test_the_key_has_to_be_that_of_the_certificate(files: Files, other: trustme.LeafCert) -> None:
    files.put_key(other.private_key_pem.bytes())
    assert "isn't the key of the first certificate" in refusal(files)


def test_the_servers_own_certificate_comes_first(files: Files) -> None:
    files.put_chain([*reversed(LEAF.cert_chain_pems)])
    assert "the server's own certificate comes first" in refusal(files)


def test_nobody_is_asked_for_a_pass_phrase(files: Files) -> None:
    files.put_key(encrypted(LEAF, "fake"))
    assert "which is encrypted: put its pass phrase into TABPY_KEY_PASSWORD" in refusal(files)


def test_a_wrong_pass_phrase_is_refused_and_not_shown(files: Files) -> None:
    files.put_key(encrypted(LEAF, "right"))
    said = refusal(files, key_password="mistaken")
    assert said.startswith("TABPY_KEY_PASSWORD isn't the pass phrase of")
    assert "mistaken" not in said
    phrase = files.folder / "phrase"
    phrase.write_text("mistaken")
    said = refusal(files, key_password_file=phrase)
    assert said.startswith("TABPY_KEY_PASSWORD_FILE isn't the pass phrase of")


@pytest.mark.parametrize("phrase", ["x" * 2000, "é" * 600])
def test_a_pass_phrase_that_is_too_long_is_refused(files: Files, phrase: str) -> None:
    files.put_key(encrypted(LEAF, "right"))
    assert "TABPY_KEY_FILE" in refusal(files, key_password=phrase)


def test_a_pass_phrase_has_one_place(files: Files) -> None:
    said = refusal(files, key_password="fake", key_password_file=files.folder / "phrase")
    assert "are both set" in said
    assert "TABPY_KEY_PASSWORD_FILE is" in refusal(files, key_password_file=files.folder / "no")


@pytest.mark.parametrize(
    ("begins", "ends", "said"),
    [
        (at(2026), at(2026, 11, 30), "expired on 2026-11-30 00:00:00 UTC: renew it"),
        (at(2026, 12, 2), at(2027), "is not valid until 2026-12-02 00:00:00 UTC"),
    ],
    ids=["expired", "too early"],
)
def test_the_certificate_has_to_hold_now(
    files: Files, begins: datetime, ends: datetime, said: str
) -> None:
    files.put(issue(begins, ends))
    refused = refusal(files)
    assert "certificate 1 of 2, 'localhost'" in refused
    assert said in refused


def test_so_has_each_one_above_it(files: Files) -> None:
    files.put(issue(at(2026), at(3500)))
    assert "certificate 2 of 2, 'Testing CA" in refusal(files, now=at(3001).timestamp())


def test_a_certificate_of_no_authority_cannot_be_above_it(files: Files) -> None:
    files.put_chain([LEAF.cert_chain_pems[0], RSA.cert_chain_pems[0]])
    assert "one after the first is no authority's" in refusal(files)


# --- what is warned of ---


@pytest.mark.parametrize(
    "pems",
    [
        LEAF.cert_chain_pems[:1],
        [LEAF.cert_chain_pems[0], ROOT.cert_pem],
        [LEAF.cert_chain_pems[0], trustme.CA().cert_pem],
    ],
    ids=["missing", "left out", "another's"],
)
def test_a_gap_in_the_chain_is_a_warning(files: Files, pems: list[trustme.Blob]) -> None:
    files.put_chain(pems)
    [warning] = load(files).warnings
    assert "which issued that of 'localhost'" in warning


def test_a_chain_with_its_root_has_no_gap(files: Files) -> None:
    files.put_chain([*LEAF.cert_chain_pems, ROOT.cert_pem])
    assert load(files).warnings == []


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_a_key_that_everybody_can_read_is_a_warning(files: Files) -> None:
    files.key.chmod(0o644)
    [warning] = load(files).warnings
    assert f"`chmod o= {files.key}`" in warning
    files.key.chmod(0o640)
    assert load(files).warnings == []


@pytest.mark.parametrize(
    ("lifetime", "left", "warns"),
    [
        (90, 31, False),
        (90, 29, True),
        (365, 31, False),
        (365, 29, True),
        (6, 3, False),
        (6, 1, True),
    ],
)
def test_it_is_warned_in_good_time_before_it_expires(
    files: Files, lifetime: int, left: int, warns: bool
) -> None:
    begins = at(2026, 12)
    ends = begins + timedelta(days=lifetime)
    files.put(issue(begins, ends))
    said = load(files).expiring((ends - timedelta(days=left)).timestamp())
    assert (said is not None) is warns
    assert said is None or f"in {left} days: renew it" in said or "in 24 hours: renew it" in said


def test_an_expired_one_says_so(files: Files) -> None:
    loaded = load(files)
    said = loaded.expiring(at(3001).timestamp())
    assert said is not None
    assert "expired on 3000-01-01" in said
