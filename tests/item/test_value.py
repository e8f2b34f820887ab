from __future__ import annotations

import copy
import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varley.errors import ApiError, SerializationError, ValidationError
from varley.item.size import item_size, value_size
from varley.item.value import KINDS, check_item, check_shape, check_value

from .strategies import items, spellings, values

INVALID = "One or more parameter values were invalid: "
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = (
    "Supplied AttributeValue has more than one datatypes set, "
    "must contain exactly one of the supported datatypes"
)
NOT_NUMERIC = "The parameter cannot be converted to a numeric value"
NULL_FALSE = INVALID + "Null attribute value types must have the value of true"
NESTED = (
    "Nesting Levels have exceeded supported limits: "
    "Attributes in the item have nested levels beyond supported limit"
)
NOT_A_MAP = "Start of structure or map found where not expected"
NOT_BASE64 = "only base-64-encoded strings are convertible to bytes"
SPARE_BITS = "Invalid last non-pad Base64 character dectected"
JAVA_VALUE = "com.amazonaws.dynamodb.v20120810.AttributeValue"


@given(items)
def test_a_valid_item_passes_unchanged_and_has_its_size(item: dict[str, Any]) -> None:
    before = copy.deepcopy(item)
    assert check_item(item) == item_size(item)
    assert item == before


@given(values)
def test_a_valid_value_passes_unchanged_and_has_its_size(value: dict[str, Any]) -> None:
    before = copy.deepcopy(value)
    check_shape(value)
    assert check_value(value) == value_size(value)
    assert value == before


@given(spellings())
def test_numbers_are_normalised_in_place_however_deep(spelling: tuple[str, object]) -> None:
    text, _ = spelling
    item: dict[str, Any] = {"a": {"N": text}, "m": {"M": {"l": {"L": [{"N": text}]}}}, "s": {"NS": [text]}}
    size = check_item(item)
    normal = item["a"]["N"]
    assert item == {"a": {"N": normal}, "m": {"M": {"l": {"L": [{"N": normal}]}}}, "s": {"NS": [normal]}}
    assert size == item_size(item)
    assert check_item(item) == size


# Everything that JSON can say, and often something that looks like a value.
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=4)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*KINDS, "X", ""]), inner, max_size=2),
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_a_valid_value_or_refused_in_aws_words(value: Any) -> None:
    try:
        check_shape(value)
    except SerializationError as error:
        with pytest.raises(SerializationError, match=re.escape(error.message)):
            check_value(value)
        return
    try:
        size = check_value(value)
    except ValidationError:
        return
    assert value_size(value) == size


@pytest.mark.parametrize(
    ("value", "message"),
    [
        # Which kind
        ('{}', EMPTY),
        ('{"X":"a"}', EMPTY),
        ('{"":"a"}', EMPTY),
        ('{"X":"a","Y":"b"}', EMPTY),
        ('{"S":null}', EMPTY),
        ('{"N":null}', EMPTY),
        ('{"B":null}', EMPTY),
        ('{"BOOL":null}', EMPTY),
        ('{"NULL":null}', EMPTY),
        ('{"SS":null}', EMPTY),
        ('{"L":null}', EMPTY),
        ('{"M":null}', EMPTY),
        ('null', EMPTY),
        ('{"L":[null]}', EMPTY),
        ('{"M":{"a":null}}', EMPTY),
        ('{"L":[{}]}', EMPTY),
        ('{"S":"a","N":"1"}', SEVERAL),
        ('{"S":"a","N":"x"}', NOT_NUMERIC + ": x"),
        ('{"NULL":false,"N":"x"}', NOT_NUMERIC + ": x"),
        ('{"S":"a","NULL":false}', NULL_FALSE),
        ('{"NULL":false}', NULL_FALSE),
        # Numbers (test_number.py has all the rest)
        ('{"N":""}', NOT_NUMERIC),
        ('{"N":"1 "}', NOT_NUMERIC + ": 1 "),
        ('{"NS":["1","x"]}', NOT_NUMERIC + ": x"),
        ('{"NS":[""]}', NOT_NUMERIC),
        ('{"NS":[null]}', NOT_NUMERIC),
        # Sets
        ('{"SS":[]}', INVALID + "An string set  may not be empty"),
        ('{"NS":[]}', INVALID + "An number set  may not be empty"),
        ('{"BS":[]}', INVALID + "Binary sets should not be empty"),
        ('{"SS":["a","a"]}', INVALID + "Input collection [a, a] contains duplicates."),
        ('{"SS":["b","a","b"]}', INVALID + "Input collection [b, a, b] contains duplicates."),
        ('{"NS":["1","1.0"]}', "Input collection contains duplicates"),
        ('{"BS":["YQ==","YQ=="]}', INVALID + "Input collection [YQ==, YQ==]of type BS contains duplicates."),
        ('{"SS":[null]}', INVALID + "An string set may not have a null string as a member"),
        ('{"BS":[null]}', INVALID + "Binary sets may not contain null values"),
        # Names
        ('{"M":{"":{"S":"a"}}}', "Empty attribute name"),
    ],
)
def test_invalid_values_are_refused_in_aws_words(value: str, message: str) -> None:
    assert refusal(ValidationError, value) == message
    assert refusal(ValidationError, nested('{"L":[{"M":{"a":%s}}]}', value, 1)) == message
    check_shape(json.loads(value))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('5', "Unexpected value type in payload"),
        ('1.5', "Unexpected value type in payload"),
        ('"a"', "Unexpected value type in payload"),
        ('"S"', "Unexpected value type in payload"),
        ('""', "Unexpected value type in payload"),
        ('true', "Unexpected value type in payload"),
        ('[]', "Unrecognized collection type class " + JAVA_VALUE),
        ('["S"]', "Unrecognized collection type class " + JAVA_VALUE),
        ('[["S","a"]]', "Unrecognized collection type class " + JAVA_VALUE),
        ('{"S":5}', "NUMBER_VALUE cannot be converted to String"),
        ('{"S":-123456789012345678901234567890}', "NUMBER_VALUE cannot be converted to String"),
        ('{"S":5.0}', "DECIMAL_VALUE cannot be converted to String"),
        ('{"S":true}', "TRUE_VALUE cannot be converted to String"),
        ('{"S":false}', "FALSE_VALUE cannot be converted to String"),
        ('{"S":[]}', "Unrecognized collection type class java.lang.String"),
        ('{"S":{}}', NOT_A_MAP),
        ('{"N":5}', "NUMBER_VALUE cannot be converted to String"),
        ('{"N":true}', "TRUE_VALUE cannot be converted to String"),
        ('{"N":["1"]}', "Unrecognized collection type class java.lang.String"),
        ('{"N":{}}', NOT_A_MAP),
        ('{"B":5}', NOT_BASE64),
        ('{"B":1.5}', NOT_BASE64),
        ('{"B":true}', NOT_BASE64),
        ('{"B":[]}', "Unrecognized collection type class java.nio.ByteBuffer"),
        ('{"B":{}}', NOT_A_MAP),
        ('{"B":"a"}', "Base64 encoded length is expected a multiple of 4 bytes but found: 1"),
        ('{"B":"YQ="}', "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
        ('{"B":"YWJj\\n"}', "Base64 encoded length is expected a multiple of 4 bytes but found: 5"),
        ('{"B":"ab=="}', SPARE_BITS),
        ('{"B":"+/+="}', SPARE_BITS),
        ('{"B":"=+/="}', SPARE_BITS),
        ('{"B":"ab=c"}', SPARE_BITS),
        ('{"B":"a==="}', SPARE_BITS),
        ('{"B":"===="}', SPARE_BITS),
        ('{"B":"YQ==YQ=="}', SPARE_BITS),
        ('{"B":"ab-_"}', SPARE_BITS),
        ('{"B":"ab c"}', SPARE_BITS),
        ('{"B":"aaa\u00e9"}', SPARE_BITS),
        ('{"BOOL":"true"}', "Unexpected token received from parser"),
        ('{"BOOL":1}', "NUMBER_VALUE cannot be converted to Boolean"),
        ('{"BOOL":1.5}', "DECIMAL_VALUE cannot be converted to Boolean"),
        ('{"BOOL":[]}', "Unrecognized collection type class java.lang.Boolean"),
        ('{"BOOL":{}}', NOT_A_MAP),
        ('{"NULL":"true"}', "Unexpected token received from parser"),
        ('{"NULL":1}', "NUMBER_VALUE cannot be converted to Boolean"),
        ('{"NULL":0}', "NUMBER_VALUE cannot be converted to Boolean"),
        ('{"SS":"a"}', "Unexpected field type"),
        ('{"SS":5}', "Unexpected field type"),
        ('{"SS":{}}', NOT_A_MAP),
        ('{"SS":{"a":"b"}}', NOT_A_MAP),
        ('{"SS":[1]}', "NUMBER_VALUE cannot be converted to String"),
        ('{"SS":["a",[]]}', "Unrecognized collection type class java.lang.String"),
        ('{"SS":[{}]}', NOT_A_MAP),
        ('{"NS":[1]}', "NUMBER_VALUE cannot be converted to String"),
        ('{"NS":"1"}', "Unexpected field type"),
        ('{"BS":[5]}', NOT_BASE64),
        ('{"BS":["a"]}', "Base64 encoded length is expected a multiple of 4 bytes but found: 1"),
        ('{"BS":"YQ=="}', "Unexpected field type"),
        ('{"L":"a"}', "Unexpected field type"),
        ('{"L":true}', "Unexpected field type"),
        ('{"L":{}}', NOT_A_MAP),
        ('{"L":["a"]}', "Unexpected value type in payload"),
        ('{"L":[[]]}', "Unrecognized collection type class " + JAVA_VALUE),
        ('{"M":"a"}', "Unexpected field type"),
        ('{"M":[]}', f"Unrecognized collection type java.util.Map<java.lang.String, {JAVA_VALUE}>"),
        ('{"M":{"a":"a"}}', "Unexpected value type in payload"),
        ('{"M":{"a":[]}}', "Unrecognized collection type class " + JAVA_VALUE),
    ],
)
def test_wrong_json_types_are_refused_in_the_words_of_aws_deserializer(value: str, message: str) -> None:
    assert refusal(SerializationError, value) == message
    assert refusal(SerializationError, nested('{"L":[{"M":{"a":%s}}]}', value, 1)) == message


@pytest.mark.parametrize(
    "item",
    [
        '{"a":{"N":"x"},"b":{"S":5}}',
        '{"a":{"SS":[]},"b":{"L":[{"S":5}]}}',
        '{"a":{},"b":{"S":5}}',
        '{"a":{"S":"x","N":"1"},"b":{"S":5}}',
        '{"a":{"NULL":false},"b":{"S":5}}',
        '{"":{"S":"x"},"b":{"S":5}}',
        '{"a":null,"b":{"S":5}}',
        '{"a":{"S":5,"N":"x"}}',
    ],
)
def test_a_wrong_type_anywhere_goes_before_an_invalid_value(item: str) -> None:
    with pytest.raises(SerializationError) as refused:
        check_item(json.loads(item))
    assert refused.value.message == "NUMBER_VALUE cannot be converted to String"


def test_unknown_and_null_members_of_a_value_are_ignored() -> None:
    item = {"a": {"X": 5, "S": "x"}, "b": {"S": None, "N": "01"}, "c": {"L": [{"Y": {}, "NS": ["1.0"]}]}}
    assert check_item(item) == item_size(item)
    assert item == {"a": {"S": "x"}, "b": {"N": "1"}, "c": {"L": [{"NS": ["1"]}]}}


def test_empty_text_and_empty_bytes_are_values_in_sets_too() -> None:
    assert check_item({"a": {"S": ""}, "b": {"B": ""}, "c": {"SS": [""]}, "d": {"BS": ["", "AA=="]}}) == 5


@pytest.mark.parametrize("wrap", ['{"L":[%s]}', '{"M":{"a":%s}}'])
@pytest.mark.parametrize("inside", ['{"S":"x"}', '{"L":[]}', '{"M":{}}', '{"SS":["a"]}'])
def test_the_32nd_level_holds_no_list_and_no_map(wrap: str, inside: str) -> None:
    assert check_value(json.loads(nested(wrap, inside, 30))) > 0
    if "S" in inside:
        assert check_value(json.loads(nested(wrap, inside, 31))) > 0
    else:
        assert refusal(ValidationError, nested(wrap, inside, 31)) == NESTED
    assert refusal(ValidationError, nested(wrap, inside, 32)) == NESTED


def test_a_body_nested_as_deep_as_it_can_be_decoded_is_refused_for_its_depth() -> None:
    for depth in (100, 200, 400):
        value = msgspec.json.decode(nested('{"L":[%s]}', '{"S":"x"}', depth))
        with pytest.raises(ValidationError) as refused:
            check_value(value)
        assert refused.value.message == NESTED


def test_wrong_types_below_the_deepest_level_are_not_looked_for() -> None:
    too_deep = json.loads(nested('{"L":[%s]}', "5", 400))
    with pytest.raises(ValidationError) as refused:
        check_value(too_deep)
    assert refused.value.message == NESTED
    with pytest.raises(ValidationError) as refused:
        check_item({"a": {"L": [None]}, "b": too_deep})
    assert refused.value.message == EMPTY


def test_a_name_may_have_65535_bytes() -> None:
    assert check_item({"n" * 65535: {"S": ""}}) == 65535
    assert check_item({"n" * 65535: {"S": ""}, "m" * 65535: {"S": ""}}) == 131070
    for name in ("n" * 65536, "\u00e9" * 32768):
        with pytest.raises(ValidationError) as refused:
            check_item({name: {"S": ""}})
        assert refused.value.message == "Attribute name is too large, must be less than 65536 bytes"


def test_an_item_without_attributes_has_no_size() -> None:
    assert check_item({}) == 0


def nested(wrap: str, inside: str, depth: int) -> str:
    start, end = wrap.split("%s")
    return start * depth + inside + end * depth


def refusal(kind: type[ApiError], value: str) -> str:
    """What check_value says to this JSON, which it has to refuse in this way. check_item says the same."""
    with pytest.raises(kind) as refused:
        check_value(json.loads(value))
    with pytest.raises(kind) as refused_item:
        check_item({"ok": {"S": "x"}, "a": json.loads(value)})
    assert refused_item.value.message == refused.value.message
    return refused.value.message
