"""What is special about providers of type vsphere: the server's fingerprint, privileges, SSH keys for storage offload (facts 1.1, 2.2)."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from ansible_collections.vmshift.mtv.controlplane.blocking import apart
from ansible_collections.vmshift.mtv.controlplane.cluster_client import is_insecure, secret_text
from ansible_collections.vmshift.mtv.controlplane.controllers.conditions import WARN, Conditions
from ansible_collections.vmshift.mtv.controlplane.inventory.collectors import vsphere_endpoint
from ansible_collections.vmshift.mtv.plugins.module_utils.naming import sanitized
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import thumbprint, trusted_certificate

Object = dict[str, Any]

SSH_KEY_BITS = 2048


async def fingerprint(provider: Object, secret: Object) -> str:
    """SHA-1 of the server's certificate, "" while the Secret says neither whom to trust nor that it does not matter. Raises SourceError."""
    if not (is_insecure(secret) or secret_text(secret, "ca.crt") or secret_text(secret, "cacert")):
        return ""
    endpoint = vsphere_endpoint(provider["spec"].get("url") or "", secret)
    return thumbprint(await apart(lambda: trusted_certificate(endpoint)))


def stage_privileges(missing: Iterable[str], conditions: Conditions) -> None:
    """Migrations will fail for want of these."""
    missing = sorted(missing)
    if missing:
        conditions.set(
            "InsufficientPrivileges",
            WARN,
            "The user of the provider's secret lacks privileges that migrations need.",
            reason="PrivilegesNotGranted",
            items=missing,
            suggestion=f"Grant on the vCenter: {', '.join(missing)}",
        )


def ssh_key_names(provider: Object) -> tuple[str, str]:
    """Names of the Secrets with the private and the public key."""
    name = sanitized(provider["metadata"]["name"])
    return f"offload-ssh-keys-{name}-private", f"offload-ssh-keys-{name}-public"


def ssh_keys(provider: Object) -> list[Object]:
    """Two Secrets with a new pair of keys. Storage offload, which is not offered here, logs in to ESXi hosts with them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=SSH_KEY_BITS)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH) + b"\n"
    meta = provider["metadata"]
    owner = {
        "apiVersion": provider["apiVersion"],
        "kind": "Provider",
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    labels = {
        "app.kubernetes.io/name": "forklift",
        "app.kubernetes.io/component": "ssh-keys",
        "app.kubernetes.io/managed-by": "forklift-controller",
        "forklift.konveyor.io/provider": meta["name"],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {
                "name": name,
                "namespace": meta["namespace"],
                "labels": labels,
                "ownerReferences": [owner],
            },
            "data": {field: base64.b64encode(content).decode()},
        }
        for name, field, content in zip(ssh_key_names(provider), ("private-key", "public-key"), (private, public), strict=True)
    ]
