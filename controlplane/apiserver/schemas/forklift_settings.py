"""The spec of ForkliftController: every setting of the operator, with the defaults of its CustomResourceDefinition."""

from __future__ import annotations

from ansible_collections.vmshift.mtv.controlplane.apiserver.schemas.notation import Schema, choice, integer, obj, string
from ansible_collections.vmshift.mtv.plugins.module_utils.controller_settings import NUMBER, SETTINGS, SWITCH, Setting, field_value


def _field(setting: Setting) -> Schema:
    default = {} if setting.default is None else {"default": field_value(setting, setting.default)}
    if setting.type == NUMBER:
        return integer(format="int32", minimum=setting.least, **default)
    if setting.type == SWITCH:
        return choice("true false", **default)
    if setting.choices:
        return choice(" ".join(setting.choices), **default)
    return string(**default, **({"pattern": setting.pattern} if setting.pattern else {}))


# Keys of older and newer operators are kept: the operator's own definition does so, too.
CONTROLLER_SPEC: Schema = {**obj(**{name: _field(setting) for name, setting in SETTINGS.items()}), "additionalProperties": True}
