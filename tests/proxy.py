"""HAProxy or nginx in front of several servers: whatever one of them has, a router may ask another.

Both come from Debian's packages; who needs one is skipped without it.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from tests.running import Server, free_port

PROGRAMS = ("haproxy", "nginx")
# A connection to a server for each request: one that is kept may be closed by a server that stops
# in the moment in which a request is sent on it. What found nobody listening goes to another; a
# client that leaves ends its script.
HAPROXY = """
global
    maxconn 500
defaults
    mode http
    option http-server-close
    option abortonclose
    option redispatch 1
    retries 5
    retry-on conn-failure
    timeout connect 2s
    timeout client 120s
    timeout server 120s
frontend tabpy
    bind 127.0.0.1:{port}
    default_backend servers
backend servers
    balance roundrobin
    option httpchk GET /healthz
    default-server check inter 100ms fall 1 rise 1
{servers}
"""
NGINX = """
daemon off;
pid {folder}/pid;
error_log {folder}/log;
events {{ }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream servers {{
{servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://servers;
            proxy_set_header Host $http_host;
            proxy_read_timeout 120s;
        }}
    }}
}}
"""


def need(program: str) -> None:
    """Skip the test where the proxy isn't installed: before anything is started."""
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} on the PATH: apt-get install {program}")


class Behind(Server):
    """Servers behind one address, in the place of a server."""

    def __init__(self, folder: Path, servers: Sequence[Server], program: str) -> None:
        """`servers` keep their ports, whoever listens there."""
        need(program)
        self.folder = folder
        self.servers = servers
        self.port = free_port()
        self.notes = folder / "notes"
        self.log_file = folder / "proxy.log"
        if program == "haproxy":
            lines = [f"    server s{each.port} 127.0.0.1:{each.port}" for each in servers]
            text, command = HAPROXY, ["haproxy", "-db", "-f"]
        else:
            lines = [f"        server 127.0.0.1:{each.port} max_fails=0;" for each in servers]
            text, command = NGINX, ["nginx", "-p", str(folder), "-c"]
        file = folder / "proxy.conf"
        file.write_text(text.format(port=self.port, folder=folder, servers="\n".join(lines)))
        with self.log_file.open("w") as log:
            self.process = subprocess.Popen(
                [*command, str(file)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self.psutil = psutil.Process(self.process.pid)

    def wait_until_ready(self) -> "Behind":
        super().wait_until_ready()  # nginx, which looks at nobody before, finds one, too
        return self

    @property
    def log(self) -> str:
        return "".join(each.log_file.read_text() for each in self.servers)

    def workers(self) -> list[psutil.Process]:
        return [
            worker
            for each in self.servers
            if each.process.poll() is None
            for worker in each.workers()
        ]


def servers_on(
    folder: Path, database_url: str, number: int, settings: Mapping[str, str]
) -> list[Server]:
    """Servers that share a database, and a folder for scripts to write to; nothing else."""
    notes = folder / "notes"
    notes.mkdir(exist_ok=True)
    made = []
    for index in range(number):
        own = folder / f"server{index}"
        own.mkdir()
        made.append(Server(own, {**shared(notes, database_url), **settings}))
    return made


def shared(notes: Path, database_url: str) -> dict[str, str]:
    return {
        "TABPY_DATABASE_URL": database_url,
        "TABPY_MODELS_PATH": str(notes / "none"),
        "TABPY_SCRIPT_WRITE": str(notes),
    }


def wait_for_all(servers: Sequence[Server]) -> None:
    for each in servers:
        each.wait_until_ready()
