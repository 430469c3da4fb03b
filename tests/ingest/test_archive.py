import io
import stat
import struct
import tarfile
import zipfile
from contextlib import nullcontext
from pathlib import Path

import pytest

from cxr.core.errors import DataError
from cxr.ingest.archive import Limits, safe_path, unpack, write_member
from tests.dataset.releases import digest, png, write_tar, write_tree, write_zip
from tests.imports import ROOT
from tests.ingest.refusals import refused

FILES = {"top/COVID/a.png": png(1), "top/Normal/b c.png": png(2), "top/read me.txt": b""}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked_whole_however_it_is_packed(tmp_path: Path, into: Path, mode: str) -> None:
    unpack(write_tar(tmp_path / "a.bin", FILES, mode), into)
    assert digest(into) == digest(write_tree(tmp_path / "same", FILES))


def test_a_zip_is_unpacked_whole_with_its_empty_folders(tmp_path: Path, into: Path) -> None:
    archive = write_zip(tmp_path / "a.bin", {**FILES, "top/empty/": b""})
    unpack(archive, into)
    assert digest(into) == digest(write_tree(tmp_path / "same", FILES))
    assert (into / "top/empty").is_dir()


def test_a_tar_that_ends_in_a_workbook_is_not_taken_for_a_zip(tmp_path: Path, into: Path) -> None:
    workbook = write_zip(tmp_path / "sheet.xlsx", {"inside.xml": b"<x/>"}).read_bytes()
    unpack(write_tar(tmp_path / "a.tar", {**FILES, "top/COVID.metadata.xlsx": workbook}), into)
    assert (into / "top/COVID/a.png").read_bytes() == FILES["top/COVID/a.png"]
    assert not (into / "inside.xml").exists()


@pytest.mark.parametrize(
    "name",
    ["../out.png", "a/../../out.png", "/tmp/out.png", "C:/out.png", "c:out.png", "..\\out.png", "\\out.png", "a\nb"],
)
def test_a_name_that_leaves_the_folder_or_cannot_be_written_down_is_refused(name: str) -> None:
    with pytest.raises(DataError, match="would be written outside the folder or has an unprintable name"):
        safe_path(name)


def test_backslashes_of_windows_zips_separate_folders() -> None:
    assert safe_path("COVID\\images\\a.png").parts == ("COVID", "images", "a.png")


@pytest.mark.parametrize("write", [write_zip, write_tar])
@pytest.mark.parametrize("name", ["../out.png", "a/../../out.png", "/{tmp}/out.png"])
def test_no_archive_writes_outside_its_folder(tmp_path: Path, into: Path, write, name: str) -> None:
    archive = write(tmp_path / "a.bin", {name.replace("/{tmp}", str(tmp_path)): b"x"})
    assert "outside the folder" in refused(archive, into)
    assert not list(tmp_path.rglob("out.png"))


@pytest.mark.parametrize(("mode", "write"), [("", write_zip), ("w:gz", write_tar)])
def test_a_member_that_packs_too_well_is_a_bomb(tmp_path: Path, into: Path, mode: str, write) -> None:
    arguments = [mode] if mode else []
    archive = write(tmp_path / "a.bin", {"COVID/a.png": bytes(12_000_000)}, *arguments)
    assert "unpacks to more than 200 times its packed size" in refused(archive, into)


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_an_archive_over_the_total_size_is_refused(tmp_path: Path, into: Path, write) -> None:
    archive = write(tmp_path / "a.bin", {"a.png": bytes(600), "b.png": bytes(600)})
    assert "more than 1e-06 GB" in refused(archive, into, Limits(total_bytes=1000))


@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_an_archive_with_too_many_members_is_refused(tmp_path: Path, into: Path, write) -> None:
    assert "more than 2 members" in refused(write(tmp_path / "a.bin", FILES), into, Limits(members=2))


def test_bytes_are_counted_while_they_are_written_whatever_the_headers_say(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unpacks to more than"):
        write_member(io.BytesIO(bytes(2000)), tmp_path / "a", written=0, limits=Limits(total_bytes=1999))
    assert write_member(io.BytesIO(bytes(2000)), tmp_path / "b", 5, Limits(total_bytes=2005)) == 2005


@pytest.mark.parametrize("second", ["COVID/a.png", "covid/A.PNG", "COVID/a.png/b.png"])
@pytest.mark.parametrize("write", [write_zip, write_tar])
def test_members_that_one_disk_may_not_hold_together_are_refused(tmp_path: Path, into: Path, write, second) -> None:
    archive = tmp_path / "a.bin"
    if write is write_zip:
        with (
            pytest.warns(UserWarning, match="Duplicate name") if second == "COVID/a.png" else nullcontext(),
            zipfile.ZipFile(archive, "w") as file,
        ):
            file.writestr("COVID/a.png", b"1")
            file.writestr(second, b"2")
    else:
        with tarfile.open(archive, "w") as file:
            file.addfile(tarfile.TarInfo("COVID/a.png"))
            file.addfile(tarfile.TarInfo(second))
    assert f"both 'COVID/a.png' and '{second}'" in refused(archive, into)


def test_what_is_no_archive_is_refused_with_the_usual_cause(tmp_path: Path, into: Path) -> None:
    whole = write_zip(tmp_path / "a.zip", FILES).read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:-40])
    assert "neither a whole zip nor a tar. A download that broke off" in refused(tmp_path / "a.zip", into)


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


def test_folders_of_windows_zips_end_with_a_backslash(tmp_path: Path, into: Path) -> None:
    names = ["top\\", "top\\COVID\\", "top\\COVID\\a.png", "top\\empty\\"]
    unpack(write_zip(tmp_path / "a.zip", {name: b"" if name.endswith("\\") else png(1) for name in names}), into)
    assert digest(into) == digest(write_tree(tmp_path / "same", {"top/COVID/a.png": png(1)}))
    assert (into / "top/empty").is_dir()


@pytest.mark.parametrize(
    ("method", "words"),
    [(9, "a.png with Deflate64, as Windows does for large files"), (93, "with Zstandard"), (6, "with method 6")],
)
def test_a_way_of_packing_that_is_not_read_is_no_damage(tmp_path: Path, into: Path, method: int, words: str) -> None:
    raw = bytearray(write_zip(tmp_path / "a.zip", {"a.png": b"abc"}).read_bytes())
    for mark, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        struct.pack_into("<H", raw, raw.index(mark) + offset, method)
    (tmp_path / "a.zip").write_bytes(raw)
    said = refused(tmp_path / "a.zip", into)
    assert said.startswith("The zip is not damaged, but packed in a way that is not read: ")
    assert words in said
    assert "Unpack it, in Windows with 'Extract All'" in said


@pytest.mark.parametrize("part", ["first", "last"])
def test_one_part_of_a_zip_in_several_is_named(tmp_path: Path, into: Path, part: str) -> None:
    raw = bytearray(write_zip(tmp_path / "a.zip", {"a.png": b"abc"}).read_bytes())
    end = raw.index(b"PK\5\6")
    struct.pack_into("<H", raw, end + 4, 1)
    (tmp_path / "a.zip").write_bytes(b"PK\7\x08" + raw[:end] if part == "first" else raw)
    assert "a.zip is one part of a zip in several files; put all parts into one" in refused(tmp_path / "a.zip", into)


def test_an_empty_zip_is_named(into: Path) -> None:
    assert refused(ROOT / "tests" / "inputs" / "unread" / "e.zip", into).startswith("The zip is empty; give the")


def test_a_zip64_is_unpacked(tmp_path: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)  # of entries, from which the directory is one of zip64
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in FILES.items():
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    assert b"PK\6\6" in (tmp_path / "a.zip").read_bytes()
    unpack(tmp_path / "a.zip", into)
    assert digest(into) == digest(write_tree(tmp_path / "same", FILES))


def test_a_bad_crc_names_the_member(tmp_path: Path, into: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("COVID/a.png", b"the very content")
    raw = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(raw.replace(b"very", b"evil"))
    assert "damaged at COVID/a.png (Bad CRC-32" in refused(tmp_path / "a.zip", into)
