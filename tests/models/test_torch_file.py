"""Tensors come out of PyTorch's first format as they are, and nothing else does, nor is any code of a file run."""

import os
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr.errors import WeightsError
from cxr.models.torch_file import read_tensors
from tests.torch_files import Storage, Tensor, tensor, write_torch

KERNEL = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)


def small(path):
    return write_torch(path, {"a": tensor(KERNEL), "n": tensor(np.array(3, np.int64))})


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("offset", [0, 5])
def test_tensors_come_out_as_they_were_whatever_their_strides(order, offset, tmp_path):
    given_ = {"kernel": KERNEL, "vector": np.float32([1, -2]), "none": np.zeros((0, 3), np.float32)}
    given_ |= {"number": np.array(7, np.int64), "large": np.array([2**40], np.int64)}
    path = write_torch(tmp_path / "w.pth", {name: tensor(array, order, offset) for name, array in given_.items()})
    found = read_tensors(path)
    assert list(found) == list(given_)
    for name, array in given_.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)
        assert found[name].flags.c_contiguous


def test_tensors_may_share_a_storage_and_repeat_elements(tmp_path):
    shared = Storage(np.arange(6, dtype=np.float32))
    views = {"whole": Tensor(shared, 0, (2, 3), (3, 1)), "column": Tensor(shared, 1, (2,), (3,))}
    found = read_tensors(write_torch(tmp_path / "w.pth", views | {"same": Tensor(shared, 5, (4,), (0,))}))
    assert found["whole"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["column"].tolist() == [1, 4]
    assert found["same"].tolist() == [5] * 4


@pytest.mark.parametrize("left_out", [1, 8, 9, 200, 900])
def test_a_file_that_ends_early_is_refused(left_out, tmp_path):
    content = small(tmp_path / "w.pth").read_bytes()
    (tmp_path / "w.pth").write_bytes(content[:-left_out])
    with pytest.raises(WeightsError, match=r"w\.pth cannot be read as tensors .*: it is damaged or another kind"):
        read_tensors(tmp_path / "w.pth")


def test_a_file_that_goes_on_is_refused(tmp_path):
    path = small(tmp_path / "w.pth")
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(WeightsError, match="it goes on after the last storage"):
        read_tensors(path)


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"text\n", b"\x80\x02K\x01.", bytes(1000)])
def test_other_files_are_refused(content, tmp_path):
    (tmp_path / "w.pth").write_bytes(content)
    with pytest.raises(WeightsError, match="in PyTorch's first format"):
        read_tensors(tmp_path / "w.pth")


def test_the_newer_format_and_other_versions_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(WeightsError):
        read_tensors(tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="its first words are others"):
        read_tensors(write_torch(tmp_path / "w.pth", {}, protocol=1002))


class Evil:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


def test_no_code_of_a_file_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write_torch(tmp_path / "w.pth", {"a": tensor(KERNEL), "b": Evil()})
    with pytest.raises(WeightsError, match=r"it asks for (posix|nt)\.mkdir"):
        read_tensors(path)
    assert not (tmp_path / "made-by-a-pickle").exists()


@pytest.mark.parametrize("value", [3, "text", [1.0], {"a": 1}])
def test_what_is_no_tensor_is_refused(value, tmp_path):
    with pytest.raises(WeightsError, match="something else than tensors by name"):
        read_tensors(write_torch(tmp_path / "w.pth", {"a": tensor(KERNEL), "b": value}))


def test_tensors_of_other_types_are_refused(tmp_path):
    path = write_torch(tmp_path / "w.pth", {"a": tensor(np.ones(3, np.float64))})
    with pytest.raises(WeightsError, match=r"it asks for torch\.DoubleStorage"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("offset", "size", "strides"),
    [
        (0, (7,), (1,)), (1, (6,), (1,)), (0, (2, 3), (4, 1)), (6, (1,), (1,)), (0, (2**40,), (0,)),
        (0, (2,), (2**62,)), (5, (2,), (-1,)), (-1, (1,), (1,)), (0, (-1,), (1,)), (0, (2, 3), (1,)), (0, (1.0,), (1,)),
    ],
)  # fmt: skip
def test_a_tensor_reads_no_memory_but_its_storage(offset, size, strides, tmp_path):
    view = Tensor(Storage(np.arange(6, dtype=np.float32)), offset, size, strides)
    with pytest.raises(WeightsError, match=r"a tensor (lies outside of its storage|has a shape that is none)"):
        read_tensors(write_torch(tmp_path / "w.pth", {"a": view}))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_file_is_refused_or_read_and_never_an_accident(changes, tmp_path):
    content = bytearray(small(tmp_path / "w.pth").read_bytes())
    for place, value in changes:
        content[place % len(content)] = value
    (tmp_path / "w.pth").write_bytes(content)
    try:
        found = read_tensors(tmp_path / "w.pth")
    except WeightsError:
        return
    assert all(array.dtype in (np.float32, np.int64) for array in found.values())
