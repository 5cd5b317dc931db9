# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values for a hook, written into the text of its playbook. Pure.

The rule: every play gets them in its own `vars`; a variable that the play sets there itself is replaced. Nothing else of the text changes,
neither comments nor the order of anything. A playbook in a Hook is no secret, so what looks like one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmshift.mtv.plugins.module_utils.errors import TalkError

_NAME = re.compile(r"[A-Za-z_]\w*")
#: Words that make a name look like that of a secret, as a whole or two in a row.
_SECRET_WORDS = frozenset("password passwd passphrase pass pwd secret token credential credentials apikey".split())
_KEYS = frozenset("private api access secret ssh auth encryption signing license product storage account host".split())
#: Names that end so tell where a secret is, or something about it.
_HARMLESS_ENDS = ("name", "names", "namespace", "ref", "file", "path", "url", "length", "policy", "type", "id")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PUBLIC_KEY = re.compile(r"(ssh-|ecdsa-|sk-)\S+ |-----BEGIN (PUBLIC KEY|CERTIFICATE)-----")


def refuse_secrets(given: Mapping[str, Any]) -> None:
    """Raise TalkError when a name looks like that of a secret and holds text, at any depth, or when a value is a private key."""
    for path, value in _texts(given, ""):
        if _PRIVATE_KEY.search(value) or (_secret_name(path.rpartition(".")[2]) and not _PUBLIC_KEY.match(value)):
            raise TalkError(
                f"vars: {path} looks like a secret, and whoever may read Hooks or ConfigMaps reads what is in a playbook. Put it into a "
                f"Secret in the plan's namespace, give the name of that Secret (such as {_suggested(path)}), and let the playbook read it "
                "with kubernetes.core.k8s_info."
            )


def with_vars(playbook: str, given: Mapping[str, Any], option: str = "vars") -> str:
    """The text of the playbook with these variables in it. `playbook` is a list of plays. Raises TalkError."""
    for name in given:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise TalkError(f"{option}: {name!r} cannot be the name of a variable; use letters, digits and underscores.")
    refuse_secrets(given)
    if not given:
        return playbook
    text = playbook if playbook.endswith("\n") else playbook + "\n"
    for number, play in reversed(list(enumerate(_plays(text)))):
        if _child(play, "hosts") is not None:
            text = _with_vars(text, play, given, f"{option}: play {number + 1}")
    _check(playbook, text, given, option)
    return text


def _with_vars(text: str, play: Any, given: Mapping[str, Any], where: str) -> str:
    """`text` with `given` in the vars of one play. From its end to its beginning, so that marks stay true."""
    if play.flow_style:
        raise TalkError(f"{where} is written in one line with braces, where nothing can be added; write it on lines of its own.")
    indent = play.start_mark.column
    pair = _child(play, "vars")
    if pair is None:
        lines = " " * indent + "vars:\n" + _block(given, indent + 2)
        return _inserted(text, _line_after(text, play, "hosts"), lines)
    value = pair[1]
    if value.tag == "tag:yaml.org,2002:null" and not value.value:
        return _inserted(text, text.index("\n", value.end_mark.index) + 1, _block(given, indent + 2))
    if value.id != "mapping" or value.flow_style:
        raise TalkError(f"{where} has vars in a form that nothing can be added to; write them one per line.")
    column = value.start_mark.column
    for key, old in reversed(value.value):
        if key.value in given:
            start, end = key.start_mark.index - column, _end_of_line(text, old)
            text = text[:start] + text[end:]
    return _inserted(text, value.start_mark.index - column, _block(given, column))


def _inserted(text: str, index: int, lines: str) -> str:
    return text[:index] + lines + text[index:]


def _line_after(text: str, play: Any, name: str) -> int:
    """The beginning of the line of the key after `name`, or the end of the play."""
    keys = [key for key, _value in play.value]
    place = next(i for i, key in enumerate(keys) if key.value == name)
    if place + 1 < len(keys):
        return keys[place + 1].start_mark.index - keys[place + 1].start_mark.column
    return _end_of_line(text, play.value[place][1])


def _end_of_line(text: str, node: Any) -> int:
    """The beginning of the line after a value. The mark of one in block style is already on the line of what comes next."""
    mark = node.end_mark
    if mark.column == 0 or not text[: mark.index].rpartition("\n")[2].strip():
        return mark.index - mark.column
    return text.index("\n", mark.index) + 1


def _block(given: Mapping[str, Any], indent: int) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Text of several lines stays so."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def plain_or_block(dumper: Any, text: str) -> Any:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)

    Dumper.add_representer(str, plain_or_block)
    lines = yaml.dump(dict(given), Dumper=Dumper, default_flow_style=False, allow_unicode=True, sort_keys=False, width=10**6)
    return "".join(" " * indent + line if line.strip() else line for line in lines.splitlines(keepends=True))


def _plays(text: str) -> list[Any]:
    """The plays as nodes, which know where in the text they are."""
    import yaml

    return list(_composed(yaml, text).value)


def _composed(yaml: Any, text: str) -> Any:
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _child(mapping: Any, name: str) -> tuple[Any, Any] | None:
    return next(((key, value) for key, value in mapping.value if key.value == name), None)


def _check(before: str, after: str, given: Mapping[str, Any], option: str) -> None:
    """Nothing but the variables has changed: playbooks may be written in ways that were not thought of."""
    import yaml

    wanted = {key.value: _tree(value) for key, value in _composed(yaml, _block(given, 0)).value}
    expected = []
    for play in _plays(before):
        fields = {key.value: _variables(value) if key.value == "vars" else _tree(value) for key, value in play.value}
        if "hosts" in fields:
            own = fields.get("vars", ())
            fields["vars"] = ("mapping", {**(own[1] if own[:1] == ("mapping",) else {}), **wanted})
        expected.append(fields)
    try:
        found = [
            {key.value: _variables(value) if key.value == "vars" else _tree(value) for key, value in play.value} for play in _plays(after)
        ]
    except yaml.YAMLError:
        found = []
    if found != expected:
        raise TalkError(f"{option}: they cannot be written into this playbook; set its variables in the playbook itself.")


def _variables(node: Any) -> Any:
    """Like _tree, but what is meant by each name rather than in which order."""
    return ("mapping", {key.value: _tree(value) for key, value in node.value}) if node.id == "mapping" else _tree(node)


def _tree(node: Any) -> Any:
    """What a node means, without where it is and how it is written."""
    if node.id == "scalar":
        return (node.tag, node.value)
    if node.id == "sequence":
        return (node.tag, [_tree(item) for item in node.value])
    return (node.tag, [(_tree(key), _tree(value)) for key, value in node.value])


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """(dotted path, text) of every text that is not empty."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _texts(below, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item, path)
    elif isinstance(value, str) and value:
        yield path, value


def _secret_name(name: str) -> bool:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    words = [word.rstrip("0123456789") for word in re.split(r"[^a-z0-9]+", spaced) if word.rstrip("0123456789")]
    if not words or words[-1] in _HARMLESS_ENDS:
        return False
    pairs = zip(words, words[1:])
    return bool(_SECRET_WORDS.intersection(words)) or any(first in _KEYS and second in ("key", "keys") for first, second in pairs)


def _suggested(path: str) -> str:
    name = path.rpartition(".")[2]
    return f"{name}_name" if name.endswith("_secret") else f"{name}_secret_name"
