"""https without a proxy: whole servers, two web processes, and certificates that change."""

import http.client
import re
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
import trustme

from tabpy.tabpy_server.workers.worker import landlock
from tabpy.tabpy_tools.client import Client
from tests.issuing import HOST, Files, at, encrypted, files_in, issue, trusting
from tests.running import PASSWORD, USER, Server, until

RENEWALS = 6


class SecureServer(Server):
    """A server that speaks https."""

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPSConnection(HOST, self.port, timeout=timeout, context=trusting())

    def expires(self) -> float:
        """When the certificate that a new connection is shown expires."""
        with (
            socket.create_connection(("127.0.0.1", self.port)) as connection,
            trusting().wrap_socket(connection, server_hostname=HOST) as client,
        ):
            certificate = client.getpeercert()
        assert certificate is not None
        return ssl.cert_time_to_seconds(certificate["notAfter"])  # type: ignore[arg-type] # it is a text

    def shows(self, year: int) -> bool:
        """Whether all web processes have the certificate that expires in `year`."""
        return all(self.expires() == at(year).timestamp() for _ in range(8))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return files_in(tmp_path)


@pytest.fixture
def launch(tmp_path: Path, files: Files) -> Iterator[Callable[..., SecureServer]]:
    with ExitStack() as running:

        def launch_one(**settings: str) -> SecureServer:
            given = {"WEB_CONCURRENCY": "2", "TABPY_WORKERS": "1", **files.settings, **settings}
            server = SecureServer(tmp_path, given)
            running.callback(server.kill)
            return server

        yield launch_one


@pytest.fixture
def server(launch: Callable[..., SecureServer]) -> SecureServer:
    running = launch()
    running.wait_until_ready()
    return running


def load(server: SecureServer, stop: threading.Event, problems: list[object]) -> int:
    """Ask until `stop`, with a new connection each time; return how often."""
    count = 0
    while not stop.is_set():
        try:
            reply = server.evaluate("return _arg1", [count])
            if (reply.status, reply.json) != (200, [count]):
                problems.append(reply)
        except OSError as error:
            problems.append(error)
        count += 1
    return count


def test_certificates_are_renewed_under_load_without_one_failed_request(
    server: SecureServer, files: Files
) -> None:
    stop, problems, counts = threading.Event(), list[object](), list[int]()
    threads = [
        threading.Thread(target=lambda: counts.append(load(server, stop, problems)))
        for _ in range(3)
    ]
    kept_alive = server.connect(60.0)
    kept_alive.request("GET", "/healthz")
    assert kept_alive.getresponse().read()
    for thread in threads:
        thread.start()
    try:
        for year in range(2101, 2101 + RENEWALS):
            leaf = issue(ends=at(year))
            files.put_chain(leaf.cert_chain_pems)
            if year % 2:
                files.put_key(b"-----BEGIN PRIVATE KEY-----")  # half of it is written
            files.put_key(leaf.private_key_pem.bytes())
            until(lambda year=year: server.shows(year), f"the certificate of {year}")  # type: ignore[misc] # its default is its type
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert min(counts) > RENEWALS
    kept_alive.request("GET", "/healthz")
    assert kept_alive.getresponse().status == 200
    kept_alive.close()


def test_a_web_process_that_is_started_anew_has_the_last_good_one(
    server: SecureServer, files: Files
) -> None:
    files.put(issue(ends=at(2101)))
    until(lambda: server.shows(2101), "the renewed one")
    until(lambda: server.log_lines("was read anew"), "the arbiter has it, too")
    files.certificate.write_text("broken")
    until(lambda: server.log_lines("The certificate in use stays"), "it is noticed")
    before = {each.pid for each in server.web_processes()}
    for each in server.web_processes():
        each.kill()
    until(lambda: len({e.pid for e in server.web_processes()} - before) == 2, "two others")
    until(lambda: server.shows(2101), "they serve")
    assert len(server.log_lines("The certificate in use stays")) == 1


def test_the_client_and_the_metrics_know_it(server: SecureServer, files: Files) -> None:
    client = Client(f"https://{HOST}:{server.port}", ca_certificates=str(files.authority))
    client.set_credentials(USER, PASSWORD)
    client.deploy("double", lambda x: [2 * each for each in x])
    assert client.query("double", [1, 2])["response"] == [2, 4]
    text = server.request("GET", "/metrics").body.decode()
    [expires] = re.findall(r"^tabpy_certificate_expiry_timestamp_seconds (\S+)$", text, re.M)
    assert float(expires) == at(2100).timestamp()
    assert server.log_lines("Listening at: https://")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux confines scripts")
def test_no_script_reads_the_key(server: SecureServer, files: Files) -> None:
    if landlock.abi() == 0:
        pytest.skip("this kernel has no Landlock")
    reply = server.evaluate(f"return open({str(files.key)!r}).read()")
    assert reply.status == 500
    assert "PermissionError" in reply.json["info"]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_neither_fork_server_nor_workers_have_ever_seen_the_key(
    server: SecureServer, files: Files
) -> None:
    until(lambda: server.log_lines("Deployed from models/"), "the worker that checks it has gone")
    until(lambda: len(server.workers()) == 2, "one for each web process")
    secrets = files.key.read_bytes().splitlines()[1:-1]
    asked: set[int] = set()
    script = "import os\nneedle = 'needle ' + _arg1\nreturn os.getpid()"

    def all_are_asked() -> bool:
        asked.add(server.evaluate(script, "in a worker").json)
        return len(asked) == 2

    until(all_are_asked, "each worker has had a needle")
    memories = [memory_of(each) for each in (server.template(), *server.workers())]
    assert sum(b"needle" in each for each in memories) == len(memories) - 1
    assert not any(line in each for line in secrets for each in memories)


def memory_of(process: psutil.Process) -> bytes:
    """What it has written to, all of it. Skips the test where that can't be read."""
    found = []
    try:
        with Path(f"/proc/{process.pid}/mem").open("rb", 0) as memory:
            for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines():
                span, permissions = line.split()[:2]
                first, last = (int(each, 16) for each in span.split("-"))
                if permissions.startswith("rw"):
                    memory.seek(first)
                    found.append(memory.read(last - first))
    except PermissionError:
        pytest.skip("nobody may look into other processes here")
    return b"".join(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda files: files.put(issue(at(2019), at(2020))), "expired on 2020-01-01"),
        (lambda files: files.put_key(trustme.CA().private_key_pem.bytes()), "isn't the key"),
        (lambda files: files.key.unlink(), "no such file"),
    ],
    ids=["expired", "another's key", "no key"],
)
def test_a_server_without_a_certificate_that_can_be_used_does_not_start(
    launch: Callable[..., SecureServer],
    files: Files,
    change: Callable[[Files], object],
    said: str,
) -> None:
    change(files)
    code, log = launch().end()
    assert code == 2
    [line] = [each for each in log.splitlines() if each.startswith("tabpy: ")]
    assert said in line
    assert "Traceback" not in log


def test_an_encrypted_key_opens_with_the_pass_phrase_of_the_environment(
    launch: Callable[..., SecureServer], files: Files
) -> None:
    leaf = issue(ends=at(2100))
    files.put(leaf, encrypted(leaf, "fake phrase"))
    running = launch(TABPY_KEY_PASSWORD="fake phrase")
    running.wait_until_ready()
    assert running.shows(2100)
    assert "fake phrase" not in running.log
    reply = running.evaluate("import os\nreturn [*os.environ.values()]")
    assert "fake phrase" not in reply.json
