# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # A module that talks to a source itself.
    DOCUMENTATION = r"""
options:
  url:
    description:
      - Where the source is, as in a C(Provider).
      - For V(vsphere) the SDK endpoint of a vCenter or ESXi host, C(https://HOST/sdk).
      - For V(ovirt) the API of an engine, C(https://HOST/ovirt-engine/api).
      - For V(openstack) that of Keystone, C(https://HOST:5000/v3).
      - For V(ova) C(SERVER:/PATH) of an export that is mounted on the host that runs this module, or C(localhost:/PATH) of a folder there.
    type: str
    required: true
  user:
    description: Who logs in. Without it the environment variable E(VMWARE_USER) counts. Not for V(ova).
    type: str
  password:
    description: The password. Without it the environment variable E(VMWARE_PASSWORD) counts. Not for V(ova).
    type: str
  ca_cert:
    description:
      - Certificates (PEM) of the authorities that signed the source's certificate, or that certificate itself.
      - Without any of O(ca_cert), O(ca_cert_file) and O(thumbprint), the authorities that the host trusts count.
    type: str
  ca_cert_file:
    description: File with these certificates, on the host that runs this module.
    type: path
  thumbprint:
    description: SHA-1 thumbprint of a vSphere source's certificate as vSphere shows it, C(AA:BB:...). No other certificate is taken then.
    type: str
  insecure_skip_verify:
    description: Whether the source's certificate is not verified. The task warns then.
    type: bool
    default: false
  timeout:
    description: Seconds that the source may take to answer one request.
    type: int
    default: 60
attributes:
  check_mode:
    description: Can run in C(check_mode) and predict what would change, without changing anything.
    support: full
  action_group:
    description: Use C(group/vmshift.mtv.source) in C(module_defaults) to set the connection options of all modules that talk to sources.
    support: full
    membership:
      - vmshift.mtv.source
"""
