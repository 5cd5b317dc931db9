"""The services of one folder as processes: started on ports that are free, found again, ended."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ansible_collections.vmshift.mtv.lab.commands import LabError
from ansible_collections.vmshift.mtv.lab.openstack import configuration
from ansible_collections.vmshift.mtv.lab.openstack.configuration import CATALOG, Setting
from ansible_collections.vmshift.mtv.lab.openstack.environment import SERVICES, services_python
from ansible_collections.vmshift.mtv.lab.processes import end

START_DEADLINE = 600.0  # seconds; some twenty are needed on an idle machine
STOP_DEADLINE = 15.0


@contextmanager
def bound_sockets() -> Iterator[dict[str, tuple[socket.socket, socket.socket]]]:
    """By service a plain one and one for TLS, on ports that nobody else can take any more."""
    with ExitStack() as stack:
        found = {}
        for service in CATALOG:
            pair = (stack.enter_context(socket.socket()), stack.enter_context(socket.socket()))
            for one in pair:
                one.bind(("127.0.0.1", 0))
            found[service] = pair
        yield found


def start(folder: Path, password: str, certificate: Path, key: Path, while_process: int | None = None) -> tuple[int, dict[str, str]]:
    """Start the services over the databases in the folder. Returns the process and the public URLs by service, when all answer."""
    python = services_python()
    with bound_sockets() as sockets, (folder / "services.log").open("ab") as log:
        ports = {service: plain.getsockname()[1] for service, (plain, _secure) in sockets.items()}
        setting = Setting(folder, ports, password)
        public = {
            service: f"https://127.0.0.1:{secure.getsockname()[1]}{CATALOG[service][1]}" for service, (_plain, secure) in sockets.items()
        }
        configuration.write(setting)
        point_catalog(folder, public, {service: setting.url(service) for service in CATALOG})
        descriptors = {}
        for service, (plain, secure) in sockets.items():
            descriptors[f"LAB_PLAIN_{service.upper()}"] = str(plain.fileno())
            descriptors[f"LAB_TLS_{service.upper()}"] = str(secure.fileno())
        process = subprocess.Popen(
            [python, SERVICES / "run.py", folder, *(["--while", str(while_process)] if while_process else [])],
            env=environment(folder, certificate, key) | descriptors,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=[one.fileno() for pair in sockets.values() for one in pair],
        )
    try:
        await_services(process, folder, public, certificate.with_name("ca.crt"))
    except BaseException:
        stop(process.pid, folder)
        raise
    return process.pid, public


def environment(folder: Path, certificate: Path, key: Path) -> dict[str, str]:
    """Of the services: nothing of the user's own OpenStack settings, proxies or Python paths."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OS_", "PYTHON")) and not name.lower().endswith("_proxy")
    }
    path = f"{services_python().parent}:{kept.get('PATH', '/usr/bin:/bin')}"
    return {
        **kept,
        "PATH": path,
        "HOME": str(folder),
        "PYTHONWARNINGS": "ignore",
        "PYTHONUNBUFFERED": "1",
        "LAB_CERTIFICATE": str(certificate),
        "LAB_KEY": str(key),
    }


def point_catalog(folder: Path, public: Mapping[str, str], internal: Mapping[str, str]) -> None:
    """Ports are new at each start; what Keystone's catalog says of them is made true."""
    with sqlite3.connect(folder / "db/keystone.sqlite") as database:
        for service, (type, _path) in CATALOG.items():
            for interface, url in (("public", public[service]), ("internal", internal[service]), ("admin", internal[service])):
                database.execute(
                    "update endpoint set url = ? where interface = ? and region_id = ? "
                    "and service_id in (select id from service where type = ?)",
                    (url, interface, configuration.REGION, type),
                )
    database.close()


def await_services(process: subprocess.Popen[bytes], folder: Path, public: Mapping[str, str], ca: Path) -> None:
    context = ssl.create_default_context(cafile=str(ca))
    deadline = time.monotonic() + START_DEADLINE
    for service, url in public.items():
        while not answers(f"{url.removesuffix('/v2.1')}/" if service == "nova" else url, context):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"OpenStack's {service} did not start: {last_words(folder, service)}")
            time.sleep(0.1)


def answers(url: str, context: ssl.SSLContext) -> bool:
    """With whatever, short of an error of the server."""
    try:
        with urllib.request.urlopen(url, timeout=10, context=context):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def last_words(folder: Path, service: str) -> str:
    texts = [file.read_text(errors="replace").strip() for file in (folder / "services.log", folder / f"log/{service}.out") if file.exists()]
    return " | ".join(text[-500:] for text in texts if text)


def stop(pid: int, folder: Path) -> None:
    """End the services of the folder, if the process is still theirs; with it all its children go."""
    end(pid, folder, STOP_DEADLINE)


def remove_data(folder: Path) -> None:
    for name in ("data", "db", "etc", "run"):
        shutil.rmtree(folder / name, ignore_errors=True)
