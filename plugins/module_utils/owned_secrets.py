# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that belong to a Provider or Host: they hold its credentials and go with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.connection import Cluster, ClusterError
from ansible_collections.vmshift.mtv.plugins.module_utils.resources import Result, add_owner, ensure_absent, get


def owned_secret(cluster: Cluster, owner: Mapping[str, Any]) -> dict[str, Any] | None:
    """The Secret that `spec.secret` of a Provider or Host refers to, if it belongs to that object alone."""
    reference = (owner.get("spec") or {}).get("secret") or {}
    if not reference.get("name"):
        return None
    secret = get(cluster, "Secret", reference.get("namespace") or owner["metadata"]["namespace"], reference["name"])
    owners = ((secret or {}).get("metadata") or {}).get("ownerReferences") or []
    return secret if [o.get("uid") for o in owners] == [owner["metadata"]["uid"]] else None


def give_to(cluster: Cluster, secret: Result, owner: Mapping[str, Any], check_mode: bool) -> Result:
    """Let a Secret that was written belong to `owner`. `changed` of the result tells whether it did not before."""
    obj = secret.object or {}
    owners = obj["metadata"].get("ownerReferences") or []
    if any(o.get("uid") == owner["metadata"].get("uid") for o in owners):
        return secret
    return secret._replace(changed=True, object=obj if check_mode else add_owner(cluster, obj, owner))


def predicted_removal(cluster: Cluster, secret: Mapping[str, Any] | None) -> Result | None:
    """What the removal of a Secret will be: looked at before its owner goes, because the garbage collector may be faster than a task."""
    if secret is None:
        return None
    meta = secret["metadata"]
    return ensure_absent(cluster, "Secret", meta["namespace"], meta["name"], check_mode=True, ask_server=False)


def remove(cluster: Cluster, secret: Mapping[str, Any] | None) -> None:
    """Remove what belonged to an object that is gone. Where that is not allowed, the garbage collector does it."""
    if secret is None:
        return
    try:
        ensure_absent(cluster, "Secret", secret["metadata"]["namespace"], secret["metadata"]["name"])
    except ClusterError as error:
        if error.status != 403:
            raise
