import tarfile
from pathlib import Path

import pytest

from tests.dataset.refusals import refused
from tests.dataset.releases import png, write_tar


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_tar_with_a_link_or_a_device_is_refused(tmp_path: Path, into: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("COVID/link.png")
    member.type, member.linkname = kind, "/etc/passwd"
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(member)
    assert "COVID/link.png is a link, a device" in refused(tmp_path / "a.tar", into)
    assert list(into.iterdir()) == []


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_that_breaks_off_is_refused(tmp_path: Path, into: Path, mode: str, share: float) -> None:
    content = {f"COVID/{number}.png": png(number) * 40 for number in range(5)}
    raw = write_tar(tmp_path / "a.tar", content, mode).read_bytes().rstrip(b"\0")
    (tmp_path / "a.tar").write_bytes(raw[: int(len(raw) * share)])
    assert "is a damaged tar" in refused(tmp_path / "a.tar", into)


@pytest.mark.parametrize("at", [1024, 1024 + 5])
def test_a_tar_cut_at_or_in_a_header_is_refused_though_tarfile_takes_it_for_the_end(
    tmp_path: Path, into: Path, at: int
) -> None:
    raw = write_tar(tmp_path / "a.tar", {"a.png": b"1", "b.png": b"2"}).read_bytes()
    (tmp_path / "a.tar").write_bytes(raw[:at])
    assert "is a damaged tar" in refused(tmp_path / "a.tar", into)


def test_a_tar_with_a_garbled_header_in_the_middle_is_refused(tmp_path: Path, into: Path) -> None:
    raw = bytearray(write_tar(tmp_path / "a.tar", {"a.png": b"1", "b.png": b"2"}).read_bytes())
    raw[1024 + 150] ^= 0xFF  # the checksum of the second header
    (tmp_path / "a.tar").write_bytes(raw)
    assert "garbled" in refused(tmp_path / "a.tar", into)
