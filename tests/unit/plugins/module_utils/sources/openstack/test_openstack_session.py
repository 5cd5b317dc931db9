"""How a provider's Secret becomes a login, and what is said of one that cannot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.sources import AUTH, CONNECTION, DATA, SourceError
from ansible_collections.vmshift.mtv.plugins.module_utils.sources.openstack.session import Credentials, explained, open_session, words

URL = "https://keystone.example.com:5000/v3"
LOGIN = {"username": "migrator", "password": "geheim-1"}


def auth(**options: str) -> dict[str, str]:
    found = Credentials(URL, options).auth()
    assert found.pop("auth_url") == URL
    return found


def test_a_password_with_one_domain_for_user_and_project() -> None:
    assert auth(**LOGIN, projectName="shop", domainName="Default") == {
        "username": "migrator",
        "password": "geheim-1",
        "user_domain_name": "Default",
        "project_name": "shop",
        "project_domain_name": "Default",
    }


def test_domains_of_their_own_go_before_the_common_one_and_ids_before_names() -> None:
    found = auth(**LOGIN, projectName="shop", domainName="Default", userDomainID="u", userDomainName="U", projectDomainName="P")
    assert (found["user_domain_id"], found["project_domain_name"]) == ("u", "P")
    assert "user_domain_name" not in found


def test_a_domain_to_use_where_none_is_given() -> None:
    found = auth(**LOGIN, projectName="shop", defaultDomain="default")
    assert (found["user_domain_id"], found["project_domain_id"]) == ("default", "default")


def test_a_project_is_looked_for_in_the_domain_of_the_user() -> None:
    assert auth(**LOGIN, projectName="shop", userDomainName="Users")["project_domain_name"] == "Users"


def test_ids_need_no_domains() -> None:
    assert auth(userID="u1", password="geheim-1", projectID="p1") == {"user_id": "u1", "password": "geheim-1", "project_id": "p1"}


def test_without_a_project_the_domain_is_what_is_asked_for() -> None:
    assert auth(**LOGIN, domainName="Default")["domain_name"] == "Default"


def test_a_token() -> None:
    assert auth(authType="token", token="t0k3n", projectID="p1") == {"token": "t0k3n", "project_id": "p1"}


def test_an_application_credential_by_id_names_neither_user_nor_project() -> None:
    found = auth(authType="applicationcredential", applicationCredentialID="a1", applicationCredentialSecret="s3cret", projectName="shop")
    assert found == {"application_credential_id": "a1", "application_credential_secret": "s3cret"}


def test_an_application_credential_by_name_is_of_a_user() -> None:
    given = {
        "applicationCredentialName": "mtv",
        "applicationCredentialSecret": "s3cret",
        "username": "migrator",
        "userDomainName": "Default",
    }
    assert auth(authType="applicationcredential", **given) == {
        "application_credential_name": "mtv",
        "application_credential_secret": "s3cret",
        "username": "migrator",
        "user_domain_name": "Default",
    }


@pytest.mark.parametrize(
    ("options", "kind", "told"),
    [
        ({"authType": "kerberos", **LOGIN}, DATA, "kerberos"),
        ({"username": "migrator"}, AUTH, "password"),
        ({"password": "geheim-1"}, AUTH, "username or userID"),
        (LOGIN, AUTH, "domain of the user"),
        ({"authType": "token"}, AUTH, "token"),
        ({"authType": "applicationcredential", "applicationCredentialID": "a1"}, AUTH, "applicationCredentialSecret"),
        ({"authType": "applicationcredential", "applicationCredentialName": "n", "applicationCredentialSecret": "s"}, AUTH, "username"),
    ],
)
def test_what_a_secret_lacks_is_told(options: dict[str, str], kind: str, told: str) -> None:
    pytest.importorskip("openstack")
    with pytest.raises(SourceError, match=told) as failure:
        open_session(Credentials(URL, options))
    assert failure.value.kind == kind


def test_the_ca_is_no_longer_there_when_a_session_is_closed() -> None:
    pytest.importorskip("openstack")
    session = open_session(Credentials(URL, {**LOGIN, "domainName": "Default", "cacert": "-----BEGIN CERTIFICATE-----"}))
    path = session._ca_file
    assert Path(path).read_text().startswith("-----BEGIN")
    session.close()
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("status", "login", "kind"), [(401, False, AUTH), (400, True, AUTH), (403, False, AUTH), (400, False, DATA), (503, False, CONNECTION)]
)
def test_what_an_answer_means(status: int, login: bool, kind: str) -> None:
    exceptions: Any = pytest.importorskip("openstack.exceptions")
    credentials = Credentials(URL, LOGIN)
    with pytest.raises(SourceError) as failure, explained(credentials, "list servers", login=login):
        raise exceptions.HttpException(message="no: geheim-1", response=SimpleNamespace(status_code=status, headers={}, url=URL))
    assert failure.value.kind == kind
    assert "geheim-1" not in failure.value.message


def test_nobody_reads_a_password_in_credentials() -> None:
    assert "geheim" not in repr(Credentials(URL, LOGIN))


@pytest.mark.parametrize(
    ("wrapped", "why"),
    [
        ("('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))", "Connection reset by peer"),
        ("('Connection aborted.', RemoteDisconnected('Remote end closed connection'))", "Remote end closed connection"),
        ("Max retries exceeded (Caused by NewConnectionError('<Connection>: [Errno 111] Connection refused'))", "Connection refused"),
        (
            "Max retries exceeded (Caused by SSLError(1, 'certificate verify failed: self-signed certificate (_ssl.c:1)'))",
            "self-signed certificate",
        ),
        ("no reason", f"Unable to establish connection to {URL}: no reason"),
    ],
)
def test_of_a_connection_that_fails_only_the_reason_is_told(wrapped: str, why: str) -> None:
    assert words(Exception(f"Unable to establish connection to {URL}: {wrapped}")) == why
