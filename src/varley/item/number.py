"""DynamoDB numbers, kept as text.

A DynamoDB number is a decimal: up to 38 significant digits, magnitude from 1E-130 to just under 1E+126, or
zero. Clients send it as text in many spellings ("007", "+1.50", "1E2"); DynamoDB answers with one, the
*normal form*: plain digits, never an exponent, no plus sign, no leading zeros, no trailing zeros after the
point, no point without a fraction, and zero is "0".

    sent       1E2   1E-3    -0.00   +1.50   .5    1E+125
    normal     100   0.001   0       1.5     0.5   1 and 125 zeros

Numbers are normalised once, on the way in, and everything after that may compare them as text: two normal
forms are equal exactly when the numbers are. Holding decimal.Decimal objects instead was rejected: an item in
memory is the JSON that it is stored as, and almost every number is only carried, never computed with.

Inside, AWS counts a number's digits in pairs that are aligned at the decimal point, as in 1.001 = 01 . 00 10,
without the zero pairs at both ends. A number costs one byte for sign and exponent, one for each pair, and one
more if it is negative, 21 at most ([DG] "Item sizes": "1 byte per two significant digits + 1 byte", "leading
and trailing zeroes are trimmed"; zero and the bound of 21 as measured on DynamoDB Local, 2026). `key_bytes`
has the same structure, so `size(n) == len(key_bytes(n))`:

    byte 0       sign and exponent; k is the power of 100 of the first pair, -65 to 62
                     positive    0x80 + (k + 65)     0x80 .. 0xFF
                     zero        0x80                and nothing after it, so all positive numbers follow
                     negative    0x7F - (k + 65)     0x7F .. 0x00
    bytes 1..    the pairs, 20 at most, each as packed decimal (0x00..0x99)
                     positive    pair + 1            0x01 .. 0x9A
                     negative    0x9A - pair         0x9A .. 0x01
    last byte    0xFF if negative and of fewer than 20 pairs: of -1 and -1.5 the shorter sorts last

    -123    3D 99 77 FF         0       80              1        C1 02
    -1.5    3E 99 4A FF         1E-130  80 02           1.5      C1 02 51
    -1      3E 99 FF            0.001   BF 11           123      C2 02 24

    Bytewise order of the encodings is numeric order. No byte after the first is 0x00, so who needs to put
    something behind a number may end it with 0x00.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact
from typing import NoReturn

from varley.errors import ValidationError
from varley.limits import NUMBER_DIGITS_MAX, NUMBER_EXPONENT_MAX, NUMBER_EXPONENT_MIN, QUOTED_CHARS_MAX

_BYTES_MAX = 21
_PAIRS_MAX = 20                         # 38 digits that straddle the pairs: 1 + 18 * 2 + 1
_EXPONENT_PAIR_MIN = -65                # 1E-130 is pair 65 after the point

_NORMAL_FORM = re.compile(r"0|-?(?:[1-9][0-9]*|0(?=\.))(?:\.[0-9]*[1-9])?").fullmatch
# Possessive (*+): what has no such form is known in one pass, and not after as many as it has digits.
_ANY_FORM = re.compile(r"([+-]?)([0-9]*+)(?:\.([0-9]*+))?(?:[eE]([+-]?)([0-9]++))?").fullmatch

# Exact for every sum of two DynamoDB numbers, whose digits lie between 1E+126 and 1E-167. `Inexact` would be
# our mistake.
_EXACT = Context(prec=300, traps=[Inexact])


def normalize(text: str) -> str:
    """The normal form of a number in any spelling. Raises ValidationError with AWS's words."""
    # The hot path: nearly every number is a short positive integer, already in normal form.
    if text.isdigit() and text[0] != "0" and len(text) <= NUMBER_DIGITS_MAX and text.isascii():
        return text
    # Zero, negative, or with a fraction, but already in normal form. At most 38 characters hold at most 38
    # digits and no magnitude out of range.
    if len(text) <= NUMBER_DIGITS_MAX and _NORMAL_FORM(text):
        return text
    return _rewrite(text)


def compare(a: str, b: str) -> int:
    """-1, 0 or 1 as normal form `a` is less than, equal to or greater than `b`."""
    if a == b:
        return 0
    return -1 if Decimal(a) < Decimal(b) else 1


def add(a: str, b: str) -> str:
    """The exact sum of two normal forms, in normal form.

    Raises ValidationError (overflow, underflow, more than 38 significant digits): AWS does not round.
    """
    if "." not in a and "." not in b and len(a) < NUMBER_DIGITS_MAX and len(b) < NUMBER_DIGITS_MAX:
        return str(int(a) + int(b))
    return normalize(format(_EXACT.add(Decimal(a), Decimal(b)), "f"))


def subtract(a: str, b: str) -> str:
    """The exact difference of two normal forms, in normal form. Raises as `add` does."""
    if "." not in a and "." not in b and len(a) < NUMBER_DIGITS_MAX and len(b) < NUMBER_DIGITS_MAX:
        return str(int(a) - int(b))
    return normalize(format(_EXACT.subtract(Decimal(a), Decimal(b)), "f"))


def size(normal: str) -> int:
    """What a normal form counts for in an item's size, in bytes: 1 to 21."""
    if normal.isdigit() and normal[-2:] != "00" and normal != "0":
        return (len(normal) + 3) >> 1
    if normal == "0":
        return 1
    negative = normal[0] == "-"
    whole, _, fraction = normal[negative:].partition(".")
    if not fraction:
        zeros = len(whole) - len(whole.rstrip("0"))
        pairs = ((len(whole) + 1) >> 1) - (zeros >> 1)
    elif whole == "0":
        pairs = ((len(fraction) + 1) >> 1) - ((len(fraction) - len(fraction.lstrip("0"))) >> 1)
    else:
        pairs = ((len(whole) + 1) >> 1) + ((len(fraction) + 1) >> 1)
    return min(1 + pairs + negative, _BYTES_MAX)


def key_bytes(normal: str) -> bytes:
    """The order-preserving encoding of a normal form, 1 to 21 bytes. Drawn at the top of this file."""
    if normal.isdigit():    # a positive integer, or zero
        if normal == "0":
            return b"\x80"
        length = len(normal)
        pairs = bytes.fromhex("0" + normal if length & 1 else normal)
        return _POSITIVE_HEAD[(length + 1) // 2 - 1] + pairs.rstrip(b"\0").translate(_POSITIVE_PAIR)

    negative = normal[0] == "-"
    whole, _, fraction = (normal[1:] if negative else normal).partition(".")
    if whole == "0":
        whole = ""
    whole = "0" * (len(whole) & 1) + whole
    pairs = bytes.fromhex(whole + fraction + "0" * (len(fraction) & 1))
    significant = pairs.lstrip(b"\0")
    exponent = len(whole) // 2 - (len(pairs) - len(significant)) - 1
    significant = significant.rstrip(b"\0")
    if not negative:
        return _POSITIVE_HEAD[exponent] + significant.translate(_POSITIVE_PAIR)
    end = b"\xff" if len(significant) < _PAIRS_MAX else b""
    return _NEGATIVE_HEAD[exponent] + significant.translate(_NEGATIVE_PAIR) + end


def from_key_bytes(key: bytes) -> str:
    """The normal form whose `key_bytes` is `key`. Asserts that there is one."""
    head, pairs = key[0], key[1:]
    if not pairs:
        assert head == 0x80, f"a number's key ends after its first byte: {key.hex()}"
        return "0"
    if head >= 0x80:
        exponent = head - 0x80 + _EXPONENT_PAIR_MIN
        digits = pairs.translate(_POSITIVE_PAIR_BACK).hex()
        sign = ""
    else:
        exponent = 0x7F - head + _EXPONENT_PAIR_MIN
        digits = pairs.removesuffix(b"\xff").translate(_NEGATIVE_PAIR_BACK).hex()
        sign = "-"
    assert digits.isdigit(), f"not pairs of digits: {key.hex()}"
    unit = 2 * exponent - len(digits) + 2    # the power of ten of the last digit
    trimmed = digits.rstrip("0")
    normal = _plain(sign, trimmed.lstrip("0"), unit + len(digits) - len(trimmed))
    assert key_bytes(normal) == key, f"not the key of a number: {key.hex()}"
    return normal


def _rewrite(text: str) -> str:
    """`normalize` for everything that is not in normal form already."""
    form = _ANY_FORM(text)
    if form is None:
        _refuse(text)
    sign, whole, fraction, exponent_sign, exponent_digits = form.groups("")
    if not whole and not fraction:
        _refuse(text)
    exponent = _exponent(exponent_sign, exponent_digits, text) - len(fraction)

    digits = (whole + fraction).lstrip("0")
    if not digits:
        return "0"
    significant = digits.rstrip("0")
    exponent += len(digits) - len(significant)
    if len(significant) > NUMBER_DIGITS_MAX:
        raise ValidationError("Attempting to store more than 38 significant digits in a Number")
    magnitude = exponent + len(significant) - 1
    if magnitude > NUMBER_EXPONENT_MAX:
        raise ValidationError(
            "Number overflow. Attempting to store a number with magnitude larger than supported range"
        )
    if magnitude < NUMBER_EXPONENT_MIN:
        raise ValidationError(
            "Number underflow. Attempting to store a number with magnitude smaller than supported range"
        )
    return _plain("-" if sign == "-" else "", significant, exponent)


def _exponent(sign: str, digits: str, text: str) -> int:
    """The exponent of `text`. Beyond 32 bits AWS's parser does not see a number at all, not even for 0E…"""
    digits = digits.lstrip("0")
    if len(digits) > 10:    # before int(), which refuses thousands of digits with an error of its own
        _refuse(text)
    exponent = int(sign + digits) if digits else 0
    if not -(2**31) < exponent < 2**31:
        _refuse(text)
    return exponent


def _refuse(text: str) -> NoReturn:
    if not text:
        raise ValidationError("The parameter cannot be converted to a numeric value")
    shown = text[:QUOTED_CHARS_MAX]
    raise ValidationError(f"The parameter cannot be converted to a numeric value: {shown}")


def _plain(sign: str, digits: str, exponent: int) -> str:
    """`digits` times ten to the `exponent`, in plain notation. Digits neither begin nor end with zero."""
    if exponent >= 0:
        return sign + digits + "0" * exponent
    point = len(digits) + exponent
    if point > 0:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    return f"{sign}0.{'0' * -point}{digits}"


# The tables below are indexed by exponent: 0 to 62, then -65 to -1 from the end, as Python's own indexes go.
_EXPONENTS = (*range(63), *range(_EXPONENT_PAIR_MIN, 0))
_POSITIVE_HEAD = [bytes([0x80 + k - _EXPONENT_PAIR_MIN]) for k in _EXPONENTS]
_NEGATIVE_HEAD = [bytes([0x7F - k + _EXPONENT_PAIR_MIN]) for k in _EXPONENTS]

# Translations of one packed pair, 0x00..0x99; what lies beyond never occurs.
_POSITIVE_PAIR = bytes((b + 1) % 256 for b in range(256))
_POSITIVE_PAIR_BACK = bytes((b - 1) % 256 for b in range(256))
_NEGATIVE_PAIR = bytes((0x9A - b) % 256 for b in range(256))
_NEGATIVE_PAIR_BACK = _NEGATIVE_PAIR    # it is its own inverse
