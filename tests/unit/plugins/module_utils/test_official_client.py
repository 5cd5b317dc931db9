"""Imported in parts, the official client must give the same settings as when it is imported whole: the newest version and the oldest."""

from __future__ import annotations

import base64
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

PROGRAM = Path(__file__).with_name("client_settings.py")
CACHE = Path(os.environ.get("VMSHIFT_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vmshift-mtv")
#: tests/run.sh puts it there: the lowest version that requirements.txt accepts.
OLDEST = CACHE / "oldest-client"
URL = "https://api.example.com:6443"


@pytest.fixture(params=["installed", "oldest"])
def library(request):
    """The folder that comes first on the import path, or None."""
    if request.param == "installed":
        return None
    if not OLDEST.is_dir():
        pytest.skip("the oldest client is not in the cache; `make unit` puts it there")
    return OLDEST


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """(certificate, key) files, which sign themselves."""
    folder = tmp_path_factory.mktemp("pair")
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "someone")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    certificate = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key").write_bytes(key.private_bytes(*form))
    return folder / "crt", folder / "key"


def kubeconfig(user, **cluster):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "clusters": [{"name": "c", "cluster": {"server": URL, **cluster}}, {"name": "other", "cluster": {"server": "https://other"}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u"}}, {"name": "two", "context": {"cluster": "other"}}],
    }


def exec_user(status):
    version = "client.authentication.k8s.io/v1"
    credential = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})
    return {"exec": {"apiVersion": version, "command": "echo", "args": [credential], "interactiveMode": "Never"}}


def id_token(expires):
    parts = ({"alg": "none"}, {"sub": "amy", "exp": int(expires)})
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts), "c2ln"])


def oidc_user(issuer, token):
    config = {"idp-issuer-url": issuer, "client-id": "cli", "client-secret": "hush", "refresh-token": "again", "id-token": token}
    return {"auth-provider": {"name": "oidc", "config": config}}


def ordinary_cases(folder, pair):
    """Ways to a cluster that need no library of the rare ones: name -> (case, what must be among the settings)."""
    crt, key = pair
    data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in (("crt", crt), ("key", key))}
    (folder / "token").write_text("from-a-file")
    (folder / "ca.crt").write_bytes(crt.read_bytes())
    files = {
        "token": kubeconfig({"token": "plain"}, **{"certificate-authority-data": data["crt"]}),
        "relative": kubeconfig({"tokenFile": "token"}, **{"certificate-authority": "ca.crt", "tls-server-name": "inner"}),
        "two": {**kubeconfig({"token": "second"}), "clusters": [{"name": "c", "cluster": {"server": "https://second"}}]},
    }
    paths = {name: folder / f"{name}.yaml" for name in files}
    for name, content in files.items():
        paths[name].write_text(yaml.safe_dump(content))
    (folder / "lists").write_text("- not\n- a kubeconfig\n")
    (folder / "empty").write_text("")
    future = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    valid = id_token(time.time() + 3600)
    certificates = {"client-certificate-data": data["crt"], "client-key-data": data["key"]}
    paths_of_pair = {"client-certificate": str(crt), "client-key": str(key)}
    https_proxy = {"HTTPS_PROXY": "http://proxy.example.com:3128"}
    options = {"host": URL, "api_key": "given"}
    pem = crt.read_text()
    return {
        "token and CA": (
            case(kubeconfig=str(paths["token"])),
            {"host": URL, "ssl_ca_cert": pem, "sent": [["authorization", "Bearer plain"]]},
        ),
        "token file and CA beside the kubeconfig": (
            case(kubeconfig=str(paths["relative"])),
            {"sent": [["authorization", "Bearer from-a-file"]], "ssl_ca_cert": pem, "tls_server_name": "inner"},
        ),
        "two files": (case(kubeconfig=f"{paths['two']}{os.pathsep}{paths['token']}"), {"host": "https://second"}),
        "default file": (case(), {"host": URL, "sent": [["authorization", "Bearer plain"]]}),
        "context without a user": (case(kubeconfig=str(paths["token"]), context="two"), {"host": "https://other", "sent": []}),
        "unknown context": (case(kubeconfig=str(paths["token"]), context="three"), {}),
        "client certificate as data": (case(kubeconfig=kubeconfig(certificates)), {"cert_file": pem, "sent": []}),
        "client certificate as files": (case(kubeconfig=kubeconfig(paths_of_pair)), {"cert_file": pem, "key_file": key.read_text()}),
        "name and password": (
            case(kubeconfig=kubeconfig({"username": "amy", "password": "pw"})),
            {"sent": [["authorization", "Basic YW15OnB3"]]},
        ),
        "token from a program": (
            case(kubeconfig=kubeconfig(exec_user({"token": "made", "expirationTimestamp": future}))),
            {"sent": [["authorization", "Bearer made"]]},
        ),
        "certificate from a program": (
            case(kubeconfig=kubeconfig(exec_user({"clientCertificateData": pem, "clientKeyData": key.read_text()}))),
            {"cert_file": pem, "key_file": key.read_text()},
        ),
        "program that is not there": (
            case(kubeconfig=kubeconfig({"exec": {"apiVersion": "v1", "command": "/no/such/program"}})),
            {"sent": []},
        ),
        "unverified": (case(kubeconfig=kubeconfig({}, **{"insecure-skip-tls-verify": True})), {"verify_ssl": False}),
        "valid token of OpenID Connect": (
            case(kubeconfig=kubeconfig(oidc_user("http://nowhere.example.com", valid))),
            {"sent": [["authorization", f"Bearer {valid}"]]},
        ),
        "valid token of Google": (
            case(kubeconfig=kubeconfig({"auth-provider": {"name": "gcp", "config": {"access-token": "ya29", "expiry": future}}})),
            {"sent": [["authorization", "Bearer ya29"]]},
        ),
        "a list": (case(kubeconfig=str(folder / "lists")), {}),
        "an empty file": (case(kubeconfig=str(folder / "empty")), {}),
        "options alone": (case(**options), {"host": URL, "sent": [["authorization", "Bearer given"]]}),
        "options with certificates": (case(host=URL, client_cert=str(crt), client_key=str(key), ca_cert=str(crt)), {"ssl_ca_cert": pem}),
        "options over a kubeconfig": (case(kubeconfig=str(paths["token"]), api_key="over"), {"sent": [["authorization", "Bearer over"]]}),
        "in a pod": (
            {**case(KUBERNETES_SERVICE_HOST="10.0.0.1", KUBERNETES_SERVICE_PORT="443"), "in_cluster": str(folder)},
            {"host": "https://10.0.0.1:443", "sent": [["authorization", "bearer from-a-file"]]},
        ),
        "token of a pod is missing": (
            {**case(KUBERNETES_SERVICE_HOST="::1", KUBERNETES_SERVICE_PORT="443"), "in_cluster": "/no"},
            {"host": URL},
        ),
        "proxy of the environment": (case(**options, **https_proxy), {}),
    }


def rare_cases(issuer):
    """Ways that do use one of the rare libraries."""
    options = {"host": URL, "api_key": "given"}
    expired, gone = id_token(time.time() - 60), "2020-01-01T00:00:00Z"
    google = {"auth-provider": {"name": "gcp", "config": {"access-token": "old", "expiry": gone}}}
    return {
        "expired token of OpenID Connect": (
            case(kubeconfig=kubeconfig(oidc_user(issuer, expired)), OAUTHLIB_INSECURE_TRANSPORT="1"),
            {"host": URL, "sent": [["authorization", "Bearer refreshed"]]},
        ),
        "expired token of Google": (case(kubeconfig=kubeconfig(google), GOOGLE_APPLICATION_CREDENTIALS="/no/such/file"), {}),
        "proxy option": (
            case(**options, proxy="http://proxy.example.com:3128"),
            {"pool": ["ProxyManager", "http://proxy.example.com:3128"]},
        ),
        "proxy option with exceptions": (
            case(**options, proxy="http://proxy.example.com:3128", no_proxy="example.com"),
            {"no_proxy": "example.com"},
        ),
        "proxy of the kubeconfig": (
            case(kubeconfig=kubeconfig({"token": "t"}, **{"proxy-url": "http://proxy.example.com:3128"})),
            {"host": URL},  # the oldest does not know it
        ),
    }


def case(**given):
    """Options in lower case, environment variables in upper case."""
    return {
        "params": {k: v for k, v in given.items() if k.islower()},
        "env": {k: v for k, v in given.items() if k.isupper()},
        "in_cluster": None,
    }


def told(mode, cases, folder, library, **environment):
    """What the program says: {"kept", "loaded", "results"}."""
    path = folder / f"{mode}.json"
    path.write_text(json.dumps(cases))
    own = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith(("K8S_AUTH_", "KUBE"))}
    import_path = os.pathsep.join(filter(None, (str(library or ""), own.get("PYTHONPATH", ""))))
    done = subprocess.run(
        [sys.executable, str(PROGRAM), mode, str(path)],
        env={**own, "PYTHONPATH": import_path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_same_settings_as_with_the_whole_client(library, kube, pair, tmp_path):
    def answer(request, handler):
        if request.path == "/.well-known/openid-configuration":
            kube.send(handler, 200, {"token_endpoint": kube.url + "/token"})
        else:
            refreshed = {"id_token": "refreshed", "refresh_token": "next", "access_token": "a", "token_type": "bearer"}
            kube.send(handler, 200, refreshed)

    kube.answer = answer
    ordinary, rare = ordinary_cases(tmp_path, pair), rare_cases(kube.url)
    expected = {**ordinary, **rare}
    cases = [*(given for given, _settings in ordinary.values()), None, *(given for given, _settings in rare.values())]
    spared, whole = (told(mode, cases, tmp_path, library, KUBECONFIG=str(tmp_path / "token.yaml")) for mode in ("spared", "whole"))

    def by_name(results):
        return dict(zip(expected, results, strict=True))

    assert by_name(spared["results"]) == by_name(whole["results"])
    for name, result in by_name(spared["results"]).items():
        assert expected[name][1].items() <= result.items(), name
    assert "kubernetes.config.kube_config" in spared["kept"]
    assert spared["loaded"] == []
    assert "kubernetes" in whole["loaded"]
    assert whole["kept"] == []


def run(code, library=None, path=()):
    import_path = os.pathsep.join(filter(None, (*map(str, path), str(library or ""), os.environ.get("PYTHONPATH", ""))))
    prelude = "import sys\nfrom ansible_collections.vmshift.mtv.plugins.module_utils import official_client\n"
    done = subprocess.run(
        [sys.executable, "-c", prelude + code],
        env={**os.environ, "PYTHONPATH": import_path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_others_get_the_whole_client_afterwards(library):
    code = """
before = set(sys.modules)
part = official_client.part("config.kube_config")
left = {n for n in sys.modules if n.partition(".")[0] in ("kubernetes", "oauthlib", "requests", "requests_oauthlib")}
print(sorted(left - before), [finder for finder in sys.meta_path if isinstance(finder, official_client._StandIns)])
import kubernetes.dynamic, requests, oauthlib.oauth2, requests_oauthlib
print(kubernetes.client.CoreV1Api.__name__, requests.get.__name__, oauthlib.oauth2.rfc6749.__name__)
print(part.OAuth2Session("id").__class__ is requests_oauthlib.OAuth2Session, official_client.part("client.rest").__name__)
"""
    clean, whole, same = "[] []", "CoreV1Api get oauthlib.oauth2.rfc6749", "True kubernetes.client.rest"
    assert " ".join(run(code, library)) == f"{clean} {whole} {same}"


def test_the_whole_client_when_other_threads_run():
    code = """
import threading
end = threading.Event()
threading.Thread(target=end.wait).start()
official_client.part("client.rest")
end.set()
print("kubernetes" in sys.modules)
"""
    assert run(code) == ["True"]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("from requests_oauthlib import OAuth2Session\nclass Session(OAuth2Session): pass", id="subclass"),
        pytest.param("import oauthlib.oauth2\nWORD = oauthlib.oauth2.WebApplicationClient.grant_type", id="value"),
        pytest.param("from kubernetes.client import ApiClient\nassert issubclass(ApiClient, object)", id="class"),
        pytest.param("from kubernetes import client\nclient.V1Pod.kind", id="models"),
    ],
)
def test_a_client_that_is_built_otherwise_is_imported_whole(tmp_path, code):
    """Not only is it imported, but nothing of the attempt stays behind."""
    for path, text in {
        "__init__.py": "from . import client, config",
        "client/__init__.py": "from .api_client import ApiClient\nclass V1Pod:\n    kind = 'Pod'",
        "client/api_client.py": "class ApiClient: pass",
        "config/__init__.py": "from . import kube_config",
        "config/kube_config.py": code,
    }.items():
        file = tmp_path / "kubernetes" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    told = run(
        "import importlib\npart = official_client.part('config.kube_config')\n"
        "print(part is sys.modules['kubernetes.config.kube_config'], sys.modules['kubernetes.client'].V1Pod.kind, official_client._kept)",
        path=[tmp_path],
    )
    assert told == ["True", "Pod", "{}"]


@pytest.mark.parametrize("library", ["kubernetes", "yaml", "urllib3"])
def test_a_missing_library_is_named(library):
    code = f"""
sys.modules.update({library}=None)
try:
    official_client.part("config.kube_config")
except official_client.ClusterError as error:
    print(error.reason, "({library})" in str(error))
"""
    assert run(code) == ["MissingLibrary", "True"]
