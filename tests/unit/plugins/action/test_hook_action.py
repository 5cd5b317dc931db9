"""Hooks of the library, as the action plugin hands them to the module."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.vmshift.mtv.plugins.action.hook import LIBRARY, with_playbook


@pytest.fixture
def library(tmp_path):
    (tmp_path / "guest_facts.yml").write_text("- hosts: localhost\n")
    (tmp_path / "stop_services.yml").write_text("- hosts: all\n")
    (tmp_path / "README.md").write_text("")
    return tmp_path


def test_the_name_becomes_the_text(library):
    given = {"name": "h", "library": "guest_facts", "vars": {"a": 1}}
    assert with_playbook(given, library) == {"name": "h", "playbook": "- hosts: localhost\n", "vars": {"a": 1}}


def test_several_become_one_playbook_in_their_order(library):
    (library / "stop_services.yml").write_text("---\n# Stops\n- hosts: all\n")
    (library / "guest_facts.yml").write_text("---\n- hosts: localhost\n")
    both = with_playbook({"library": ["guest_facts", "stop_services"]}, library)["playbook"]
    assert both == "---\n- hosts: localhost\n\n# Stops\n- hosts: all\n"
    with pytest.raises(AnsibleActionFail, match="there is no hook 'start' in the library"):
        with_playbook({"library": ["guest_facts", "start"]}, library)


@pytest.mark.parametrize("more", [{}, {"playbook": "x"}, {"playbook_file": "x"}, {"aap": {"job_template_id": 1}}, {"state": "absent"}])
def test_the_rest_is_for_the_module(library, more):
    given = {"name": "h", **({"library": "guest_facts"} if more else {}), **more}
    assert with_playbook(given, library) == given


@pytest.mark.parametrize("name", ["guest_fact", "../guest_facts", "README", "guest_facts.yml", 3])
def test_an_unknown_name_is_told_with_those_that_there_are(library, name):
    with pytest.raises(AnsibleActionFail, match="library: there is no hook .* in the library; there are: guest_facts, stop_services"):
        with_playbook({"library": name}, library)


def test_the_library_lies_in_the_collection():
    assert LIBRARY.parts[-4:] == ("vmshift", "mtv", "playbooks", "hooks")
