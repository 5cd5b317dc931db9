"""All services: imports what they share once, forks one process for each, and ends them all when it ends.

usage: run.py FOLDER [--while PID]      the folder is where configuration and data lie; its services end when process PID does
"""

import ctypes
import importlib
import os
import runpy
import signal
import sys
import threading
import time
import warnings

warnings.filterwarnings("ignore")
HERE = os.path.dirname(os.path.abspath(__file__))
SERVICES = {
    "keystone": ("serve.py", "keystone", "keystone.wsgi.api"),
    "nova": ("nova_all.py",),
    "neutron": ("serve.py", "neutron", "neutron.wsgi.api", "--config-file", "etc/neutron/neutron.conf"),
    "cinder": ("cinder_all.py",),
    "glance": ("serve.py", "glance", "glance.wsgi.api"),
    "placement": ("serve.py", "placement", "placement.wsgi.api"),
}
SHARED = """
sqlalchemy sqlalchemy.orm alembic oslo_config.cfg oslo_log.log oslo_context oslo_utils.timeutils oslo_serialization.jsonutils
oslo_concurrency.processutils oslo_concurrency.lockutils oslo_db.api oslo_db.sqlalchemy.enginefacade oslo_policy.policy oslo_messaging
oslo_middleware oslo_cache oslo_i18n oslo_versionedobjects.base oslo_reports.guru_meditation_report oslo_privsep.priv_context
oslo_upgradecheck keystonemiddleware.auth_token keystoneauth1.loading keystoneclient.v3.client openstack webob routes paste.deploy
requests lxml.etree jsonschema cheroot.wsgi cheroot.ssl.builtin stevedore osprofiler dogpile.cache cryptography.fernet saml2.request flask
tooz.coordination taskflow.engines glanceclient.v2.client cinderclient.v3.client neutron_lib pecan netaddr os_brick os_vif castellan cursive
""".split()


class NoEventlet:
    """In the parent nothing may bring eventlet along: it patches what the services then inherit."""

    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "eventlet":
            raise ImportError("no eventlet in the parent of the services")


def import_shared():
    refusal = NoEventlet()
    sys.meta_path.insert(0, refusal)
    for module in SHARED:
        try:
            importlib.import_module(module)
        except Exception as error:  # then each service imports it
            print("not shared:", module, error, flush=True)
    sys.meta_path.remove(refusal)


def start(name, arguments):
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: nothing outlives the parent, however that ends
    if os.getppid() != parent:
        os._exit(1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    output = os.open(f"log/{name}.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = list(arguments)
    try:
        runpy.run_path(os.path.join(HERE, arguments[0]), run_name="__main__")
    except BaseException:
        import traceback

        traceback.print_exc()
    os._exit(1)


def end_with(pid):
    while True:
        time.sleep(0.5)
        try:
            os.kill(pid, 0)
        except OSError:
            os.kill(os.getpid(), signal.SIGTERM)
            return


def main():
    folder = sys.argv[1]
    watched = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    os.chdir(folder)
    sys.path.insert(0, HERE)
    import_shared()
    for name in ("keystone", "glance", "placement"):
        os.environ[f"OS_{name.upper()}_CONFIG_DIR"] = os.path.abspath(f"etc/{name}")
    children = {start(name, arguments): name for name, arguments in SERVICES.items()}

    def end(_signal, _frame):
        for child in children:
            os.kill(child, signal.SIGTERM)
        deadline = time.monotonic() + 3
        while children and time.monotonic() < deadline:
            ended, _status = os.waitpid(-1, os.WNOHANG)
            children.pop(ended, None)
            if not ended:
                time.sleep(0.05)
        os._exit(0)  # what is left gets SIGKILL from the kernel

    signal.signal(signal.SIGTERM, end)
    if watched:
        threading.Thread(target=end_with, args=(watched,), daemon=True).start()
    ended, status = os.wait()
    print(f"{children.pop(ended)} ended with {os.waitstatus_to_exitcode(status)}", flush=True)
    end(None, None)


if __name__ == "__main__":
    main()
