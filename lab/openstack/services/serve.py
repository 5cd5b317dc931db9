"""Serves one WSGI application on sockets that are bound already: one in plain HTTP for the other services, one with TLS for clients."""

import os
import socket
import sys
import threading

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter

THREADS = 8
IDLE = 600  # seconds that a connection may say nothing: transfers of images wait for disks


class OnSocket(wsgi.Server):
    def __init__(self, descriptor, application):
        self.given = socket.socket(fileno=descriptor)
        super().__init__(self.given.getsockname(), application, numthreads=THREADS, timeout=IDLE, request_queue_size=64)

    def bind(self, family, type, proto=0):
        self.socket = self.given
        return self.given


def serve(name, application):
    """Until the process ends. Descriptors and certificate come from the environment, as run.py sets it."""
    plain = OnSocket(int(os.environ["LAB_PLAIN_" + name.upper()]), application)
    secure = OnSocket(int(os.environ["LAB_TLS_" + name.upper()]), application)
    secure.ssl_adapter = BuiltinSSLAdapter(os.environ["LAB_CERTIFICATE"], os.environ["LAB_KEY"])
    for server in (plain, secure):
        server.prepare()
    threading.Thread(target=plain.serve, daemon=True).start()
    print("serving", flush=True)
    secure.serve()


if __name__ == "__main__":
    import importlib

    name, module, sys.argv = sys.argv[1], sys.argv[2], [sys.argv[2], *sys.argv[3:]]
    import sqlite_locking

    sqlite_locking.install()
    serve(name, importlib.import_module(module).application)
