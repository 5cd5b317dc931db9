"""Certificates from text, from files, and from a real TLS server."""

from __future__ import annotations

import hashlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ansible_collections.vmshift.mtv.controlplane.apiserver.pki import ensure_pki
from ansible_collections.vmshift.mtv.controlplane.state import State
from ansible_collections.vmshift.mtv.plugins.module_utils import certificates
from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError


@pytest.fixture
def pki(tmp_path):
    return ensure_pki(State(tmp_path / "state"))


@pytest.fixture
def serve(tmp_path, pki):
    """serve(with_authority=True): the port of a server that sends its certificate, and that of its authority too if asked to."""
    servers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == "/authority.pem"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(pki.ca_cert_path.read_bytes() if found else b"nothing")

        def log_message(self, *args):
            pass

    def start(with_authority=False):
        chain = tmp_path / "chain.pem"
        chain.write_text(pki.server_cert_path.read_text() + (pki.ca_cert_path.read_text() if with_authority else ""))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, pki.server_key_path)
        server = HTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *args: None  # clients that only look at the certificate
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        return f"https://127.0.0.1:{server.server_address[1]}/sdk"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def wanted(path, algorithm="sha256"):
    der = ssl.PEM_cert_to_DER_cert(path.read_text())
    return certificates.fingerprint(certificates.shown(der, algorithm), "f")


def test_the_certificate_with_the_fingerprint_is_taken(serve, pki):
    url = serve()
    for algorithm in ("sha1", "sha256"):
        pem = certificates.trusted(url, wanted(pki.server_cert_path, algorithm), "f")
        assert ssl.PEM_cert_to_DER_cert(pem) == ssl.PEM_cert_to_DER_cert(pki.server_cert_path.read_text())


def test_an_authority_that_the_server_sends_along_can_be_meant(serve, pki):
    pem = certificates.trusted(serve(with_authority=True), wanted(pki.ca_cert_path), "f")
    assert ssl.PEM_cert_to_DER_cert(pem) == ssl.PEM_cert_to_DER_cert(pki.ca_cert_path.read_text())


def test_an_authority_that_the_server_offers_for_download_can_be_meant(serve, pki):
    url = serve()
    with pytest.raises(TalkError, match="shows another certificate"):
        certificates.trusted(url, wanted(pki.ca_cert_path), "f", more=["/elsewhere.pem"])
    pem = certificates.trusted(url, wanted(pki.ca_cert_path), "f", more=["/elsewhere.pem", "/authority.pem"])
    assert ssl.PEM_cert_to_DER_cert(pem) == ssl.PEM_cert_to_DER_cert(pki.ca_cert_path.read_text())


@pytest.mark.parametrize(("length", "name", "algorithm"), [(40, "SHA-1", "sha1"), (64, "SHA-256", "sha256")])
def test_another_certificate_is_told_with_its_fingerprint(serve, pki, length, name, algorithm):
    seen = certificates.shown(ssl.PEM_cert_to_DER_cert(pki.server_cert_path.read_text()), algorithm)
    with pytest.raises(TalkError) as error:
        certificates.trusted(serve(), certificates.fingerprint("0" * length, "f"), "secret: ca_fingerprint")
    assert str(error.value).startswith("secret: ca_fingerprint: 127.0.0.1:")
    assert f"with the {name} fingerprint {seen}; is it the right server?" in str(error.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://keystone.example.com:5000", "only be fetched from an https URL; the url is 'http://keystone.example.com:5000'"),
        ("https://host:port", "only be fetched from an https URL"),
        ("https://127.0.0.1:1/sdk", "no certificate could be fetched from 127.0.0.1:1: Connection refused"),
        ("https://no-such-host.invalid/sdk", "no certificate could be fetched from no-such-host.invalid:443: "),
    ],
)
def test_a_server_that_shows_none(url, said):
    with pytest.raises(TalkError, match="^f: ") as error:
        certificates.trusted(url, certificates.fingerprint("0" * 64, "f"), "f")
    assert said in str(error.value)


def test_fingerprints_are_read_in_all_their_spellings():
    digest = hashlib.sha256(b"x").hexdigest()
    colons = ":".join(digest[i : i + 2] for i in range(0, 64, 2)).upper()
    for text in (digest, digest.upper(), colons, colons.lower(), colons.replace(":", " ")):
        assert certificates.fingerprint(text, "f") == ("sha256", digest)
    assert certificates.fingerprint("AB" * 20, "f").algorithm == "sha1"
    assert certificates.fingerprint(digest, "f").fits(b"x")
    assert not certificates.fingerprint(digest, "f").fits(b"y")


@pytest.mark.parametrize("text", ["", "AB:CD", "zz" * 32, "ab" * 16, "sha256:" + "ab" * 32])
def test_other_texts_are_no_fingerprints(text):
    with pytest.raises(TalkError, match="f: .* is no fingerprint; give 64 hexadecimal digits of SHA-256 or 40 of SHA-1"):
        certificates.fingerprint(text, "f")


def test_certificates_are_checked(pki, tmp_path):
    text = pki.ca_cert_path.read_text()
    assert certificates.checked("Subject: who\n" + text + text, "c") == "Subject: who\n" + text + text
    assert certificates.read_file(str(pki.ca_cert_path), "c") == text
    for bad in ("", "PEM", text[:200], text.replace("M", "!"), pki.server_key_path.read_text()):
        with pytest.raises(TalkError, match="^c: this is no certificate in PEM"):
            certificates.checked(bad, "c")
    (tmp_path / "ca.der").write_bytes(ssl.PEM_cert_to_DER_cert(text))
    with pytest.raises(TalkError, match=r"^c: .*ca\.der holds no certificate in PEM; convert it"):
        certificates.read_file(str(tmp_path / "ca.der"), "c")
    with pytest.raises(TalkError, match=r"^c: .*absent\.pem cannot be read: No such file"):
        certificates.read_file(str(tmp_path / "absent.pem"), "c")
