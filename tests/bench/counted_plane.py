"""The control plane with a log of its requests: one JSON object {"time", "method", "path", "agent"} a line in VMSHIFT_BENCH_REQUESTS."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ansible_collections.vmshift.mtv.controlplane import __main__ as program
from ansible_collections.vmshift.mtv.controlplane import serve


@web.middleware
async def count(request: web.Request, handler: Any) -> web.StreamResponse:
    entry = {"time": time.time(), "method": request.method, "path": request.path_qs, "agent": request.headers.get("User-Agent", "")}
    with open(os.environ["VMSHIFT_BENCH_REQUESTS"], "a") as log:
        log.write(json.dumps(entry) + "\n")
    return await handler(request)


def counted(build: Callable[..., web.Application]) -> Callable[..., web.Application]:
    def build_counted(*arguments: Any, **options: Any) -> web.Application:
        app = build(*arguments, **options)
        app.middlewares.insert(0, count)
        return app

    return build_counted


serve.http.build_app = counted(serve.http.build_app)
serve.build_inventory_app = counted(serve.build_inventory_app)

if __name__ == "__main__":
    sys.exit(program.main())
