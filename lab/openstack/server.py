"""An OpenStack to migrate from, started over a copy of the cloud in the cache."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ansible_collections.vmshift.mtv.lab.certificates import write_certificates
from ansible_collections.vmshift.mtv.lab.commands import run
from ansible_collections.vmshift.mtv.lab.openstack import processes
from ansible_collections.vmshift.mtv.lab.openstack.build import seeded_cloud
from ansible_collections.vmshift.mtv.lab.openstack.configuration import REGION
from ansible_collections.vmshift.mtv.lab.started import StartedLab

if TYPE_CHECKING:
    import openstack

Object = dict[str, Any]
DOMAIN = "Default"


@dataclass
class OpenStack(StartedLab):
    """`url`: of Keystone; `user`: a member of `project`, with the password that `admin` has too; `servers`: name, id, on, disks."""

    KIND = "OpenStack"

    url: str
    password: str = field(repr=False)
    user: str = ""
    project: str = ""
    project_id: str = ""
    domain: str = DOMAIN
    region: str = REGION
    ca: str = ""
    pid: int = 0
    endpoints: dict[str, str] = field(default_factory=dict)
    servers: list[Object] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    networks: dict[str, str] = field(default_factory=dict)
    volume_types: dict[str, str] = field(default_factory=dict)

    @classmethod
    def start(cls, folder: Path, *, while_process: int | None = None) -> OpenStack:
        """Ends with `stop`, or when the process `while_process` is gone. Takes some twenty seconds when the cloud is in the cache."""
        cloud = seeded_cloud()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        processes.remove_data(folder)
        run(["cp", "-a", "--sparse=always", f"{cloud}/.", folder], timeout=600)
        known = json.loads((folder / "seeded.json").read_text())
        ca, certificate, key = write_certificates(folder, "lab OpenStack")
        pid, endpoints = processes.start(folder, known["password"], certificate, key, while_process)
        lab = cls(folder, endpoints["keystone"], ca=ca.read_text(), pid=pid, endpoints=endpoints, **known)
        lab.write_facts()
        return lab

    def stop(self) -> None:
        """End the services and remove their data; logs stay."""
        processes.stop(self.pid, self.folder)
        processes.remove_data(self.folder)
        self.remove_facts()
        shutil.rmtree(self.folder / ".cache", ignore_errors=True)

    def server(self, name: str) -> Object:
        """Facts of a server. Raises KeyError."""
        found = [server for server in self.servers if server["name"] == name]
        if len(found) != 1:
            raise KeyError(f"{len(found)} servers are called {name}")
        return found[0]

    def connect(self, *, admin: bool = False, **options: Any) -> openstack.connection.Connection:
        """A connection as user of the project, or as administrator; `options` go before what it is opened with."""
        import openstack

        given = {
            "auth_url": self.url,
            "username": "admin" if admin else self.user,
            "password": self.password,
            "project_name": "admin" if admin else self.project,
            "user_domain_name": self.domain,
            "project_domain_name": self.domain,
            "region_name": self.region,
            "cacert": str(self.folder / "ca.crt"),
        }
        return openstack.connect(load_yaml_config=False, load_envvars=False, **{**given, **options})

    def secret(self) -> dict[str, str]:
        """What the Secret of a provider for this cloud holds."""
        return {
            "authType": "password",
            "username": self.user,
            "password": self.password,
            "projectName": self.project,
            "domainName": self.domain,
            "regionName": self.region,
            "cacert": self.ca,
        }
