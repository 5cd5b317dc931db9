"""The login at an ESXi host: what its Secret says, and a real one at the lab's simulator."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.controlplane.inventory.esxi import endpoint
from ansible_collections.vmshift.mtv.controlplane.inventory.esxi import test_connection as try_login
from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, SourceError


def secret(**data: str) -> dict[str, Any]:
    return {"data": {key.replace("_", "."): base64.b64encode(value.encode()).decode() for key, value in data.items()}}


@pytest.mark.parametrize(
    ("data", "verified"),
    [
        ({}, ("", False, "AA:BB")),
        ({"thumbprint": "CC"}, ("", False, "CC")),
        ({"ca_crt": "PEM"}, ("PEM", False, "")),
        ({"cacert": "old PEM", "insecureSkipVerify": "false"}, ("old PEM", False, "")),
        ({"insecureSkipVerify": "true"}, ("", True, "")),
    ],
)
def test_how_a_host_is_verified(data: dict[str, str], verified: tuple[str, bool, str]) -> None:
    found = endpoint("10.0.0.5", secret(user="root", password="x", **data), "AA:BB")
    assert (found.url, found.user, found.password) == ("https://10.0.0.5/sdk", "root", "x")
    assert (found.ca, found.insecure, found.thumbprint) == verified


def test_addresses_of_version_6_are_put_into_brackets() -> None:
    assert endpoint("fe80::1", secret(), "").url == "https://[fe80::1]/sdk"
    assert endpoint("esx1:8443", secret(), "").url == "https://esx1:8443/sdk"


async def test_a_real_login(vsphere: Any) -> None:
    address = vsphere.url.removeprefix("https://").removesuffix("/sdk")
    login = {"user": vsphere.user, "password": vsphere.password}
    await try_login(address, secret(**login, insecureSkipVerify="true"), "")
    await try_login(address, secret(**login, ca_crt=vsphere.ca), "")
    await try_login(address, secret(**login), vsphere.thumbprint)
    with pytest.raises(SourceError, match="refuses the user name or password") as refused:
        await try_login(address, secret(user=vsphere.user, password="wrong", insecureSkipVerify="true"), "")
    assert refused.value.kind == AUTH
    with pytest.raises(SourceError, match="is not trusted") as refused:
        await try_login(address, secret(**login), "")
    assert refused.value.kind == CONNECTION
    with pytest.raises(SourceError, match="cannot connect to"):
        await try_login("127.0.0.1:1", secret(**login, insecureSkipVerify="true"), "")
