"""Nothing that is printed, logged or written holds a patient's name, ID or date, but the DICOM files, which must say whose they are."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_files import copied, edit_ct, edited, water_folder
from dose_prediction.case_files import write_case, write_case_folder
from dose_prediction.dicom import read_dicom_case, read_dose, write_dose
from dose_prediction.volumes import read_volume, write_volume
from private_study import NEEDED, PRIVATE, found_in, private_study
from water_case import water_case

# Runs commands in one process with every message that any library may log: arguments as JSON, one list a line.
RUNNER = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
from dose_prediction import command_line, exchange
from instant_model import InstantModel
for line in sys.stdin:
    program, *arguments = json.loads(line)
    code = exchange.main(arguments) if program == "exchange" else command_line.main([program, *arguments], InstantModel())
    print("CODE", code, *arguments, flush=True)
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return private_study(tmp_path_factory.mktemp("private") / "water")


def told(tmp_path: Path, *commands: list[str]) -> tuple[str, list[int]]:
    """All that the commands print and log, and their exit codes."""
    core = Path(__file__).resolve().parents[2] / "DosePrediction"
    result = subprocess.run(
        [sys.executable, "-c", RUNNER],
        input="".join(json.dumps(command) + "\n" for command in commands),
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env={"PYTHONPATH": f"{core}:{core.parent / 'Testing'}", "HOME": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr, [int(line.split()[1]) for line in result.stdout.splitlines() if line.startswith("CODE")]


def test_commands_keep_the_patient_to_the_dicom_files(tmp_path, study):
    out, case = tmp_path / "out", str(study)
    dose, nrrd = str(out / "predict" / "water_dose.dcm"), str(out / "predict" / "water_dose.nrrd")
    said, codes = told(
        tmp_path,
        ["predict", case, "--output", str(out / "predict"), "--samples", "2", "--beams", "0,90"],
        ["goals", case, "--dose", dose],
        ["dvh", case, "--dose", dose, "--output", str(out / "dvh.csv")],
        ["compare", case, "--reference", dose, "--dose", nrrd, "--output", str(out / "compare")],
        ["gamma", dose, nrrd, "--output", str(out / "gamma.nrrd")],
        ["predict", "--cases", str(study.parent), "--output", str(out / "many")],
        ["exchange", "import", case, str(out / "import")],
    )
    assert codes == [0] * 7, said
    assert "different patient IDs" in said
    assert found_in(said.encode(), {**NEEDED, **PRIVATE}) == []
    written = sorted(path for path in out.rglob("*") if path.is_file())
    assert len(written) > 15 and json.loads((out / "predict" / "water_provenance.json").read_text())
    for path in written:
        assert found_in(path.name.encode(), {**NEEDED, **PRIVATE}) == []
        # A study on its way to the panel says whose it is, as a DICOM file does.
        is_named = path.suffix == ".dcm" or path.name == "study.json"
        assert found_in(path.read_bytes(), PRIVATE if is_named else {**NEEDED, **PRIVATE}) == [], path
        assert not is_named or b"Geheim" in path.read_bytes()


def export_job(tmp_path: Path, study: Path) -> Path:
    """What the panel hands over to write a dose for the CT of `study`."""
    job = tmp_path / f"job of {study.name}"
    job.mkdir()
    write_case(job / "case.npz", water_case())
    np.save(job / "dose.npy", np.where(water_case().body, 35.0, 0.0).astype(np.float32))
    table = {"name": "CT: predicted dose", "model": "1.0", "is_current": True, "ct_file": str(study / "ct_001.dcm")}
    (job / "export.json").write_text(json.dumps(table))
    return job


def test_a_dose_that_goes_out_through_the_panel_tells_the_log_nothing(tmp_path, study):
    said, codes = told(tmp_path, ["exchange", "export", str(export_job(tmp_path, study)), str(tmp_path / "to")])
    assert codes == [0] and found_in(said.encode(), {**NEEDED, **PRIVATE}) == []
    for path in (tmp_path / "to").iterdir():
        assert found_in(path.read_bytes(), PRIVATE) == [] and b"Geheim" in path.read_bytes()


def in_every_file(change: Callable[[pydicom.Dataset], None]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        for path in folder.glob("*.dcm"):
            with edited(path) as data:
                change(data)

    return spoil


def as_if(keyword: str, vr: str) -> Callable[[Path], None]:
    """Change the value representation of an element on disk, so that its value makes no sense."""

    def spoil(folder: Path) -> None:
        for path in folder.glob("ct_*.dcm"):
            data = pydicom.dcmread(path)
            tag = data[keyword].tag
            begin = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
            path.write_bytes(path.read_bytes().replace(begin + data[keyword].VR.encode(), begin + vr.encode(), 1))

    return spoil


def truncated(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:900]) and None


MISTAKES: dict[str, Callable[[Path], object]] = {
    "a missing slice": lambda folder: (folder / "ct_005.dcm").unlink(),
    "no structure set": lambda folder: (folder / "structure_set.dcm").unlink(),
    "another frame": lambda folder: edit_ct(folder, lambda data, _: setattr(data, "FrameOfReferenceUID", "1.2.3")),
    "another series": lambda folder: edit_ct(folder, lambda data, _: setattr(data, "SeriesInstanceUID", "1.2.3")),
    "two plans": lambda folder: copied(folder, "plan.dcm"),
    "a truncated image": truncated("ct_004.dcm"),
    "a truncated structure set": truncated("structure_set.dcm"),
    "no pixels": lambda folder: edit_ct(folder, lambda data, _: delattr(data, "PixelData")),
    "an ID as a number": as_if("PatientID", "IS"),
    "an ID as a UID": as_if("PatientID", "UI"),
    "a name as bytes of a float": as_if("PatientName", "FD"),
    "a birth date as a time": as_if("PatientBirthDate", "TM"),
    "a date as whole numbers": as_if("StudyDate", "UL"),
    "an ID that is too long": in_every_file(lambda data: setattr(data, "PatientID", NEEDED["PatientID"] * 10)),
    "a name of unknown letters": in_every_file(lambda data: setattr(data, "SpecificCharacterSet", "ISO_IR 999")),
}


def test_mistakes_are_told_of_without_the_patient(tmp_path, study):
    """Each ends in a sentence, or in a dose that says nothing of what it could not read; no program's error comes through."""
    commands = []
    for number, spoil in enumerate(MISTAKES.values()):
        folder = Path(shutil.copytree(study, tmp_path / f"case_{number}"))
        spoil(folder)
        commands.append(["predict", str(folder), "--output", str(tmp_path / "out" / str(number))])
        commands.append(["exchange", "describe", str(folder), str(tmp_path / "described" / str(number))])
        commands.append(["exchange", "export", str(export_job(tmp_path, folder)), str(tmp_path / "exported" / str(number))])
    said, codes = told(tmp_path, *commands)
    predicted, described, exported = (dict(zip(MISTAKES, codes[which::3], strict=True)) for which in range(3))
    harmless = list(MISTAKES)[8:]
    assert {predicted[name] for name in MISTAKES if name not in harmless} == {2}
    assert {predicted[name] for name in harmless} <= {0, 2}, predicted
    assert {*described.values(), *exported.values()} <= {0, 1}
    assert "Traceback" not in said and "could not be handled" not in said
    assert found_in(said.encode(), {**NEEDED, **PRIVATE}) == []


def test_the_header_of_a_volume_is_not_carried_on(tmp_path):
    """Slicer writes what a volume node knows into its NRRD file; what is predicted from it says nothing of that."""
    write_case_folder(tmp_path / "case", water_case())
    array, grid = read_volume(tmp_path / "case" / "ct.nrrd")
    write_volume(tmp_path / "case" / "ct.nrrd", array, grid, dict(NEEDED))
    assert b"Geheim" in (tmp_path / "case" / "ct.nrrd").read_bytes()
    said, codes = told(tmp_path, ["predict", str(tmp_path / "case"), "--output", str(tmp_path / "out")])
    assert codes == [0] and found_in(said.encode(), NEEDED) == []
    for path in (tmp_path / "out").iterdir():
        assert found_in(path.read_bytes(), NEEDED) == [], path


def test_names_in_other_alphabets_come_through(tmp_path):
    """A name in the character set of its CT, structures named in another: both arrive in what is written."""
    folder = water_folder(tmp_path / "water")
    for path in folder.glob("*.dcm"):
        with edited(path) as data:
            data.SpecificCharacterSet, data.PatientName = "ISO_IR 100", "Müller^Jörg"
    references = read_dicom_case(folder).references
    assert str(references.patient_and_study.PatientName) == "Müller^Jörg"
    write_dose(tmp_path / "dose.dcm", np.zeros(water_case().grid.shape, np.float32), water_case().grid, references, "1.2.3", "Modell α")
    data = pydicom.dcmread(tmp_path / "dose.dcm")
    assert str(data.PatientName) == "Müller^Jörg" and data.SeriesDescription.endswith("Modell α")
    assert read_dose(tmp_path / "dose.dcm").dose_gy.max() == 0
