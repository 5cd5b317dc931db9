"""Carries one connection of a guest: stdin and stdout to and from HOST PORT. A program of its own, quick to start."""

from __future__ import annotations

import os
import select
import socket
import sys

_BLOCK = 65536


def main(arguments: list[str]) -> int:
    try:
        target = socket.create_connection((arguments[0], int(arguments[1])), timeout=10)
    except OSError as error:
        print(f"relay: {':'.join(arguments[:2])}: {error}", file=sys.stderr)
        return 1
    target.settimeout(None)
    inputs = [0, target.fileno()]
    while target.fileno() in inputs:
        for ready in select.select(inputs, [], [])[0]:
            data = os.read(ready, _BLOCK) if ready == 0 else target.recv(_BLOCK)
            if not data:
                inputs.remove(ready)
                if ready == 0:
                    target.shutdown(socket.SHUT_WR)
            elif ready == 0:
                target.sendall(data)
            else:
                while data:
                    data = data[os.write(1, data) :]
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
