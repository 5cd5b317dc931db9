"""The Go template subset: what it evaluates, and that everything else is named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.plugins.module_utils.go_template import TemplateError, render

VALUES: dict[str, Any] = {"PlanName": "weekly-batch", "VmName": "Win_2019 srv", "DiskIndex": 2, "Shared": True, "None": None}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{.PlanName}}-{{ .DiskIndex }}", "weekly-batch-2"),
        ("{{$.PlanName}}", "weekly-batch"),
        ("{{trunc 4 .PlanName}}", "week"),
        ("{{trunc -5 .PlanName}}", "batch"),
        ("{{trunc 99 .PlanName}}", "weekly-batch"),
        ('{{.VmName | lower | replace "_" "-" | nospace}}', "win-2019srv"),
        ('{{upper "a"}}{{title "ab cd"}}{{untitle "Ab Cd"}}', "AAb Cdab cd"),
        ('{{trim " a "}}{{trimAll "$" "$5$"}}{{trimSuffix ".go" "f.go"}}{{trimPrefix "go." "go.f"}}', "a5ff"),
        ('{{repeat 3 "ab"}}{{substr 1 3 "abcdef"}}{{substr -1 2 "abc"}}{{substr 1 -1 "abc"}}', "abababbcabbc"),
        ('{{initials "John Doe"}}', "JD"),
        ('{{contains "2019" .VmName}} {{hasPrefix "Win" .VmName}} {{hasSuffix "x" .VmName}}', "true true false"),
        ('{{mustRegexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W"}}', "-W-xxW-"),
        ("{{add 1 2 3}} {{add1 5}} {{sub 5 3}} {{mul 2 3 4}} {{div 10 3}} {{div -7 2}} {{mod 10 3}} {{mod -7 2}}", "6 6 2 24 3 -3 1 -1"),
        ("{{max 1 5 3}} {{min 4 1}} {{floor 3.75}} {{ceil 3.25}} {{round 3.75159 2}}", "5 1 3 4 3.75"),
        ("{{if eq .DiskIndex 0}}root{{else if gt .DiskIndex 5}}many{{else}}data{{end}}", "data"),
        ("{{if .Shared}}{{if .None}}x{{else}}y{{end}}{{end}}", "y"),
        ("{{if and .Shared (ne .DiskIndex 1) (not false)}}a{{end}}{{or .None 7}}", "a7"),
        ("{{le 2 2}}{{ge 1 2}}{{lt .DiskIndex 2.5}}{{eq .DiskIndex 1 2}}{{len .PlanName}}", "truefalsetruetrue12"),
        ('{{printf "%02d-%s-%q-%v-%%" .DiskIndex .PlanName `x` .Shared}}', '02-weekly-batch-"x"-true-%'),
        ("a {{- /* note */ -}} b {{- .DiskIndex -}}\n c", "ab2c"),
        ("a{{/* note */}}b", "ab"),
        ('{{"quo\\"te\\n"}}', 'quo"te\n'),
        ("{{.None}}", "<no value>"),
        ("{{(0x1F)}}", "31"),
        ("{{1 | add 2}}", "3"),
    ],
)
def test_evaluates_like_go(template: str, text: str) -> None:
    assert render(template, VALUES) == text


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.VolumeIndex", "line 1, column 1: unclosed action"),
        ("a\n {{range .X}}{{end}}", 'line 2, column 4: function "range" not defined; known here: if, add'),
        ("{{with .X}}{{end}}", 'function "with" not defined'),
        ("{{$x := 1}}", "variables are not supported here"),
        ("{{nosuch 1}}", 'function "nosuch" not defined'),
        ("{{trunc 3}}", "wrong number of args for trunc: want 2 got 1"),
        ("{{add1 1 2}}", "wrong number of args for add1: want 1 got 2"),
        ('{{trunc "a" .PlanName}}', "error calling trunc: expected integer; found a"),
        ("{{lower 1}}", "error calling lower: expected string; found 1"),
        ("{{eq .VmName 1}}", "incompatible types for comparison"),
        ("{{div 1 0}}", "integer divide by zero"),
        ('{{mustRegexReplaceAll "(" "a" "b"}}', "error parsing regexp"),
        ('{{printf "%x" 1}}', "only %s %d %v %q are supported"),
        ('{{printf "%d"}}', "no value left"),
        ("{{if .Shared}}x", "an {{if}} has no {{end}}"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{if .Shared}}{{else}}{{else}}{{end}}", "expected end; found {{else}}"),
        ("{{if .Shared}}{{else 1}}{{end}}", 'unexpected "1" in action'),
        ("{{}}", "missing value for command"),
        ("{{if}}{{end}}", "missing value for command"),
        ("{{.DiskIndex | .PlanName}}", "can't give argument to non-function"),
        ("{{(.DiskIndex}}", "unclosed left paren"),
        ("{{.DiskIndex)}}", 'unexpected ")" in action'),
        ('{{"\\x"}}', "invalid string"),
        ("{{.PlanName.Sub}}", "can't evaluate field PlanName.Sub"),
    ],
)
def test_says_what_it_cannot_evaluate(template: str, message: str) -> None:
    with pytest.raises(TemplateError) as caught:
        render(template, VALUES)
    assert message in str(caught.value)


def test_error_in_the_words_of_go() -> None:
    with pytest.raises(TemplateError) as caught:
        render("{{.NoSuchField}}", VALUES)
    expected = """template: template:1:2: executing "template" at <.NoSuchField>: can't evaluate field NoSuchField in type v1beta1.Data"""
    assert caught.value.go_text("v1beta1.Data") == expected
    with pytest.raises(TemplateError) as caught:
        render("\n{{if}}{{end}}", VALUES)
    assert caught.value.syntax
    assert caught.value.go_text("v1beta1.Data") == "template: template:2: missing value for command"


@given(st.text(max_size=60))
def test_text_without_actions_is_itself(text: str) -> None:
    if "{{" not in text:
        assert render(text, {}) == text


@given(st.text(alphabet='{}-. |()"`$iflsend/*\n0x', max_size=40))
def test_never_fails_in_another_way(template: str) -> None:
    try:
        assert isinstance(render(template, {"i": 1, "s": "a"}), str)
    except TemplateError as error:
        assert str(error).startswith("line ")
