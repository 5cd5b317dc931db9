"""Cinder's API, scheduler and volume services in one process: RPC stays inside it, so that no broker is needed."""

import os
import sys

os.environ["OS_CINDER_DISABLE_EVENTLET_PATCHING"] = "true"
sys.argv = ["cinder", "--config-file", "etc/cinder/cinder.conf"]
from cinder import monkey_patch

monkey_patch.patch(backend="threading")
import eventlet.tpool
import os_brick
import os_brick.privileged
import serve
import sqlite_locking
from cinder import i18n, objects, privsep, service
from cinder.cmd import volume as volume_command
from cinder.common import constants
from oslo_config import cfg

i18n.enable_lazy()
objects.register_all()
sqlite_locking.install()
CONF = cfg.CONF


class SameThread:
    """Some calls still go through eventlet's pool of threads, which never answers under native ones."""

    def __new__(cls, wrapped, *arguments, **options):
        return wrapped


eventlet.tpool.execute = lambda call, *arguments, **options: call(*arguments, **options)
eventlet.tpool.Proxy = SameThread

from cinder.wsgi import api

application = api.application
for context in (privsep.sys_admin_pctxt, os_brick.privileged.default):
    context.set_client_mode(False)  # nothing here needs root: no helper processes with sudo
os_brick.setup(CONF)
services = []
for backend in CONF.enabled_backends:
    CONF.register_opt(volume_command.host_opt, group=backend)
    services.append(
        service.Service.create(
            host=f"{CONF.host}@{backend}", service_name=backend, binary=constants.VOLUME_BINARY, coordination=True
        )
    )  # fmt: skip
services.append(service.Service.create(binary="cinder-scheduler"))
for one in services:
    one.start()
serve.serve("cinder", application)
