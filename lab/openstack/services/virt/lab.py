"""Nova's fake hypervisor, made to survive a restart; its servers never run, so the disk of one is what its image holds."""

import io
import uuid

from nova import context as contexts
from nova import objects
from nova.compute import task_states
from nova.image import glance
from nova.virt import fake


def node_uuid(name):
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "lab-node-" + name))


class LabDriver(fake.FakeDriver):
    def init_host(self, host):
        super().init_host(host)
        for found in objects.InstanceList.get_by_host(contexts.get_admin_context(), host):
            self.instances[found.uuid] = fake.FakeInstance(found.name, found.power_state, found.uuid)

    def get_nodenames_by_uuid(self, refresh=False):
        return {node_uuid(name): name for name in self.get_available_nodes()}

    def get_available_resource(self, nodename):
        return {**super().get_available_resource(nodename), "uuid": node_uuid(nodename)}

    def snapshot(self, context, instance, image_id, update_task_state):
        update_task_state(task_state=task_states.IMAGE_UPLOADING)
        images = glance.API()
        base = images.get(context, instance.image_ref)
        wanted = {
            "name": images.get(context, image_id)["name"],
            "disk_format": base["disk_format"],
            "container_format": "bare",
            "properties": {"image_state": "available"},
        }
        images.update(context, image_id, wanted, io.BytesIO(b"".join(images.download(context, instance.image_ref))))
