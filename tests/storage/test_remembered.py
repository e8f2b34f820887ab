"""What a node remembers of its cluster, byte by byte, and what becomes of it when bytes are lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from varley.errors import Damaged
from varley.storage.data_folder import DataFolder
from varley.storage.remembered import Remembered, decode, encode, read, write

EXAMPLE = Remembered(42, 41, (3, 7), [("groups", b"{}", 40)])
FORMATS = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()


def test_it_is_as_the_page_draws_it() -> None:
    assert f"    {encode(EXAMPLE).hex(' ')}\n" in FORMATS


def test_it_comes_out_as_it_went_in(tmp_path: Path) -> None:
    with DataFolder.open(str(tmp_path / "data")) as folder:
        assert read(folder) is None
        write(folder, encode(EXAMPLE))
        write(folder, encode(EXAMPLE._replace(version=43)))
        there = read(folder)
        assert there is not None
        assert (there.etcd, there.version, sorted(there.hosted)) == (42, 43, [3, 7])
        assert [tuple(each) for each in there.entries] == EXAMPLE.entries


@pytest.mark.parametrize("at", range(len(encode(EXAMPLE))))
def test_no_byte_of_it_can_be_another(at: int) -> None:
    data = bytearray(encode(EXAMPLE))
    data[at] ^= 0x10
    with pytest.raises(ValueError, match=r"checksum|version"):
        decode(bytes(data))
    with pytest.raises(ValueError, match=r"short|checksum"):
        decode(encode(EXAMPLE)[:at])


def test_a_damaged_file_is_told_with_its_path(tmp_path: Path) -> None:
    with DataFolder.open(str(tmp_path / "data")) as folder:
        write(folder, encode(EXAMPLE)[:-1])
        with pytest.raises(Damaged, match=r"remembered\.bin"):
            read(folder)
