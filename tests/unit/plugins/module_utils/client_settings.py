"""A program that makes clusters from auth options and tells what the official client's settings are then.

usage: client_settings.py spared|whole CASES.json   (a list of {"params", "env", "in_cluster": folder or null})

It prints {"kept": modules of the client imported alone, "loaded": heavy libraries loaded by the cases before the mark null, "results": …}.
`whole` imports the whole client first, as every other program does.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils import connection, official_client

HEAVY = ("kubernetes", "kubernetes.client.models", "google.auth", "oauthlib", "requests", "requests_oauthlib", "websocket", "pydantic")
FILES = ("ssl_ca_cert", "cert_file", "key_file")
PLAIN = ("host", "verify_ssl", "api_key", "username", "password", "proxy", "no_proxy", "proxy_headers", "tls_server_name")


def settings(case: dict[str, Any]) -> dict[str, Any]:
    for name, value in case.get("env", {}).items():
        os.environ[name] = value
    try:
        if case.get("in_cluster"):
            inside = official_client.part("config.incluster_config")
            inside.SERVICE_TOKEN_FILENAME = case["in_cluster"] + "/token"
            inside.SERVICE_CERT_FILENAME = case["in_cluster"] + "/ca.crt"
        cluster = connection.connect(case["params"])
        found = cluster._configuration
        pool = cluster._pool(cluster.host)
        return {
            **{name: getattr(found, name, None) for name in PLAIN},
            # Temporary files with names of their own.
            **{name: path and Path(path).read_text() for name, path in ((n, getattr(found, n)) for n in FILES)},
            "sent": cluster._credentials(),
            "pool": [type(pool).__name__, str(pool.proxy)],
        }
    except connection.ClusterError as error:
        return {"error": str(error), "cause": f"{type(error.__cause__).__name__}: {error.__cause__}"}
    finally:
        for name in case.get("env", {}):
            del os.environ[name]


def main() -> None:
    if sys.argv[1] == "whole":
        import kubernetes.config  # noqa: F401
    loaded: list[str] = []
    results = []
    for case in json.loads(Path(sys.argv[2]).read_text()):
        if case is None:
            loaded = [name for name in HEAVY if name in sys.modules]
        else:
            results.append(settings(case))
    print(json.dumps({"kept": sorted(official_client._kept), "loaded": loaded, "results": results}))


if __name__ == "__main__":
    main()
