from __future__ import annotations

from collections.abc import Callable

import pytest

from varley.api.absences import no_backup, no_export, no_import
from varley.errors import ApiError, ValidationError

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/Music"
KINDS = {
    "backup": (no_backup, "BackupNotFoundException", "Backup not found: {}", "Invalid Backup ARN"),
    "export": (no_export, "ExportNotFoundException", "Export not found: Export not found: {}", "Invalid Export ARN"),
    "import": (no_import, "ImportNotFoundException", "Import not found: {}", "Invalid Import ARN"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_could_be_is_not_found(kind: str) -> None:
    absent, code, text, _ = KINDS[kind]
    arn = f"{TABLE}/{kind}/01658528578619-c4d4e311"
    error = absent(arn)
    assert error.code == code
    assert error.status == 400
    assert error.message == text.format(arn)


@pytest.mark.parametrize(
    "arn",
    [
        TABLE,
        f"{TABLE}/stream/2024-01-01T00:00:00.000",
        f"{TABLE}/{{}}/",
        f"{TABLE}/{{}}/1/2",
        "arn:aws:dynamodb:us-east-1:123456789012:table/x/{}/01658528578619-c4d4e311",
        "arn:aws:s3:us-east-1:123456789012:table/Music/{}/01658528578619-c4d4e311",
        "x" * 48,
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_one_that_could_not_be_is_invalid(kind: str, arn: str) -> None:
    absent: Callable[[str], ApiError] = KINDS[kind][0]
    error = absent(arn.format(kind))
    assert isinstance(error, ValidationError)
    assert error.message == KINDS[kind][3]


@pytest.mark.parametrize("kind", KINDS)
def test_the_one_is_not_taken_for_the_other(kind: str) -> None:
    for other in set(KINDS) - {kind}:
        assert isinstance(KINDS[kind][0](f"{TABLE}/{other}/01658528578619-c4d4e311"), ValidationError)
