"""The one question that is asked of an ESXi host itself: do its address and these credentials work (facts 1.2)?"""

from __future__ import annotations

from typing import Any, Protocol

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import DATA, SourceError

Object = dict[str, Any]


class ConnectionTest(Protocol):
    """Log in at `https://{address}/sdk` with a Host's Secret, and out again. Raises SourceError.

    `thumbprint`: SHA-1 of the host's certificate as the inventory of the provider knows it, "" when it does not.
    """

    async def __call__(self, address: str, secret: Object, thumbprint: str) -> None: ...


async def test_connection(address: str, secret: Object, thumbprint: str) -> None:
    raise SourceError("ESXi hosts cannot be reached by this control plane yet", DATA)
