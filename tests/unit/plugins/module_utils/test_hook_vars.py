"""Variables written into the text of a playbook, and secrets that are not."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given as generated
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError
from ansible_collections.vmshift.mtv.plugins.module_utils.hook_vars import refuse_secrets, with_vars

TWO_PLAYS = """---
# Stops what writes to the database.
- name: Find the guest   # by its address
  hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: "{{ port }}"}

- hosts:
    - guests
  vars:
    # How long to wait
    timeout: 60
    services: [a, b]

    note: |
      several
      lines
  tasks: []
"""


def test_every_play_gets_them_and_the_rest_of_the_text_stays():
    assert (
        with_vars(TWO_PLAYS, {"port": 5432, "services": ["postgresql"]})
        == """---
# Stops what writes to the database.
- name: Find the guest   # by its address
  hosts: localhost
  vars:
    port: 5432
    services:
    - postgresql
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: "{{ port }}"}

- hosts:
    - guests
  vars:
    # How long to wait
    port: 5432
    services:
    - postgresql
    timeout: 60

    note: |
      several
      lines
  tasks: []
"""
    )


@pytest.mark.parametrize(
    "playbook",
    [
        "- hosts: localhost",
        "- hosts: localhost\n",
        "- hosts: localhost  # here\n",
        "- hosts: [a, b]\n- hosts: c\n  vars: # none yet\n  tasks: []\n",
        "- hosts: c\n  vars:\n    port: 1\n",
        "- hosts: c\n  vars:\n    port: |\n      long\n    other: 2\n  tasks: []\n",
        "- hosts: c\n  vars:\n    port:\n      deep:\n        deeper: 1\n\n# the end\n",
        "- tasks: []\n  hosts: c",
        "- vars:\n    port: 1\n    a: 2\n  hosts: c\n",
        "-   hosts: c\n    vars:\n        port: 1\n        secret: !vault |\n            abc\n    tasks: []\n",
        "- import_playbook: other.yml\n- hosts: a\n",
        "  - hosts: indented\n    tasks: []\n",
        "- hosts: 'ü'\n",
    ],
)
def test_playbooks_in_many_styles(playbook):
    given = {"port": 5432, "who": "Zoë: yes #1", "text": "one\n  two\n", "deep": {"list": [1, {"a": None}], "flag": False}}
    written = with_vars(playbook, given)

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_multi_constructor("!", lambda loader, suffix, node: f"!{suffix} {node.value}")
    before, after = yaml.load(playbook, Loader=Loader), yaml.load(written, Loader=Loader)
    assert after == [{**play, "vars": {**(play.get("vars") or {}), **given}} if "hosts" in play else play for play in before]
    assert with_vars(written, given) == written, "written twice is written once"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), inner, max_size=3),
    max_leaves=8,
)


@generated(st.dictionaries(st.from_regex(r"x[a-z_]{0,8}", fullmatch=True), values, max_size=4))
def test_every_value_comes_out_as_it_went_in(given):
    try:
        written = with_vars(TWO_PLAYS, given)
    except TalkError as error:
        assert "looks like a secret" in str(error)
        return
    first, second = yaml.safe_load(written)
    assert first.get("vars", {}) == given
    assert second["vars"] == {"timeout": 60, "services": ["a", "b"], "note": "several\nlines\n", **given}


@pytest.mark.parametrize(
    ("playbook", "said"),
    [
        ("- {hosts: localhost, tasks: []}\n", "vars: play 1 is written in one line with braces"),
        (
            "- hosts: a\n- hosts: b\n  vars: {a: 1}\n",
            "vars: play 2 has vars in a form that nothing can be added to; write them one per line.",
        ),
        ("- hosts: a\n  vars: [x]\n", "vars: play 1 has vars in a form"),
        ("- &one\n  hosts: a\n  vars: &v\n    x: 1\n- hosts: b\n  vars: *v\n", "they cannot be written into this playbook"),
    ],
)
def test_playbooks_that_nothing_can_be_added_to(playbook, said):
    with pytest.raises(TalkError) as error:
        with_vars(playbook, {"port": 1})
    assert said in str(error.value)


@pytest.mark.parametrize("name", ["my-var", "1st", "", "a b", "a.b"])
def test_names_of_variables(name):
    with pytest.raises(TalkError, match="cannot be the name of a variable"):
        with_vars(TWO_PLAYS, {name: 1})


@pytest.mark.parametrize(
    "name",
    """password db_password PASSWORD dbPassword password2 admin_passwd ssh_private_key apiKey api_key access_key secret client_secret
    token vaultToken auth_key credentials db_pass sudo_pwd passphrase encryption_key license_key secret_key""".split(),
)
def test_secrets_are_refused_by_their_names(name):
    for given in ({name: "hush"}, {"deep": {name: "hush"}}, {"list": [{name: "hush"}]}):
        with pytest.raises(TalkError) as error:
            refuse_secrets(given)
        assert "looks like a secret" in str(error.value)
        assert "Secret in the plan's namespace" in str(error.value)
        assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        {"db_password_secret_name": "creds", "token_url": "https://x", "password_length": "12", "secret_namespace": "x", "key_file": "/x"},
        {"password": "", "use_token": True, "token": None, "passengers": "7", "monkey": "x", "keyboard": "de", "author": "me"},
        {"ssh_key": "ssh-ed25519 AAAA me", "ssh_public_key": "anything", "bypass_checks": "yes", "sort_key": "name", "key": "value"},
        {"access_key": "-----BEGIN PUBLIC KEY-----\nx"},
    ],
)
def test_what_only_sounds_alike_is_taken(given):
    refuse_secrets(given)


def test_a_private_key_is_refused_under_any_name():
    with pytest.raises(TalkError, match="vars: note looks like a secret"):
        refuse_secrets({"note": "x\n-----BEGIN OPENSSH PRIVATE KEY-----\nabc"})
