"""Put pip into an empty environment, from the interpreter's own bundle and PyPI alone.

ansible-test asks its project's file server for such a script; where only PyPI can be reached, this one takes its place in
ansible-test's cache. Called as `get_pip.py [pip options] pip==VERSION [setuptools==...] [--no-setuptools] [--no-wheel]`.
"""

from __future__ import annotations

import subprocess
import sys

# In a process of its own, because it turns pip's configuration off for the process it runs in.
subprocess.check_call([sys.executable, "-m", "ensurepip"])
arguments = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *arguments]))
