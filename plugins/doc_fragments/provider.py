# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # What a Provider's Secret holds.
    SECRET = r"""
options:
  secret:
    description:
      - Credentials. The module keeps them in a Secret, which then holds exactly what is given here.
      - Changed values are written into the existing Secret, and the wait lasts until MTV has tried them.
      - The Secret is the one that O(secret_name) names, else the one that belongs to the provider already, else one of the provider's name.
    type: dict
    suboptions:
      user:
        description: User name; for V(ovirt) with its domain, such as V(admin@internal).
        type: str
      password:
        description: Password of O(secret.user).
        type: str
      token:
        description: Bearer token for types V(openshift) and V(openstack).
        type: str
      ca_cert:
        description:
          - Certificates (PEM) of the authorities that signed the provider's certificate.
          - Types V(vsphere), V(ovirt) and V(hyperv) need them, unless O(secret.insecure_skip_verify=true).
        type: str
      ca_cert_file:
        description: File with these certificates, on the host that runs this module. Instead of O(secret.ca_cert).
        type: path
      ca_fingerprint:
        description:
          - Fingerprint of the provider's certificate, or of that of an authority which it sends along, instead of O(secret.ca_cert).
            SHA-256, or SHA-1 as vSphere shows it, with or without colons.
          - The module fetches the certificates from O(url) and trusts the one with this fingerprint, and nothing else that the server says.
            When none has it, the task fails with the fingerprint that was seen, and nothing is written.
          - Once the Secret holds that certificate, the provider is not asked again.
          - For V(ovirt) it may also be that of the engine's own authority. Authorities are seen with Python 3.10 and newer.
        type: str
      insecure_skip_verify:
        description: Whether MTV connects without verifying the provider's certificate.
        type: bool
        default: false
      auth_type:
        description:
          - How to log in to type V(openstack); MTV takes V(password) when it is not given.
          - V(password) goes with O(secret.user) or O(secret.user_id), and O(secret.password). V(token) goes with O(secret.token).
          - V(applicationcredential) goes with O(secret.application_credential_secret) and either O(secret.application_credential_id), or
            O(secret.application_credential_name) and O(secret.user).
        type: str
        choices: [password, token, applicationcredential]
      user_id:
        description: Id of the user, instead of O(secret.user). Type V(openstack).
        type: str
      application_credential_id:
        description: Id of an application credential. Type V(openstack).
        type: str
      application_credential_name:
        description: Name of an application credential of O(secret.user). Type V(openstack).
        type: str
      application_credential_secret:
        description: Secret of the application credential. Type V(openstack).
        type: str
      project_name:
        description: Name of the project. Type V(openstack).
        type: str
      project_id:
        description: Id of the project. Type V(openstack).
        type: str
      user_domain_name:
        description: Name of the user's domain. Type V(openstack).
        type: str
      user_domain_id:
        description: Id of the user's domain. Type V(openstack).
        type: str
      project_domain_name:
        description: Name of the project's domain. Type V(openstack).
        type: str
      project_domain_id:
        description: Id of the project's domain. Type V(openstack).
        type: str
      domain_name:
        description: Name of the domain. Type V(openstack).
        type: str
      domain_id:
        description: Id of the domain. Type V(openstack).
        type: str
      default_domain:
        description: Domain to use where none is given. Type V(openstack).
        type: str
      region:
        description: Region, for types V(openstack) and V(ec2).
        type: str
      availability:
        description: Which endpoint of the service catalog to use; MTV takes V(public) when it is not given. Type V(openstack).
        type: str
        choices: [public, internal, admin]
      access_key_id:
        description: Access key of the source account. Type V(ec2).
        type: str
      secret_access_key:
        description: Secret of O(secret.access_key_id). Type V(ec2).
        type: str
      target_access_key_id:
        description: Access key of the account the cluster runs in. Type V(ec2).
        type: str
      target_secret_access_key:
        description: Secret of O(secret.target_access_key_id). Type V(ec2).
        type: str
      smb_url:
        description: Share that holds the disks, such as V(smb://server/share). Type V(hyperv).
        type: str
      smb_user:
        description: User of the share, O(secret.user) when not given. Type V(hyperv).
        type: str
      smb_password:
        description: Password of O(secret.smb_user), O(secret.password) when not given. Type V(hyperv).
        type: str
  secret_name:
    description:
      - Name of an existing Secret in O(namespace) that holds the credentials in MTV's own keys; or with O(secret), of the Secret to keep
        them in.
    type: str
"""

    # spec.settings of a Provider.
    KEYS = r"""
options:
  settings:
    description:
      - Settings of the provider, in MTV's own spelling. Those not given stay as they are; an empty value (V(null)) removes one. A key that
        is not known here is passed on with a warning.
      - Type V(vsphere) has C(vddkInitImage) - image with VMware's VDDK, without it that of MTV's settings; C(sdkEndpoint) - V(vcenter),
        which is the default, or V(esxi) when O(url) is that of an ESXi host; C(useVddkAioOptimization) - V(true) to let VDDK read with
        asynchronous buffers; C(vddkConfig) - text of the VDDK configuration file, such as
        V(VixDiskLib.nfcAio.Session.BufCount=4); and C(esxiCloneMethod) - V(vib) or V(ssh), how storage offload reaches an ESXi host
        (MTV 2.10).
      - Type V(ova) has C(applianceManagement) - V(true) to take files through MTV (MTV 2.10, C(feature_ova_appliance_management)).
      - Type V(ec2) has C(target-az) - zone of the cluster's nodes in which volumes are made, which MTV needs - and C(target-region).
      - Type V(hyperv) has C(managementType) - V(standalone) or V(cluster) (MTV 2.12.3) - and C(winrmPort), 5986 when not given.
    type: dict
"""
