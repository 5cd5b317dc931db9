# Copyright (c) 2026, vmshift contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subset of Go's text/template that MTV documents for name templates.

Fields (`.PlanName`), pipelines, parentheses, string and number literals, if / else if / else / end, comments, trim markers,
the comparisons and logic of Go (eq ne lt le gt ge and or not len printf) and the string and number functions that MTV adds
(those of sprig). Anything else is a TemplateError that names it: a cluster evaluates its own templates in full.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Union

from ansible_collections.vmshift.mtv.plugins.module_utils.go_template_functions import FUNCTIONS, show


class TemplateError(ValueError):
    """A template that cannot be read or evaluated.

    `line` counts from 1 and `column` from 0, as Go reports them; `node` is the part of the template at fault, `field` the
    name of a field that does not exist, `syntax` says that the template could not even be parsed.
    """

    def __init__(
        self, reason: str, line: int, column: int = 0, node: str = "", field: str = "", syntax: bool = False, hint: str = ""
    ) -> None:
        self.reason, self.line, self.column, self.node = reason, line, column, node
        self.field, self.syntax = field, syntax
        place = f"line {line}, column {column + 1}"
        at = f"{place}: {node}" if node else place
        super().__init__(f"{at}: {reason}; {hint}" if hint else f"{at}: {reason}")

    def go_text(self, type_name: str) -> str:
        """The same error in the words of Go's text/template, as conditions of a cluster carry it."""
        if self.syntax:
            return f"template: template:{self.line}: {self.reason}"
        reason = f"{self.reason} in type {type_name}" if self.field else self.reason
        return f'template: template:{self.line}:{self.column}: executing "template" at <{self.node}>: {reason}'


class NotEvaluated(TemplateError):
    """Go understands it, this subset does not: whether it is right only a cluster can tell."""


#: Words of Go's own that are not in this subset.
_OF_GO = frozenset("block break call continue define html index js print println range slice template urlquery with".split())


# --- reading --------------------------------------------------------------------------------------------------------


class Literal(NamedTuple):
    value: Any
    at: int
    source: str


class Field(NamedTuple):
    name: str
    at: int
    source: str


class Call(NamedTuple):
    function: str
    arguments: tuple[Any, ...]
    at: int
    source: str


class If(NamedTuple):
    condition: Any
    then: tuple[Any, ...]
    otherwise: tuple[Any, ...]


Node = Union[str, Literal, Field, Call, If]


class Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<string>"(?:\\.|[^"\\\n])*"|`[^`]*`)
      | (?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.]))
      | (?P<field>\$?\.[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
      | (?P<word>[A-Za-z_]\w*)
      | (?P<mark>[|()])""",
    re.VERBOSE,
)


class _Reader:
    """Cuts a template into text and actions, and parses the actions."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.tokens: list[Token] = []
        self.pieces = self._pieces()
        self.next_piece = 0

    def fail(self, reason: str, at: int, hint: str = "", *, of_go: bool = False) -> TemplateError:
        line, column = position(self.template, at)
        return (NotEvaluated if of_go else TemplateError)(reason, line, column, syntax=True, hint=hint)

    def _pieces(self) -> list[Any]:
        """Text as str, actions as lists of tokens; `{{-` and `-}}` have eaten the white space beside them."""
        pieces: list[Any] = []
        at, trim = 0, False
        while True:
            start = self.template.find("{{", at)
            text = self.template[at:] if start < 0 else self.template[at:start]
            text = text.lstrip() if trim else text
            if start < 0:
                return [p for p in [*pieces, text] if p != ""]
            inside = start + 2
            if re.match(r"-\s", self.template[inside:]):
                text, inside = text.rstrip(), inside + 1
            tokens, at, trim = self._action(inside, start)
            pieces += [text, tokens]

    def _action(self, at: int, start: int) -> tuple[list[Token], int, bool]:
        comment = re.compile(r"\s*/\*.*?\*/\s*?(\s-)?\}\}", re.DOTALL).match(self.template, at)
        if comment:
            return [Token("comment", "", at)], comment.end(), bool(comment.group(1))
        tokens: list[Token] = []
        while True:
            end = re.compile(r"(\s-)?\}\}").match(self.template, at)
            if end:
                return tokens, end.end(), bool(end.group(1))
            match = _TOKEN.match(self.template, at)
            if not match:
                if at >= len(self.template):
                    raise self.fail("unclosed action", start)
                character = self.template[at]
                hint = "variables are not supported here" if character == "$" else ""
                raise self.fail(f"unexpected {json.dumps(character)} in action", at, hint, of_go=character == "$")
            if match.lastgroup != "space":
                tokens.append(Token(match.lastgroup or "", match.group(), at))
            at = match.end()

    def body(self, inside: str = "") -> tuple[tuple[Node, ...], str, int]:
        """Nodes until the end of the template, or, inside an `if`, until its `else` or `end`: (nodes, that word, its place)."""
        nodes: list[Node] = []
        while self.next_piece < len(self.pieces):
            piece = self.pieces[self.next_piece]
            self.next_piece += 1
            if isinstance(piece, str):
                nodes.append(piece)
                continue
            self.tokens = list(piece)
            if not self.tokens:
                raise self.fail("missing value for command", 0)
            head = self.tokens[0]
            if head.kind == "comment":
                continue
            if head.kind == "word" and head.text in ("else", "end"):
                if not inside:
                    raise self.fail(f"unexpected {{{{{head.text}}}}}", head.at)
                self.tokens.pop(0)
                return tuple(nodes), head.text, head.at
            nodes.append(self._if() if head.text == "if" else self._whole_pipeline())
        if inside:
            raise self.fail("unexpected EOF", len(self.template), "an {{if}} has no {{end}}")
        return tuple(nodes), "", len(self.template)

    def _if(self) -> If:
        self.tokens.pop(0)
        condition = self._whole_pipeline()
        then, word, at = self.body("if")
        otherwise: tuple[Node, ...] = ()
        if word == "else":
            if self.tokens and self.tokens[0].text == "if":
                return If(condition, then, (self._if(),))
            self._done()
            otherwise, word, at = self.body("else")
            if word != "end":
                raise self.fail("expected end; found " + "{{else}}", at)
        self._done()
        return If(condition, then, otherwise)

    def _done(self) -> None:
        if self.tokens:
            raise self.fail(f"unexpected {json.dumps(self.tokens[0].text)} in action", self.tokens[0].at)

    def _whole_pipeline(self) -> Any:
        node = self._pipeline()
        self._done()
        return node

    def _pipeline(self) -> Any:
        node = self._command(None)
        while self.tokens and self.tokens[0].text == "|":
            self.tokens.pop(0)
            node = self._command(node)
        return node

    def _command(self, piped: Any) -> Any:
        if not self.tokens:
            raise self.fail("missing value for command", len(self.template))
        head = self.tokens[0]
        if head.kind != "word" or head.text in ("true", "false", "nil"):
            node = self._operand()
            if piped is not None or (self.tokens and self.tokens[0].text not in "|)"):
                raise self.fail(f"can't give argument to non-function {head.text}", head.at)
            return node
        if head.text not in FUNCTIONS:
            reason = f'function "{head.text}" not defined'
            raise self.fail(reason, head.at, "known here: if, " + ", ".join(sorted(FUNCTIONS)), of_go=head.text in _OF_GO)
        self.tokens.pop(0)
        arguments = []
        while self.tokens and self.tokens[0].text not in ("|", ")"):
            arguments.append(self._operand())
        if piped is not None:
            arguments.append(piped)
        return Call(head.text, tuple(arguments), head.at, head.text)

    def _operand(self) -> Any:
        token = self.tokens.pop(0)
        if token.text == "(":
            node = self._pipeline()
            if not self.tokens or self.tokens.pop(0).text != ")":
                raise self.fail("unclosed left paren", token.at)
            return node
        if token.kind == "field":
            return Field(token.text.lstrip("$").lstrip("."), token.at, token.text)
        if token.kind == "word" and token.text in FUNCTIONS:
            return Call(token.text, (), token.at, token.text)
        if token.kind == "word" and token.text in ("true", "false", "nil"):
            return Literal({"true": True, "false": False, "nil": None}[token.text], token.at, token.text)
        if token.kind == "string":
            return Literal(self._string(token), token.at, token.text)
        if token.kind == "number":
            return Literal(_number(token.text), token.at, token.text)
        if token.kind == "word":
            raise self.fail(f'function "{token.text}" not defined', token.at, of_go=token.text in _OF_GO)
        raise self.fail(f"unexpected {json.dumps(token.text)} in operand", token.at)

    def _string(self, token: Token) -> str:
        if token.text.startswith("`"):
            return token.text[1:-1]
        try:
            return json.loads(token.text)
        except ValueError:
            raise self.fail(f"invalid string {token.text}", token.at) from None


def position(template: str, at: int) -> tuple[int, int]:
    """(line from 1, column from 0) of the character at `at`."""
    before = template[:at]
    return before.count("\n") + 1, at - (before.rfind("\n") + 1)


def _number(text: str) -> int | float:
    if re.fullmatch(r"[+-]?0[xX][0-9a-fA-F]+", text):
        return int(text, 16)
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)


# --- evaluating -----------------------------------------------------------------------------------------------------


def render(template: str, variables: Mapping[str, Any]) -> str:
    """`template` with `variables` (field name -> str, int, float or bool) filled in. Raises TemplateError."""
    nodes = _Reader(template).body()[0]
    return "".join(_render(node, template, variables) for node in nodes)


def _render(node: Node, template: str, variables: Mapping[str, Any]) -> str:
    if isinstance(node, str):
        return node
    if isinstance(node, If):
        branch = node.then if _value(node.condition, template, variables) else node.otherwise
        return "".join(_render(child, template, variables) for child in branch)
    return show(_value(node, template, variables))


def _value(node: Any, template: str, variables: Mapping[str, Any]) -> Any:
    if isinstance(node, Literal):
        return node.value
    line, column = position(template, node.at)
    if isinstance(node, Field):
        if node.name not in variables:
            hint = "known: " + ", ".join(sorted(variables))
            raise TemplateError("can't evaluate field " + node.name, line, column, node.source, field=node.name, hint=hint)
        return variables[node.name]
    function, least, most = FUNCTIONS[node.function]
    count = len(node.arguments)
    if count < least or (most is not None and count > most):
        want = str(least) if least == most else f"at least {least}"
        raise TemplateError(f"wrong number of args for {node.function}: want {want} got {count}", line, column, node.source)
    try:
        return function(*(_value(argument, template, variables) for argument in node.arguments))
    except TemplateError:
        raise
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise TemplateError(f"error calling {node.function}: {error}", line, column, node.source) from None
