from __future__ import annotations

import pytest

from varley.api.auto_scaling import _PRINTABLE, _TEXT
from varley.api.constraints import Rule
from varley.api.java_pattern import JavaPattern
from varley.api.s3_names import S3_BUCKET


def passes(rule: Rule, value: str) -> bool:
    return list(rule.complaints(value, "x")) == []


def test_the_service_is_told_of_in_its_own_words() -> None:
    (complaint,) = JavaPattern(r"\p{Alpha}", "[a-zA-Z]").complaints("1", "x")
    assert complaint == (
        r"Value '1' at 'x' failed to satisfy constraint: Member must satisfy regular expression pattern: \p{Alpha}"
    )


@pytest.mark.parametrize("name", ["ab", "my-bucket", "a.b_c", "A1", "x" * 255])
def test_buckets(name: str) -> None:
    assert all(passes(rule, name) for rule in S3_BUCKET)


@pytest.mark.parametrize("name", ["", "a", "-ab", "ab.", "a b", "a/b", "bücket", "arn:aws:s3:::bucket", "ab\n"])
def test_no_buckets(name: str) -> None:
    assert not passes(S3_BUCKET[1], name)


def test_a_long_name_is_refused_in_no_time() -> None:
    """As the model has the pattern, this would take hours."""
    assert not passes(S3_BUCKET[1], "a" * 100_000 + "!")


def test_printable_is_ascii_and_text_is_not() -> None:
    assert passes(_PRINTABLE, "Scale: 70%")
    assert not passes(_PRINTABLE, "é")
    assert passes(_TEXT, "é \N{PILE OF POO}\r\n\t")
    assert not passes(_TEXT, "\x00")
