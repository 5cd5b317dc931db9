from __future__ import annotations

import base64

import pytest

from ansible_collections.vmshift.mtv.plugins.module_utils.releases import since

PLAYBOOK = "- hosts: localhost\n  tasks:\n    - debug: {msg: hi}\n"
IMAGE = "quay.io/konveyor/hook-runner"
AAP = {"job_template_id": 42, "url": "https://aap.example.com", "token_secret": "aap-token"}


@pytest.fixture
def ready(plane, conditions_of_status):
    plane.controller("Hook", lambda obj: conditions_of_status(obj, "Ready"))


@pytest.fixture
def hook(run, ready):
    return lambda **given: run("hook", name="h", namespace="mig", **given)


def spec_of(plane):
    return plane.do("get", "Hook", "mig", "h")["spec"]


def test_from_nothing_to_absent(plane, hook):
    given = {"image": IMAGE, "playbook": PLAYBOOK, "service_account": "runner", "deadline": 60, "labels": {"a": "b"}}
    predicted = hook(check_mode=True, **given)
    assert plane.do("list", "Hook", "mig") == []
    made = hook(**given)
    assert made["changed"]
    assert made["diff"] == predicted["diff"]
    assert made["diff"]["after"]["spec"]["playbook"] == PLAYBOOK.splitlines()
    encoded = base64.b64encode(PLAYBOOK.encode()).decode()
    assert spec_of(plane) == {"image": IMAGE, "playbook": encoded, "serviceAccount": "runner", "deadline": 60}
    assert made["hook"]["status"]["conditions"][0]["type"] == "Ready"
    assert not hook(**given)["changed"]

    assert hook(check_mode=True, state="absent")["diff"]["before"]["spec"]["playbook"] == PLAYBOOK.splitlines()
    assert hook(state="absent")["hook"] is None
    assert not hook(state="absent")["changed"]


def test_what_is_not_given_stays_and_empty_texts_take_away(plane, hook):
    hook(image=IMAGE, playbook=PLAYBOOK, service_account="runner")
    changed = hook(deadline=5, service_account="")
    assert changed["diff"] == {"before": {**named(), "spec": {"serviceAccount": "runner"}}, "after": {**named(), "spec": {"deadline": 5}}}
    assert hook(playbook="")["changed"]
    assert spec_of(plane) == {"image": IMAGE, "deadline": 5}


def named():
    return {"apiVersion": "forklift.konveyor.io/v1beta1", "kind": "Hook", "metadata": {"name": "h", "namespace": "mig"}}


def test_one_kind_of_hook_replaces_the_other(plane, hook):
    hook(image=IMAGE, playbook=PLAYBOOK)
    assert hook(aap={**AAP, "timeout": -1})["changed"]
    job = {"jobTemplateId": 42, "url": AAP["url"], "tokenSecret": {"name": "aap-token"}}
    assert spec_of(plane) == {"aap": {**job, "timeout": -1}}
    assert hook(aap=AAP)["changed"]
    assert spec_of(plane) == {"aap": job}
    assert not hook(aap=AAP)["changed"]
    assert not hook(wait=False)["changed"]
    assert "image: this hook has none" in hook(playbook=PLAYBOOK)["msg"]
    assert hook(image=IMAGE)["changed"]
    assert spec_of(plane) == {"image": IMAGE}


def test_a_playbook_is_read_from_a_file(plane, hook, tmp_path):
    file = tmp_path / "hook.yml"
    file.write_text(PLAYBOOK + "      vars: {secret: !vault x, who: ü}\n")
    assert hook(image=IMAGE, playbook_file=str(file))["changed"]
    assert base64.b64decode(spec_of(plane)["playbook"]).decode() == file.read_text()
    assert not hook(image=IMAGE, playbook=file.read_text())["changed"]
    assert "absent.yml cannot be read: No such file" in hook(playbook_file=str(tmp_path / "absent.yml"))["msg"]
    file.write_bytes(b"\xff\xfe")
    assert "cannot be read: it is not text in UTF-8." in hook(playbook_file=str(file))["msg"]
    file.write_text("")
    assert "playbook_file: a playbook is a list of plays; this is empty." in hook(playbook_file=str(file))["msg"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"playbook": PLAYBOOK}, "image: this hook has none"),
        ({"image": ""}, "image: this hook has none"),
        ({"image": IMAGE, "playbook": "- hosts: [\n"}, "playbook: this is not YAML in line 2"),
        ({"image": IMAGE, "playbook": "hosts: localhost"}, "playbook: a playbook is a list of plays; this is a dictionary."),
        ({"image": IMAGE, "playbook": "just words"}, "this is text."),
        ({"image": IMAGE, "playbook": "[]"}, "this is an empty list."),
        ({"image": IMAGE, "playbook": "- hosts: a\n- name: b\n"}, "playbook: item 2 is no play"),
        ({"image": IMAGE, "playbook": PLAYBOOK + "#" * 800_000}, "a ConfigMap carries at most 1048576 (1 MiB)"),
        ({"image": IMAGE, "deadline": -1}, "deadline: -1 is no number of seconds"),
        ({"image": IMAGE, "aap": AAP}, "mutually exclusive: aap|image"),
        ({"playbook": PLAYBOOK, "aap": AAP}, "mutually exclusive: aap|playbook"),
        ({"aap": {**AAP, "job_template_id": 0}}, "aap.job_template_id: 0 is no id"),
        ({"aap": {"job_template_id": 1, "url": "https://x"}}, "required together: url, token_secret"),
        ({"aap": {"url": "https://x", "token_secret": "s"}}, "one of the following is required: job_template_id, job_template"),
        ({"aap": {**AAP, "job_template": "x"}}, "mutually exclusive: job_template_id|job_template"),
        ({"aap": AAP, "vars": {"a": 1}}, "mutually exclusive: aap|vars"),
        ({"image": "Not An Image"}, "image: 'Not An Image' is no image; give one such as"),
        ({"image": IMAGE, "service_account": "Run ner"}, "service_account: 'Run ner' cannot be the name of a ServiceAccount."),
        ({"image": IMAGE, "vars": {"a": 1}}, "vars: there is no playbook to write them into"),
        ({"image": IMAGE, "playbook": PLAYBOOK, "vars": {"db_password": "hush"}}, "vars: db_password looks like a secret"),
        ({"image": IMAGE, "playbook": PLAYBOOK, "vars": {"text": "#" * 800_000}}, "a ConfigMap carries at most"),
        ({"image": IMAGE, "library": "x"}, "library: the action plugin of this collection did not read it"),
    ],
)
def test_nothing_is_made_of_bad_options(plane, hook, given, said):
    result = hook(**given)
    assert result["failed"]
    assert said in result["msg"]
    assert plane.do("list", "Hook", "mig") == []


def test_variables_are_written_into_the_playbook_and_shown_as_text(plane, hook):
    made = hook(image=IMAGE, playbook=PLAYBOOK, vars={"port": 5432})
    text = "- hosts: localhost\n  vars:\n    port: 5432\n  tasks:\n    - debug: {msg: hi}\n"
    assert base64.b64decode(spec_of(plane)["playbook"]).decode() == text
    assert made["diff"]["after"]["spec"]["playbook"] == text.splitlines()
    assert not hook(image=IMAGE, playbook=PLAYBOOK, vars={"port": 5432})["changed"]
    changed = hook(playbook=PLAYBOOK, vars={"port": 5433})
    assert "    port: 5432" in changed["diff"]["before"]["spec"]["playbook"]
    assert "    port: 5433" in changed["diff"]["after"]["spec"]["playbook"]


@pytest.mark.mtv("2.11.7")
def test_job_templates_need_a_newer_release(plane, hook):
    assert hook(image=IMAGE, service_account="runner")["changed"]
    result = hook(aap=AAP)
    assert result["msg"] == "aap: the MTV of this cluster does not know this option; MTV 2.12.0 and newer do."
    assert spec_of(plane) == {"image": IMAGE, "serviceAccount": "runner"}


def test_a_blocking_condition_fails_the_task(plane, run, conditions_of_status):
    plane.controller("Hook", lambda obj: conditions_of_status(obj, "InvalidImage", category="Critical", message="No image."))
    result = run("hook", name="h", namespace="mig", image="a/b")
    assert result["msg"] == "Hook mig/h did not become ready: InvalidImage=True: No image."
    assert result["changed"]


def test_only_job_templates_are_newer_than_the_oldest_mtv():
    """Which is why the module asks what the cluster knows only for them."""
    assert set(since("Hook")) == {"aap"}
