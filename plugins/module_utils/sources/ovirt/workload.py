# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM with all that it refers to, as validation rules and builders get it (facts 5.3). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.workload import Find, without_path

Object = dict[str, Any]


def surroundings(vm: Mapping[str, Any], find: Find) -> Object:
    """The keys of a VM that a workload has as whole objects."""

    def whole(collection: str, id: str) -> Object | None:
        found = find(collection, id) if id else None
        return without_path(found) if found else None

    cluster = whole("clusters", vm["cluster"])
    return {
        "diskAttachments": [{**attachment, "disk": _disk(whole, attachment["disk"])} for attachment in vm["diskAttachments"]],
        "nics": [{**nic, "profile": whole("nicprofiles", nic["profile"]) or {}} for nic in vm["nics"]],
        "host": whole("hosts", vm["host"]),
        "cluster": cluster,
        "dataCenter": whole("datacenters", cluster["dataCenter"]) if cluster else None,
        "serverCpu": whole("servercpus", "ServerCPUList"),
    }


def _disk(whole: Any, id: str) -> Object:
    disk = whole("disks", id)
    return {**disk, "profile": whole("diskprofiles", disk["profile"]) or {}} if disk else {}
