"""Service accounts that may do what a manifest of the documentation says, and no more."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

DOCS = Path(__file__).resolve().parents[2] / "docs"


def make_account(core: client.CoreV1Api, manifest: str, plans: str, target: str) -> None:
    """Make what docs/`manifest` has, in the namespace of the `plans` and in that of their VMs."""
    rbac = client.RbacAuthorizationV1Api(core.api_client)
    creates: dict[str, Callable[..., Any]] = {
        "ServiceAccount": core.create_namespaced_service_account,
        "Role": rbac.create_namespaced_role,
        "RoleBinding": rbac.create_namespaced_role_binding,
    }
    text = (DOCS / manifest).read_text().replace("namespace: migrations", f"namespace: {plans}")
    for part in yaml.safe_load(text.replace("namespace: production", f"namespace: {target}"))["items"]:
        creates[part["kind"]](part["metadata"]["namespace"], part)


def make_key_secret(core: client.CoreV1Api, namespace: str, key: Path) -> None:
    """The Secret in which hooks look for the private key of guests."""
    data = {"key": base64.b64encode(key.read_bytes()).decode()}
    core.create_namespaced_secret(namespace, {"metadata": {"name": "guest-ssh-key"}, "data": data})
