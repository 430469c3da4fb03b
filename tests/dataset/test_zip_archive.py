import stat
import struct
import zipfile
from pathlib import Path

import pytest

from tests.dataset.refusals import refused
from tests.dataset.releases import digest, write_zip


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_zip_with_a_link_or_a_device_is_refused(tmp_path: Path, into: Path, kind: int) -> None:
    member = zipfile.ZipInfo("COVID/link.png")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    assert "COVID/link.png is a link or a device" in refused(tmp_path / "a.zip", into)
    assert digest(into) == {}


def test_a_zip_whose_header_lies_about_the_size_writes_no_more_than_the_header_says(tmp_path: Path, into: Path) -> None:
    content = bytes(300_000)
    archive = write_zip(tmp_path / "a.zip", {"a.png": content})
    size, lie = struct.pack("<I", len(content)), struct.pack("<I", 10)
    archive.write_bytes(archive.read_bytes().replace(size, lie))  # in the local and in the central header
    assert "damaged at a.png" in refused(archive, into)
    assert sum(path.stat().st_size for path in into.rglob("*")) <= 10


def test_a_zip_whose_members_share_bytes_is_refused(tmp_path: Path, into: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", bytes(1000))
        archive.writestr("b.png", bytes(1000))
        archive.infolist()[1].header_offset = archive.infolist()[0].header_offset + 10
    assert "a.png and b.png overlap" in refused(tmp_path / "a.zip", into)


def test_an_encrypted_zip_is_refused_in_a_sentence(tmp_path: Path, into: Path) -> None:
    archive = write_zip(tmp_path / "a.zip", {"a.png": b"abc"})
    raw = bytearray(archive.read_bytes())
    raw[raw.index(b"PK\1\2") + 8] |= 1
    archive.write_bytes(raw)
    assert refused(archive, into).startswith("The zip is encrypted (a.png); unpack it with its password")


def test_a_bad_crc_names_the_member(tmp_path: Path, into: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("COVID/a.png", b"the very content")
    raw = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(raw.replace(b"very", b"evil"))
    assert "damaged at COVID/a.png (Bad CRC-32" in refused(tmp_path / "a.zip", into)
