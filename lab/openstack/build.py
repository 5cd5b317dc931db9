"""Databases, keys and a seeded cloud, built once into the cache outside the checkout: to be copied from there, then started."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ansible_collections.vmshift.mtv.lab import booted, guests
from ansible_collections.vmshift.mtv.lab.certificates import write_certificates
from ansible_collections.vmshift.mtv.lab.commands import run
from ansible_collections.vmshift.mtv.lab.openstack import configuration, processes, seed
from ansible_collections.vmshift.mtv.lab.openstack.configuration import CATALOG, DATABASES, REGION, Setting, database_url
from ansible_collections.vmshift.mtv.lab.openstack.environment import SERVICES, environment_key, fresh_folder, services_python

USER_SERVICES = ("glance", "cinder", "nova", "neutron", "placement")
#: What a service's own settings folder needs beside what configuration.py writes.
SHIPPED = ("glance", "cinder", "nova", "neutron")
COMPUTE_ID = "00000000-0000-4000-8000-000000000001"


def seeded_cloud() -> Path:
    """The folder in the cache with a cloud that is ready to start; the first time it takes a minute or two. Raises LabError."""
    cached = guests.cache_folder() / "openstack" / f"cloud-{cloud_key()}"
    if not cached.exists():
        with fresh_folder(cached.parent) as folder:
            result = Path(folder) / "cloud"
            _build(result)
            try:
                result.rename(cached)
            except OSError:  # another build was quicker
                if not cached.exists():
                    raise
    return cached


def cloud_key() -> str:
    """Changes when anything does that the cloud is made from."""
    digest = hashlib.sha256(f"{environment_key()} {booted.tiny_guest().disk} {guests.recipe_key('tiny')}".encode())
    for source in (
        *(Path(__file__).with_name(f"{name}.py") for name in ("build", "configuration", "seed")),
        *sorted(SERVICES.rglob("*.py")),
    ):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _build(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    password = secrets.token_hex(12)
    _databases(folder, password)
    _authority, certificate, key = write_certificates(folder, "lab OpenStack")
    pid, public = processes.start(folder, password, certificate, key, while_process=os.getpid())
    try:
        facts = seed.Seed(public["keystone"], password, folder).make_all()
    finally:
        processes.stop(pid, folder)
    for name in DATABASES:
        with sqlite3.connect(folder / f"db/{name}.sqlite") as database:
            database.execute("pragma wal_checkpoint(truncate)")
        database.close()
    for name in ("log", "run", "services.log", "ca.crt", "server.crt", "server.key", ".cache"):
        target = folder / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    (folder / "seeded.json").write_text(json.dumps({"password": password, **facts}, indent=2) + "\n")


def _databases(folder: Path, password: str) -> None:
    """Empty ones with all tables, and a catalog that still points nowhere."""
    python = services_python()
    for service in SHIPPED:
        shutil.copytree(python.parent.parent / "etc" / service, folder / "etc" / service)
    configuration.write(Setting(folder, dict.fromkeys(CATALOG, 1), password))
    for keys in ("fernet-keys", "credential-keys"):
        (folder / "etc/keystone" / keys).mkdir(mode=0o700)
    (folder / "data/nova/compute_id").write_text(COMPUTE_ID + "\n")
    with ThreadPoolExecutor() as pool:  # two at a time load both processors of a small machine
        for done in [pool.submit(_identity_image_volume, folder, password), pool.submit(_compute_network, folder)]:
            done.result()
    (folder / "db/placement.sqlite").touch()
    for name in DATABASES:
        with sqlite3.connect(folder / f"db/{name}.sqlite") as database:
            database.execute("pragma journal_mode=wal")
        database.close()
    _catalog(folder)


def _identity_image_volume(folder: Path, password: str) -> None:
    settings, owner = (
        ["--config-dir", str(folder / "etc/keystone")],
        ["--keystone-user", str(os.geteuid()), "--keystone-group", str(os.getegid())],
    )
    urls = [word for interface in ("admin", "public", "internal") for word in (f"--bootstrap-{interface}-url", "http://127.0.0.1:1/v3")]
    bootstrap = [*settings, "bootstrap", "--bootstrap-region-id", REGION, *urls]
    accounts = [[*settings, "bootstrap", "--bootstrap-username", name, "--bootstrap-project-name", "service"] for name in USER_SERVICES]
    _tool(
        folder,
        "keystone.cmd.manage:main",
        [*settings, "db_sync"],
        [*settings, "fernet_setup", *owner],
        [*settings, "credential_setup", *owner],
        bootstrap,
        *accounts,
        more={"OS_BOOTSTRAP_PASSWORD": password},
    )
    _tool(folder, "glance.cmd.manage:main", ["--config-file", "etc/glance/glance-api.conf", "db_sync"])
    _tool(folder, "cinder.cmd.manage:main", ["--config-file", "etc/cinder/cinder.conf", "db", "sync"])


def _compute_network(folder: Path) -> None:
    settings = ["--config-file", "etc/nova/nova.conf"]
    _tool(
        folder,
        "nova.cmd.manage:main",
        [*settings, "api_db", "sync"],
        [*settings, "cell_v2", "map_cell0", "--database_connection", database_url("nova_cell0")],
        [*settings, "db", "sync"],
        [
            *settings,
            "cell_v2",
            "create_cell",
            "--name",
            "cell1",
            "--transport-url",
            "fake://",
            "--database_connection",
            database_url("nova_cell1"),
        ],
    )
    run([services_python(), SERVICES / "neutron_tables.py", database_url("neutron")], cwd=folder, timeout=600)


def _tool(folder: Path, function: str, *calls: Sequence[str], more: Mapping[str, str] | None = None) -> None:
    words = [word for call in calls for word in ("--", *call)]
    given = {"PYTHONPATH": str(SERVICES), "PYTHONWARNINGS": "ignore", "HOME": str(folder), **(more or {})}
    run([services_python(), SERVICES / "commands.py", function, *words], cwd=folder, timeout=900, env=given)


def _catalog(folder: Path) -> None:
    """Services and end points, straight into the table: Keystone need not run for it. Their URLs come with each start."""
    with sqlite3.connect(folder / "db/keystone.sqlite") as database:
        for service in USER_SERVICES:
            id = secrets.token_hex(16)
            database.execute(
                "insert into service (id, type, enabled, extra) values (?, ?, 1, ?)",
                (id, CATALOG[service][0], json.dumps({"name": service, "description": ""})),
            )
            for interface in ("public", "internal", "admin"):
                database.execute(
                    "insert into endpoint (id, interface, region_id, service_id, url, extra, enabled) values (?, ?, ?, ?, '', '{}', 1)",
                    (secrets.token_hex(16), interface, REGION, id),
                )
    database.close()
