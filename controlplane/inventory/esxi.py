"""The one question that is asked of an ESXi host itself: do its address and these credentials work (facts 1.2)?"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any, Protocol

from ansible_collections.vmshift.mtv.controlplane.cluster_client import secret_text
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.vsphere.session import Endpoint, try_connection

Object = dict[str, Any]


class ConnectionTest(Protocol):
    """Log in at `https://{address}/sdk` with a Host's Secret, and out again. Raises SourceError.

    `thumbprint`: SHA-1 of the host's certificate as the inventory of the provider knows it, "" when it does not.
    """

    async def __call__(self, address: str, secret: Object, thumbprint: str) -> None: ...


async def test_connection(address: str, secret: Object, thumbprint: str) -> None:
    await asyncio.to_thread(try_connection, endpoint(address, secret, thumbprint))


def endpoint(address: str, secret: Object, thumbprint: str) -> Endpoint:
    """What of a Host's Secret says how to log in; the thumbprint counts where neither an authority is given nor anything trusted."""
    insecure = secret_text(secret, "insecureSkipVerify").lower() in ("true", "1", "t")
    authority = secret_text(secret, "ca.crt") or secret_text(secret, "cacert")
    known = "" if insecure or authority else secret_text(secret, "thumbprint") or thumbprint
    return Endpoint(
        f"https://{_bracketed(address)}/sdk",
        secret_text(secret, "user"),
        secret_text(secret, "password"),
        ca=authority,
        insecure=insecure,
        thumbprint=known,
    )


def _bracketed(address: str) -> str:
    try:
        return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    except ValueError:
        return address
