"""Pruning, defaulting and validation by structural schemas, in the words of kube-apiserver."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vmshift.mtv.controlplane.apiserver.structural import Cause, apply_defaults, prune, validate

STRING = {"type": "string"}
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def spec(**properties):
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


def whole(**fields):
    return {"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "a", "anything": 1}, "spec": fields}


def pruned(schema, **fields):
    obj = whole(**fields)
    return prune(schema, obj), obj["spec"]


def defaulted(schema, **fields):
    obj = whole(**fields)
    apply_defaults(schema, obj)
    return obj["spec"]


def causes(schema, **fields):
    return [(cause.field, cause.reason, cause.message) for cause in validate(schema, whole(**fields))]


class TestPruning:
    def test_unknown_fields_go_and_are_named_in_order(self):
        schema = spec(known=STRING, vms={"type": "array", "items": {"type": "object", "properties": {"name": STRING}}})
        unknown, left = pruned(schema, zebra=1, known="a", vms=[{"name": "v", "target_name": 1, "disks": []}], apple=2)
        assert unknown == ["spec.apple", "spec.vms[0].disks", "spec.vms[0].target_name", "spec.zebra"]
        assert left == {"known": "a", "vms": [{"name": "v"}]}

    def test_the_roots_own_fields_stay_untouched(self):
        obj = whole()
        assert prune(spec(), obj) == []
        assert obj == whole()

    def test_unknown_fields_of_the_root_go(self):
        obj = {**whole(), "junk": 1}
        assert prune(spec(), obj) == ["junk"]
        assert "junk" not in obj

    def test_what_is_preserved_keeps_everything_but_known_fields_are_still_pruned_inside(self):
        schema = spec(free={**OPEN, "properties": {"known": {"type": "object", "properties": {"a": STRING}}}})
        unknown, left = pruned(schema, free={"any": [{"x": 1}], "known": {"a": "1", "b": 2}})
        assert unknown == ["spec.free.known.b"]
        assert left == {"free": {"any": [{"x": 1}], "known": {"a": "1"}}}

    def test_maps_keep_their_keys_and_prune_their_values(self):
        schema = spec(labels={"type": "object", "additionalProperties": {"type": "object", "properties": {"a": STRING}}})
        unknown, left = pruned(schema, labels={"one": {"a": "1", "b": 2}})
        assert unknown == ["spec.labels.one.b"]
        assert left == {"labels": {"one": {"a": "1"}}}

    def test_additional_properties_true_keeps_what_is_not_described(self):
        unknown, left = pruned(
            spec(free={"type": "object", "properties": {"a": STRING}, "additionalProperties": True}), free={"b": {"c": 1}}
        )
        assert (unknown, left) == ([], {"free": {"b": {"c": 1}}})

    def test_an_object_where_a_list_belongs_has_only_unknown_fields(self):
        schema = spec(vms={"type": "array", "items": {"type": "object", "properties": {"name": STRING}}})
        assert pruned(schema, vms={"name": "a"})[0] == ["spec.vms.name"]

    def test_embedded_objects_keep_their_metadata_but_no_unknown_part_of_it(self):
        schema = spec(template={"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"data": STRING}})
        unknown, left = pruned(schema, template={"apiVersion": "v1", "kind": "X", "metadata": {"name": "n", "foo": 1}, "junk": 1})
        assert unknown == ["spec.template.junk", "spec.template.metadata.foo"]
        assert left["template"] == {"apiVersion": "v1", "kind": "X", "metadata": {"name": "n"}}


class TestDefaulting:
    def test_defaults_fill_absent_fields_only(self):
        schema = spec(color={**STRING, "default": "red"}, on={"type": "boolean", "default": True}, n={"type": "integer", "default": 3})
        assert defaulted(schema) == {"color": "red", "on": True, "n": 3}
        assert defaulted(schema, color="", on=False, n=0) == {"color": "", "on": False, "n": 0}

    def test_defaults_reach_into_lists_and_maps(self):
        item = {"type": "object", "properties": {"on": {"type": "boolean", "default": True}}}
        schema = spec(list={"type": "array", "items": item}, map={"type": "object", "additionalProperties": item})
        assert defaulted(schema, list=[{}, {"on": False}], map={"a": {}}) == {
            "list": [{"on": True}, {"on": False}],
            "map": {"a": {"on": True}},
        }

    def test_an_absent_parent_is_not_made_for_the_default_of_a_child(self):
        schema = spec(parent={"type": "object", "properties": {"child": {**STRING, "default": "x"}}})
        assert defaulted(schema) == {}
        assert defaulted(schema, parent={}) == {"parent": {"child": "x"}}

    def test_a_default_object_is_filled_up_with_the_defaults_inside_it(self):
        schema = spec(parent={"type": "object", "default": {}, "properties": {"child": {**STRING, "default": "x"}}})
        assert defaulted(schema) == {"parent": {"child": "x"}}

    def test_null_counts_as_absent_where_it_is_not_allowed(self):
        schema = spec(color={**STRING, "default": "red"}, plain=STRING, maybe={**STRING, "nullable": True, "default": "x"}, free=OPEN)
        assert defaulted(schema, color=None, plain=None, maybe=None, free={"kept": None}) == {
            "color": "red",
            "maybe": None,
            "free": {"kept": None},
        }

    def test_defaults_are_not_shared_between_objects(self):
        schema = spec(parent={"type": "object", "default": {"list": []}, **OPEN})
        defaulted(schema)["parent"]["list"].append(1)
        assert defaulted(schema) == {"parent": {"list": []}}


WRONG_TYPE, INVALID = "FieldValueTypeInvalid", "FieldValueInvalid"


class TestValidation:
    def test_a_valid_object_has_no_causes(self):
        assert causes(spec(n={"type": "integer"}, s=STRING), n=1, s="a") == []

    @pytest.mark.parametrize(
        ("wanted", "value", "given"),
        [
            ("integer", "x", "string"),
            ("integer", 1.5, "number"),
            ("integer", True, "boolean"),
            ("string", 1, "integer"),
            ("string", {}, "object"),
            ("boolean", "true", "string"),
            ("boolean", 1, "integer"),
            ("array", {}, "object"),
            ("object", [], "array"),
            ("number", "1", "string"),
            ("string", None, "null"),
        ],
    )
    def test_types(self, wanted, value, given):
        message = f'Invalid value: "{given}": spec.f in body must be of type {wanted}: "{given}"'
        assert causes(spec(f={"type": wanted}), f=value) == [("spec.f", WRONG_TYPE, message)]

    @pytest.mark.parametrize(("wanted", "value"), [("integer", 2.0), ("number", 1), ("number", 1.5), ("boolean", False)])
    def test_numbers_agree_where_their_value_does(self, wanted, value):
        assert causes(spec(f={"type": wanted}), f=value) == []

    def test_missing_fields(self):
        schema = spec()
        schema["properties"]["spec"]["required"] = ["a", "b"]
        assert causes(schema) == [
            ("spec.a", "FieldValueRequired", "Required value"),
            ("spec.b", "FieldValueRequired", "Required value"),
        ]
        assert validate({**schema, "required": ["spec"]}, {}) == [Cause("spec", "FieldValueRequired", "Required value")]

    def test_enums(self):
        message = 'Unsupported value: "green": supported values: "red", "blue"'
        assert causes(spec(f={**STRING, "enum": ["red", "blue"]}), f="green") == [("spec.f", "FieldValueNotSupported", message)]

    def test_a_wrong_type_is_told_beside_a_wrong_value(self):
        found = causes(spec(f={**STRING, "enum": ["on"]}), f=5)
        assert [reason for _unused, reason, _unused in found] == [WRONG_TYPE, "FieldValueNotSupported"]
        assert found[1][2] == 'Unsupported value: 5: supported values: "on"'

    @pytest.mark.parametrize(
        ("rule", "value", "message"),
        [
            ({"type": "integer", "minimum": 0}, -1, "Invalid value: -1: spec.f in body should be greater than or equal to 0"),
            ({"type": "integer", "maximum": 9}, 10, "Invalid value: 10: spec.f in body should be less than or equal to 9"),
            ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, 0, "Invalid value: 0: spec.f in body should be greater than 0"),
            ({"type": "integer", "maximum": 9, "exclusiveMaximum": True}, 9, "Invalid value: 9: spec.f in body should be less than 9"),
            ({"type": "integer", "multipleOf": 2}, 3, "Invalid value: 3: spec.f in body should be a multiple of 2"),
            ({**STRING, "minLength": 2}, "a", 'Invalid value: "a": spec.f in body should be at least 2 chars long'),
            ({**STRING, "pattern": "^[a-z]+$"}, "A", "Invalid value: \"A\": spec.f in body should match '^[a-z]+$'"),
            ({**STRING, "pattern": "^[a-z]+$"}, "a\n", "Invalid value: \"a\\n\": spec.f in body should match '^[a-z]+$'"),
            ({"type": "array", "items": STRING, "minItems": 1}, [], "Invalid value: 0: spec.f in body should have at least 1 items"),
            ({**OPEN, "minProperties": 1}, {}, "Invalid value: 0: spec.f in body should have at least 1 properties"),
        ],
    )
    def test_bounds_and_patterns(self, rule, value, message):
        assert causes(spec(f=rule), f=value) == [("spec.f", INVALID, message)]

    @pytest.mark.parametrize(
        ("rule", "value", "reason", "message"),
        [
            ({**STRING, "maxLength": 2}, "abc", "FieldValueTooLong", "Too long: may not be more than 2 bytes"),
            ({"type": "array", "items": STRING, "maxItems": 1}, ["a", "b"], "FieldValueTooMany", "Too many: 2: must have at most 1 items"),
            ({**OPEN, "maxProperties": 1}, {"a": 1, "b": 1}, "FieldValueTooMany", "Too many: 2: must have at most 1 items"),
        ],
    )
    def test_upper_limits_of_sizes(self, rule, value, reason, message):
        assert causes(spec(f=rule), f=value) == [("spec.f", reason, message)]

    def test_fields_inside_lists_and_maps_are_named_with_their_place(self):
        item = {"type": "object", "required": ["name"], "properties": {"name": STRING}}
        schema = spec(vms={"type": "array", "items": item}, by={"type": "object", "additionalProperties": item})
        assert [field for field, _unused, _unused in causes(schema, vms=[{"name": "a"}, {}], by={"k": {"name": 1}})] == [
            "spec.vms[1].name",
            "spec.by.k.name",
        ]

    @pytest.mark.parametrize("value", [1, "25%"])
    def test_int_or_string_takes_both(self, value):
        assert causes(spec(f={"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, STRING]}), f=value) == []

    def test_int_or_string_takes_nothing_else(self):
        (cause,) = causes(spec(f={"x-kubernetes-int-or-string": True}), f=True)
        assert cause[2] == 'Invalid value: "boolean": spec.f in body must be of type integer,string: "boolean"'

    def test_nullable_fields_take_null(self):
        assert causes(spec(f={**STRING, "nullable": True}), f=None) == []

    @pytest.mark.parametrize(
        ("wanted", "good", "bad"),
        [
            (
                "date-time",
                ["2026-11-22T23:37:45Z", "2026-11-22t01:02:03.25+02:00"],
                ["tomorrow", "2026-11-22", "2026-13-01T00:00:00Z", "2026-11-22T25:00:00Z", ""],
            ),
            ("date", ["2026-02-28"], ["2026-02-30", "20260228", "2026-W01-1"]),
            ("ipv4", ["10.0.0.1"], ["10.0.0", "::1"]),
            ("ipv6", ["::1"], ["10.0.0.1"]),
            ("cidr", ["10.0.0.0/8", "10.0.0.1/8"], ["10.0.0.1", "10.0.0.0/40"]),
            ("mac", ["00:0c:29:34:33:35"], ["00:0c:29"]),
            ("uuid", ["84e5fb1d-d892-40fb-bf8d-a4c351f6f491"], ["84e5fb1d"]),
            ("no-such-format", ["anything"], []),
        ],
    )
    def test_formats(self, wanted, good, bad):
        schema = spec(f={**STRING, "format": wanted})
        for text in good:
            assert causes(schema, f=text) == []
        for text in bad:
            shown = f'"{text}"'
            message = f"Invalid value: {shown}: spec.f in body must be of type {wanted}: {shown}"
            assert causes(schema, f=text) == [("spec.f", WRONG_TYPE, message)]

    def test_encoded_bytes_are_not_repeated_in_messages(self):
        schema = spec(f={**STRING, "format": "byte"})
        assert causes(schema, f="cGFzc3dvcmQ=") == []
        (cause,) = causes(schema, f="my password")
        assert cause[:2] == ("spec.f", WRONG_TYPE)
        assert "password" not in cause[2]

    def test_items_of_sets_and_keyed_lists_are_there_once(self):
        keyed = {"type": "array", "items": OPEN, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        schema = spec(set={"type": "array", "items": STRING, "x-kubernetes-list-type": "set"}, map=keyed)
        assert causes(schema, set=["a", "b"], map=[{"name": "a", "x": 1}, {"name": "b", "x": 1}]) == []
        assert causes(schema, set=["a", "a"], map=[{"name": "a", "x": 1}, {"name": "a", "x": 2}]) == [
            ("spec.set[1]", "FieldValueDuplicate", 'Duplicate value: "a"'),
            ("spec.map[1]", "FieldValueDuplicate", 'Duplicate value: {"name":"a"}'),
        ]

    def test_combinations_of_schemas(self):
        one, two = {"required": ["a"]}, {"required": ["b"]}
        any_of, one_of, none_of = (
            spec(f={**OPEN, word: value}) for word, value in (("anyOf", [one, two]), ("oneOf", [one, two]), ("not", one))
        )
        assert causes(any_of, f={"a": 1}) == causes(one_of, f={"b": 1}) == causes(none_of, f={}) == []
        assert causes(any_of, f={}) == [("<nil>", INVALID, 'Invalid value: "": "spec.f" must validate at least one schema (anyOf)')]
        both = 'Invalid value: "": "spec.f" must validate one and only one schema (oneOf). Found 2 valid alternatives'
        assert causes(one_of, f={"a": 1, "b": 1}) == [("<nil>", INVALID, both)]
        assert causes(none_of, f={"a": 1}) == [("<nil>", INVALID, 'Invalid value: "": "spec.f" must not validate the schema (not)')]
        assert causes(spec(f={**OPEN, "allOf": [one, two]}), f={"a": 1}) == [("spec.f.b", "FieldValueRequired", "Required value")]

    def test_rules_about_change_look_at_the_old_object(self):
        rule = {"rule": "self == oldSelf", "message": "spec.f is immutable"}
        schema = spec(f={**STRING, "x-kubernetes-validations": [rule]})
        assert validate(schema, whole(f="b")) == []
        assert validate(schema, whole(f="a"), whole(f="a")) == []
        assert validate(schema, whole(f="b"), whole(f="a")) == [Cause("spec.f", INVALID, 'Invalid value: "b": spec.f is immutable')]

    def test_a_pattern_only_go_understands_is_not_checked(self):
        assert causes(spec(f={**STRING, "pattern": "^(?U)\\pL*"}), f="1") == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "red"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)
LEAF = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "default": "red"},
        {"type": "string", "nullable": True},
        {"type": "boolean", "default": True},
        {"type": "integer", "minimum": 0},
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        {"type": "object", "default": {}},
    ]
)
SCHEMAS = st.recursive(
    LEAF,
    lambda inner: (
        st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3).map(lambda fields: {"type": "object", "properties": fields})
        | inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda values: {"type": "object", "additionalProperties": values})
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "c"]), JSON, max_size=3)


@given(SCHEMAS, OBJECTS)
def test_pruning_what_is_pruned_changes_nothing(schema, obj):
    prune(schema, obj)
    again = copy.deepcopy(obj)
    assert prune(schema, again) == []
    assert again == obj


@given(SCHEMAS, OBJECTS)
def test_pruning_only_ever_removes(schema, obj):
    before = copy.deepcopy(obj)
    removed = prune(schema, obj)
    assert (obj == before) == (removed == [])
    assert is_part(obj, before)


@given(SCHEMAS, OBJECTS)
def test_defaulting_what_is_defaulted_changes_nothing(schema, obj):
    apply_defaults(schema, obj)
    again = copy.deepcopy(obj)
    apply_defaults(schema, again)
    assert again == obj


@given(SCHEMAS, OBJECTS)
def test_defaulting_keeps_every_value_that_is_not_null(schema, obj):
    before = copy.deepcopy(obj)
    apply_defaults(schema, obj)
    assert is_part(before, obj, but_nulls=True)


@given(SCHEMAS, OBJECTS)
def test_validation_changes_nothing(schema, obj):
    before = copy.deepcopy(obj)
    validate(schema, obj)
    assert obj == before


def is_part(part, whole, but_nulls=False):
    """Every value of `part` is in `whole` at its place; with `but_nulls`, what was null may be gone or be anything else."""
    if but_nulls and part is None:
        return True
    if isinstance(part, dict) and isinstance(whole, dict):
        kept = {key: value for key, value in part.items() if not (but_nulls and value is None)}
        return all(key in whole and is_part(value, whole[key], but_nulls) for key, value in kept.items())
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) == len(whole) and all(is_part(a, b, but_nulls) for a, b in zip(part, whole, strict=True))
    return part == whole and type(part) is type(whole)
