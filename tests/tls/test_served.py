"""The served certificate: a renewed one is taken up, a broken one is not."""

import asyncio
import contextlib
import logging
import os
import ssl
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.settings import Settings
from tabpy.tabpy_server.tls import served
from tabpy.tabpy_server.tls.chain import IGNORE_DATES
from tabpy.tabpy_server.tls.served import ServedCertificate, keep_up_to_date
from tests.issuing import Files, at, encrypted, issue, trusting
from tests.running import until

START = at(2026, 12)
OLD_ENDS, NEW_ENDS = START + timedelta(days=40), START + timedelta(days=90)
OLD, NEW = issue(at(2026), OLD_ENDS), issue(at(2026), NEW_ENDS)


class Kept:
    """A served certificate, its files, and a clock."""

    def __init__(self, files: Files, **settings: object) -> None:
        self.files = files
        self.now = START
        chosen = {"certificate_file": files.certificate, "key_file": files.key, **settings}
        self.served = ServedCertificate(
            replace(Settings(transfer_protocol="https"), **chosen),  # type: ignore[arg-type] # by name
            self._clock,
        )

    def _clock(self) -> float:
        return self.now.timestamp()

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.served.look()

    @property
    def ends(self) -> datetime:
        """When what a client is shown expires."""
        context = trusting()
        context.verify_flags |= ssl.VerifyFlags(IGNORE_DATES)  # of this machine's clock
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(to_client, to_server, server_hostname="localhost")
        server = self.served.session()
        while client.version() is None or to_server.pending:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
            server.decrypt(to_server.read())
            to_client.write(server.answer())
        certificate = client.getpeercert()
        assert certificate is not None
        seconds = ssl.cert_time_to_seconds(certificate["notAfter"])  # type: ignore[arg-type] # it is a text
        return datetime.fromtimestamp(seconds, START.tzinfo)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    made = Files(tmp_path)
    made.put(OLD)
    return made


@pytest.fixture
def kept(files: Files) -> Kept:
    return Kept(files)


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What has been logged since the last call."""
    caplog.set_level(logging.INFO)

    def take() -> list[str]:
        lines = [each.getMessage() for each in caplog.records]
        caplog.clear()
        return lines

    return take


def test_a_renewed_one_is_served_at_the_next_look(
    kept: Kept, logged: Callable[[], list[str]]
) -> None:
    assert kept.ends == OLD_ENDS
    kept.files.put(NEW)
    kept.look()
    assert kept.ends == NEW_ENDS
    assert kept.served.expires == NEW_ENDS.timestamp()
    assert logged() == ["the certificate was read anew"]
    kept.look(3)
    assert logged() == []


def test_a_file_that_is_written_over_counts_as_well(kept: Kept) -> None:
    kept.files.certificate.write_bytes(b"".join(pem.bytes() for pem in NEW.cert_chain_pems))
    kept.files.key.write_bytes(NEW.private_key_pem.bytes())
    kept.look()
    assert kept.ends == NEW_ENDS


@pytest.mark.skipif(os.name != "posix", reason="links need a right on Windows")
def test_a_link_counts_as_what_it_leads_to(tmp_path: Path) -> None:
    for name, leaf in (("1", OLD), ("2", NEW)):
        (tmp_path / name).mkdir()
        Files(tmp_path / name).put(leaf)
    (tmp_path / "live").symlink_to("1")
    kept = Kept(Files(tmp_path / "live"))
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(tmp_path / "live")
    kept.look()
    assert kept.ends == NEW_ENDS


@pytest.mark.parametrize("first", ["certificate", "key"])
def test_one_file_comes_before_the_other(
    kept: Kept, logged: Callable[[], list[str]], first: str
) -> None:
    if first == "certificate":
        kept.files.put_chain(NEW.cert_chain_pems)
    else:
        kept.files.put_key(NEW.private_key_pem.bytes())
    kept.look()
    assert kept.ends == OLD_ENDS
    assert logged() == []
    kept.files.put(NEW)
    kept.look()
    assert kept.ends == NEW_ENDS


def put_nothing(files: Files) -> None:
    files.certificate.unlink()


def put_half(files: Files) -> None:
    files.certificate.write_bytes(files.certificate.read_bytes()[:300])


def put_others_key(files: Files) -> None:
    files.put(NEW, OLD.private_key_pem.bytes())


def put_expired(files: Files) -> None:
    files.put(issue(at(2025), at(2026)))


def put_encrypted(files: Files) -> None:
    files.put(NEW, encrypted(NEW, "fake"))


@pytest.mark.parametrize("put", [put_nothing, put_half, put_others_key, put_expired, put_encrypted])
def test_a_broken_one_never_replaces_a_good_one(
    kept: Kept, logged: Callable[[], list[str]], put: Callable[[Files], None]
) -> None:
    put(kept.files)
    kept.look(5)
    assert kept.ends == OLD_ENDS
    [line] = logged()
    assert line.startswith("The certificate in use stays, since the new one can't be used: TABPY_")
    kept.files.put(NEW)
    kept.look()
    assert kept.ends == NEW_ENDS


def test_one_of_tomorrow_is_taken_up_tomorrow(kept: Kept) -> None:
    kept.files.put(issue(START + timedelta(days=1), NEW_ENDS))
    kept.look()
    assert kept.ends == OLD_ENDS
    kept.now += timedelta(days=1, seconds=1)
    kept.look()
    assert kept.ends == NEW_ENDS


def test_a_new_pass_phrase_comes_from_its_file(files: Files) -> None:
    phrase = files.folder / "phrase"
    phrase.write_text("one\n")
    files.put_key(encrypted(OLD, "one"))
    kept = Kept(files, key_password_file=phrase)
    files.put(NEW, encrypted(NEW, "two"))
    kept.look(2)
    assert kept.ends == OLD_ENDS
    phrase.write_text("two\n")
    kept.look()
    assert kept.ends == NEW_ENDS


def test_nothing_is_served_that_was_broken_at_the_start(files: Files) -> None:
    put_half(files)
    with pytest.raises(StartError):
        Kept(files)


def test_the_log_reminds_once_a_day_from_thirty_days_before_it_expires(
    kept: Kept, logged: Callable[[], list[str]]
) -> None:
    kept.look()
    assert (logged(), kept.served.warnings) == ([], [])
    kept.now = OLD_ENDS - timedelta(days=30)
    kept.look(3)
    [line] = logged()
    assert line.startswith("The certificate expires on 2027-01-10 00:00:00 UTC, in 30 days")
    assert kept.served.warnings == [line]
    kept.now += timedelta(days=1)
    kept.look(3)
    assert len(logged()) == 1
    kept.files.put(NEW)
    kept.look(3)
    assert logged() == ["the certificate was read anew"]
    assert kept.served.warnings == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_only_the_process_that_read_it_first_writes_to_the_log(
    kept: Kept, logged: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a process forked from this one
    kept.now = OLD_ENDS - timedelta(days=9)
    kept.files.put_key(b"")
    kept.look(3)
    kept.files.put(NEW)
    kept.look()
    assert kept.ends == NEW_ENDS
    assert logged() == []


def test_it_is_kept_up_to_date_off_the_event_loop(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "LOOK_EVERY", 0.001)
    looked: list[int] = []
    monkeypatch.setattr(kept.served, "look", lambda: looked.append(threading.get_ident()))

    async def run() -> None:
        keeping = asyncio.create_task(keep_up_to_date(kept.served))
        await asyncio.to_thread(until, lambda: len(looked) > 2, "three looks")
        keeping.cancel()

    asyncio.run(run())
    assert threading.get_ident() not in looked


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
def test_where_the_key_lies_is_only_in_the_log(
    files: Files, logged: Callable[[], list[str]]
) -> None:
    files.put_chain(OLD.cert_chain_pems[:1])
    files.key.chmod(0o644)
    kept = Kept(files)
    [of_chain, of_key] = logged()
    assert str(files.key) in of_key
    assert kept.served.warnings == [of_chain]
    assert str(files.folder) not in of_chain


def test_a_server_without_one_has_nothing_to_keep() -> None:
    asyncio.run(keep_up_to_date(None))
