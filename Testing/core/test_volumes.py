"""Volumes on disk: what is written is read back, what is damaged is refused, what cannot be written leaves nothing."""

from __future__ import annotations

import errno
import gzip
import re
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from dose_prediction import volumes
from dose_prediction.case import CaseError, CaseWarning, Grid
from dose_prediction.output_files import OutputError, finish_interrupted, require_writable, whole_file, whole_folder
from dose_prediction.volumes import read_volume, write_volume
from small_disk import small_disk

SUFFIXES = ["nrrd", "nii", "nii.gz", "mha"]
ANGLE = np.deg2rad(20)
GRIDS = {
    "plain": Grid((6, 8, 10), (-20.0, 5.0, 100.5), (1.25, 1.5, 3.0)),
    "feet first": Grid((6, 8, 10), (1, 2, 3), (1, 2, 3), ((-1, 0, 0), (0, 1, 0), (0, 0, -1))),
    "left-handed": Grid((6, 8, 10), (1, 2, 3), (1, 2, 3), ((1, 0, 0), (0, 1, 0), (0, 0, -1))),
    "oblique": Grid((6, 8, 10), (1, 2, 3), (1, 2, 3), ((np.cos(ANGLE), -np.sin(ANGLE), 0), (np.sin(ANGLE), np.cos(ANGLE), 0), (0, 0, 1))),
}


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(6, 8, 10)).astype(np.float32)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_array_and_grid_come_back_as_they_were(tmp_path: Path, noise, suffix, grid):
    write_volume(tmp_path / f"dose.{suffix}", noise, grid)
    array, found = read_volume(tmp_path / f"dose.{suffix}")
    assert array.dtype == np.float32 and np.array_equal(array, noise)
    assert found.matches(grid, tolerance_mm=0.001)
    assert [path.name for path in tmp_path.iterdir()] == [f"dose.{suffix}"]


def test_masks_are_stored_as_0_and_1_and_metadata_in_the_header(tmp_path: Path, noise):
    write_volume(tmp_path / "mask.nrrd", noise > 0, GRIDS["plain"], {"DoseUnits": "GY"})
    array, _ = read_volume(tmp_path / "mask.nrrd")
    assert array.dtype == np.uint8 and np.array_equal(array, noise > 0)
    assert SimpleITK.ReadImage(str(tmp_path / "mask.nrrd")).GetMetaData("DoseUnits") == "GY"


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5, 0.95])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, noise, suffix, kept):
    path = tmp_path / f"ct.{suffix}"
    write_volume(path, noise, GRIDS["plain"])
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(CaseError) as error:
        read_volume(path)
    assert str(path) in str(error.value) and "again" in str(error.value)


def header(field: str = "", value: str = "", data: bytes = b"\0" * 24) -> bytes:
    """An NRRD file of 2 x 3 x 4 bytes with another value of one field; without a value, without the field."""
    fields = {
        "type": "uchar",
        "dimension": "3",
        "space": "left-posterior-superior",
        "sizes": "2 3 4",
        "space directions": "(1,0,0) (0,2,0) (0,0,3)",
        "encoding": "raw",
        "space origin": "(5,6,7)",
    } | ({field: value} if field else {})
    return ("NRRD0004\n" + "".join(f"{name}: {text}\n" for name, text in fields.items() if text) + "\n").encode() + data


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header("sizes", "2 3 1,4"), "sizes is '2 3 1,4'"),
        (header("space origin", "(5,6,1_0)"), "space origin"),
        (header("space directions", "(1,0,0) (0,2,0) (1e300,0,3)"), "space directions"),
        (header(data=bytes(25)), "25 bytes of voxels and its header promises 24"),
        (header("encoding", "gzip", gzip.compress(bytes(24))[:-8] + b"1234\x18\0\0\0"), "Export or copy it again"),
    ],
)
def test_what_itk_reads_in_silence_of_a_damaged_nrrd_is_refused(tmp_path: Path, content, words):
    (tmp_path / "dose.nrrd").write_bytes(content)
    with pytest.raises(CaseError, match=re.escape(words)):
        read_volume(tmp_path / "dose.nrrd")


@pytest.mark.parametrize("field", ["space origin", "space directions"])
def test_an_nrrd_that_does_not_say_where_it_lies_is_told_of(tmp_path: Path, field):
    (tmp_path / "dose.nrrd").write_bytes(header(field))
    with pytest.warns(CaseWarning, match=f"does not say where its voxels lie .no '{field}'"):
        read_volume(tmp_path / "dose.nrrd")


def test_a_nifti_that_ends_before_its_checksum_is_refused(tmp_path: Path, noise):
    write_volume(tmp_path / "dose.nii.gz", noise, GRIDS["plain"])
    (tmp_path / "dose.nii.gz").write_bytes((tmp_path / "dose.nii.gz").read_bytes()[:-3])
    with pytest.raises(CaseError, match="truncated|cannot be read"):
        read_volume(tmp_path / "dose.nii.gz")


def test_a_four_dimensional_volume_is_refused_with_its_size(tmp_path: Path):
    SimpleITK.WriteImage(SimpleITK.Image([10, 8, 6, 3], SimpleITK.sitkFloat32), str(tmp_path / "4d.nrrd"))
    with pytest.raises(CaseError, match=r"4 dimensions \(10, 8, 6, 3\).*single 3-D volume"):
        read_volume(tmp_path / "4d.nrrd")


def test_a_volume_of_vectors_is_refused(tmp_path: Path):
    SimpleITK.WriteImage(SimpleITK.Image([10, 8, 6], SimpleITK.sitkVectorFloat32, 3), str(tmp_path / "vectors.nrrd"))
    with pytest.raises(CaseError, match="3 values a voxel"):
        read_volume(tmp_path / "vectors.nrrd")


@pytest.mark.parametrize("name", ["none.nrrd", "folder.nrrd", "text.nrrd"])
def test_what_is_no_volume_is_refused_by_name(tmp_path: Path, name):
    (tmp_path / "folder.nrrd").mkdir()
    (tmp_path / "text.nrrd").write_text("dose")
    with pytest.raises(CaseError, match=name):
        read_volume(tmp_path / name)


def test_an_array_on_another_grid_is_not_written(tmp_path: Path, noise):
    with pytest.raises(CaseError, match="shape"):
        write_volume(tmp_path / "dose.nrrd", noise[1:], GRIDS["plain"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, suffix):
    grid = Grid((40, 40, 40))
    noise = np.random.default_rng(1).normal(size=grid.shape).astype(np.float32)
    with small_disk(tmp_path / "disk", kilobytes=64) as disk:
        with pytest.raises(OutputError, match="disk.*full"):
            write_volume(disk / f"dose.{suffix}", noise, grid)
        assert not list(disk.iterdir())


def test_a_write_that_the_library_lost_without_a_word_is_noticed(tmp_path: Path, noise, monkeypatch):
    """ITK writes some formats to a full disk and reports success."""

    def lose_half(image: SimpleITK.Image, path: str, *_: object) -> None:
        Path(path).write_bytes(b"NRRD0004\n")

    monkeypatch.setattr(SimpleITK, "WriteImage", lose_half)
    monkeypatch.setattr(volumes.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 0}))
    with pytest.raises(OutputError, match="disk.*full"):
        write_volume(tmp_path / "dose.nrrd", noise, GRIDS["plain"])
    assert not list(tmp_path.iterdir())


def test_a_folder_under_a_file_cannot_be_written_to(tmp_path: Path, noise):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/folder \(not a directory\); choose"):
        write_volume(tmp_path / "file" / "folder" / "dose.nrrd", noise, GRIDS["plain"])
    with pytest.raises(OutputError, match="choose"):
        require_writable(tmp_path / "file" / "folder")


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path):
    (tmp_path / "plan.json").write_text("old")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "plan.json") as unfinished:
        unfinished.write_text("half")
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert (tmp_path / "plan.json").read_text() == "old"
    with whole_file(tmp_path / "plan.json") as unfinished:
        unfinished.write_text("new")
    assert (tmp_path / "plan.json").read_text() == "new"


def test_a_folder_gets_all_its_files_or_none_and_is_not_left_empty(tmp_path: Path):
    with pytest.raises(OutputError, match="disk.*full"), whole_folder(tmp_path / "a" / "b") as unfinished:
        (unfinished / "dose.nrrd").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())
    with whole_folder(tmp_path / "a" / "b") as unfinished:
        (unfinished / "dose.nrrd").write_text("x")
        (unfinished / "dvh.csv").write_text("y")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["dose.nrrd", "dvh.csv"]


def test_a_new_folder_appears_with_all_its_files_at_once(tmp_path: Path):
    """Whoever looks while the block runs sees no such folder; one that another process makes meanwhile gets the files all the same."""
    with whole_folder(tmp_path / "new") as unfinished:
        (unfinished / "dose.nrrd").write_text("x")
        assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "dose.nrrd"]
    (tmp_path / "usual").mkdir()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode
    with whole_folder(tmp_path / "late") as unfinished:
        (unfinished / "dose.nrrd").write_text("x")
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "notes.txt").write_text("y")
    assert sorted(path.name for path in (tmp_path / "late").iterdir()) == ["dose.nrrd", "notes.txt"]
    assert not list(tmp_path.rglob(".*"))


def test_a_folder_whose_process_was_killed_while_it_tidied_up_has_the_new_files(tmp_path: Path, monkeypatch):
    (tmp_path / "dose.nrrd").write_text("old")

    def killed(folder: Path, *_: object, **__: object) -> None:
        for left in Path(folder).glob("*"):
            left.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), whole_folder(tmp_path) as unfinished:
        (unfinished / "dose.nrrd").write_text("new")
        patch.setattr("shutil.rmtree", killed)
    assert [path.name for path in tmp_path.glob(".*")]
    finish_interrupted(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dose.nrrd"]
    assert (tmp_path / "dose.nrrd").read_text() == "new"


def test_asking_whether_a_folder_is_writable_leaves_nothing(tmp_path: Path):
    require_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
