"""Nova's API, conductor, scheduler and compute services in one process: RPC stays inside it, so that no broker is needed."""

import os
import sys

os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "true"
os.environ["OS_NOVA_CONFIG_DIR"] = os.path.abspath("etc/nova")
sys.argv = ["nova"]
from nova import monkey_patch

monkey_patch.patch(backend="threading")
import nova.conf
import nova.virt
import os_brick
import os_brick.privileged
import os_vif
import serve
import sqlite_locking

nova.virt.__path__.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "virt"))
from nova import context, objects, privsep, service
from nova.compute import rpcapi as compute
from nova.conductor import rpcapi as conductor
from nova.objects import host_mapping
from nova.scheduler import rpcapi as scheduler
from nova.wsgi import osapi_compute

objects.register_all()
sqlite_locking.install()
for one in (privsep.sys_admin_pctxt, os_brick.privileged.default):
    one.set_client_mode(False)  # nothing here needs root: no helper processes with sudo
os_brick.setup(nova.conf.CONF)
os_vif.initialize()
service.Service.create(binary="nova-conductor", topic=conductor.RPC_TOPIC).start()
service.Service.create(binary="nova-scheduler", topic=scheduler.RPC_TOPIC).start()
alternative = {"topic_alt": compute.RPC_TOPIC_ALT} if hasattr(compute, "RPC_TOPIC_ALT") else {}
service.Service.create(binary="nova-compute", topic=compute.RPC_TOPIC, **alternative).start()
host_mapping.discover_hosts(context.get_admin_context())  # without it the first server finds no host
serve.serve("nova", osapi_compute.application)
