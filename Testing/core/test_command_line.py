"""The `dose-prediction` command as a user meets it: what it writes, prints and refuses."""

from __future__ import annotations

import csv
import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dose_prediction import openkbp, report
from dose_prediction.case import TEMPLATES, Arc, Beam, Grid, PlanCase
from dose_prediction.case_files import read_case, write_case_folder
from dose_prediction.command_line import main
from dose_prediction.device import DeviceError
from dose_prediction.dosimetry import structure_doses
from dose_prediction.model.bundle import ModelError, load_bundle
from dose_prediction.volumes import read_volume, write_volume
from instant_model import InstantModel
from small_disk import small_disk
from water_case import water_case

CORE = Path(__file__).resolve().parents[2] / "DosePrediction"
OPENKBP_BOXES = {"PTV70": (70, 90), "PTV56": (50, 64), "LeftParotid": (92, 100), "possible_dose_mask": (40, 104)}


@pytest.fixture
def case_folder(tmp_path: Path) -> Path:
    write_case_folder(tmp_path / "water", water_case())
    return tmp_path / "water"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "new" / "output"


@pytest.fixture(scope="module")
def openkbp_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A case in the challenge's layout: boxes in a patient of water, the reference dose as predicted but 1 Gy more in the parotid."""
    bits = np.zeros(openkbp.SHAPE, np.uint16)
    dose = np.zeros(openkbp.SHAPE, np.uint16)
    for name, (first, last) in OPENKBP_BOXES.items():
        box = np.s_[44:84, 44:84, first:last] if name != "possible_dose_mask" else np.s_[30:98, 30:98, first:last]
        bits[box] |= 1 << openkbp.BITS[name]
    dose[bits > 0] = 1000
    for name, gray in (("PTV56", 5600), ("PTV70", 7000)):
        dose[(bits >> openkbp.BITS[name] & 1).astype(bool)] = gray
    dose[(bits >> openkbp.BITS["LeftParotid"] & 1).astype(bool)] += 100
    ct = np.where(bits > 0, 1024, 0).astype(np.int16)
    path = tmp_path_factory.mktemp("openkbp") / "pt_7.npz"
    np.savez(path, ct=ct, dose=dose, bits=bits, spacing=np.array([4, 4, 3], np.float32))
    return path


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_predict_writes_dose_dvh_picture_and_provenance(case_folder, output, capsys):
    assert main(["predict", str(case_folder), "--output", str(output)], InstantModel()) == 0
    assert files_in(output) == ["Water_cylinder.png", "Water_cylinder_dose.nrrd", "Water_cylinder_dvh.csv", "Water_cylinder_provenance.json"]
    dose, grid = read_volume(output / "Water_cylinder_dose.nrrd")
    case = water_case()
    assert grid.matches(case.grid) and dose.dtype == np.float32
    assert dose[case.targets[0].mask].min() == 70 and dose[~case.body].max() == 0
    provenance = json.loads((output / "Water_cylinder_provenance.json").read_text())
    assert provenance["case_sha256"] == case.digest
    printed = capsys.readouterr().out
    assert "PTV_7000" in printed and "Parotid_L" in printed and "met" in printed
    assert "Physics prior" in printed
    assert str(output / "Water_cylinder_dose.nrrd") in printed


def test_the_dvh_table_holds_the_dvh_of_every_target_and_organ(case_folder, output):
    main(["predict", str(case_folder), "--output", str(output)], InstantModel())
    with (output / "Water_cylinder_dvh.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["Dose (Gy)", "PTV_7000 (%)", "PTV_5600 (%)", "Parotid_L (%)"]
    assert [float(row["Dose (Gy)"]) for row in rows[:3]] == [0.0, 0.1, 0.2]
    # The dose is interpolated between voxels, so that the border of a structure gets less than its voxels or more.
    found = structure_doses(read_volume(output / "Water_cylinder_dose.nrrd")[0], water_case())
    axis_gy = [float(row["Dose (Gy)"]) for row in rows]
    for name, dose in found.items():
        np.testing.assert_allclose([float(row[f"{name} (%)"]) for row in rows], dose.cumulative(axis_gy), atol=5e-4)
    at = {row["Dose (Gy)"]: row for row in rows}
    assert float(at["0.0"]["PTV_7000 (%)"]) == 100 and 50 < float(at["69.9"]["PTV_7000 (%)"]) <= 100 and float(at["70.1"]["PTV_7000 (%)"]) == 0
    assert float(at["9.9"]["Parotid_L (%)"]) > 90


def test_samples_add_the_spread(case_folder, output):
    assert main(["predict", str(case_folder), "--output", str(output), "--samples", "3", "--seed", "5"], InstantModel()) == 0
    assert read_volume(output / "Water_cylinder_spread.nrrd")[0].max() == 0.5
    provenance = json.loads((output / "Water_cylinder_provenance.json").read_text())
    assert (provenance["samples"], provenance["seed"]) == (3, 5)


def planned_by(case_folder: Path, output: Path, *options: str) -> PlanCase:
    """The case that the model is given."""
    seen: list[PlanCase] = []
    model = InstantModel()
    predict = model.predict
    model.predict = lambda case, **others: seen.append(case) or predict(case, **others)
    assert main(["predict", str(case_folder), "--output", str(output), *options], model) == 0
    return seen[0]


def test_beams_of_the_command_line_take_the_place_of_the_cases_own(case_folder, output):
    assert planned_by(case_folder, output, "--beams", "0,90,...,270").beams == (Beam(0), Beam(90), Beam(180), Beam(270))


def test_arcs_energy_and_isocentre_are_given_on_the_command_line(case_folder, output):
    case = planned_by(case_folder, output, "--beams", "arc 200-20 cw/350/30, 10", "--energy", "6FFF", "--isocentre", "-4", "3", "8")
    assert case.beams == (Arc(200, 20, couch_deg=350, collimator_deg=30, is_flattened=False), Beam(10, is_flattened=False))
    assert case.isocentre == (-4, 3, 8)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_every_template_is_named_on_the_command_line(case_folder, output, template):
    assert planned_by(case_folder, output, "--template", template.name.upper()).beams == template.beams


def test_the_leaf_width_is_given_on_the_command_line_and_decides_the_digest(case_folder, output):
    wide = planned_by(case_folder, output, "--beams", "40, arc 20-200 cw", "--leaf-width", "10")
    assert wide.beams == (Beam(40, leaf_width_mm=10), Arc(20, 200, leaf_width_mm=10))
    assert json.loads((output / "Water_cylinder_provenance.json").read_text())["case_sha256"] == wide.digest
    assert planned_by(case_folder, output, "--beams", "40, arc 20-200 cw").digest != wide.digest


def test_beams_that_should_be_looked_at_twice_are_told_of(case_folder, output, capsys):
    planned_by(case_folder, output, "--beams", "arc 181-179 cw/45")
    assert "check that the gantry clears couch and patient" in capsys.readouterr().err


def test_an_openkbp_case_also_gets_its_dose_in_the_layout_of_the_challenge_and_is_scored(openkbp_npz, output, capsys):
    assert main(["predict", str(openkbp_npz), "--output", str(output)], InstantModel()) == 0
    assert "pt_7.csv" in files_in(output)
    capsys.readouterr()
    assert main(["evaluate", "--reference", str(openkbp_npz.parent), "--prediction", str(output)]) == 0
    parotid, everywhere = 40 * 40 * 8, 68 * 68 * 64
    assert capsys.readouterr().out.splitlines()[-1].split() == ["all", "1", f"{parotid / everywhere:.3f}", "0.250"]
    assert main(["evaluate", "--reference", str(openkbp_npz.parent), "--prediction", str(output), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["dose_score_gy"] == pytest.approx(parotid / everywhere, abs=1e-4)
    assert scores["cases"]["pt_7"]["dvh_errors_gy"]["LeftParotid mean"] == pytest.approx(1.0, abs=1e-4)


def test_evaluate_can_score_what_the_beams_can_deliver(openkbp_npz, output, capsys):
    main(["predict", str(openkbp_npz), "--output", str(output)], InstantModel())
    assert "What these beams cannot do of it: 0.5 Gy on average" in capsys.readouterr().out
    scores = []
    for option in ((), ("--deliverable",)):
        assert main(["evaluate", "--reference", str(openkbp_npz.parent), "--prediction", str(output), "--json", *option]) == 0
        scores.append(json.loads(capsys.readouterr().out)["dose_score_gy"])
    assert scores[1] > scores[0] + 0.5  # no beams give a flat 10 Gy around the targets


def test_evaluate_names_the_cases_without_a_prediction_and_ends_with_1(openkbp_npz, output, tmp_path, capsys):
    main(["predict", str(openkbp_npz), "--output", str(output)], InstantModel())
    shutil.copy(openkbp_npz, tmp_path / "pt_7.npz")
    shutil.copy(openkbp_npz, tmp_path / "pt_8.npz")
    assert main(["evaluate", "--reference", str(tmp_path), "--prediction", str(output)]) == 1
    assert "pt_8" in capsys.readouterr().err


def test_a_cohort_goes_on_after_a_bad_case_and_names_it_at_the_end(tmp_path, output, capsys):
    for name in ("a", "b", "c", "d"):
        write_case_folder(tmp_path / "cases" / name, water_case(name))
    (tmp_path / "cases" / "b" / "ct.nrrd").write_bytes(b"NRRD0004\n")
    model = InstantModel(fail_on={"c": RuntimeError("boom")})
    assert main(["predict", "--cases", str(tmp_path / "cases"), "--output", str(output)], model) == 1
    assert [name for name in files_in(output) if name.endswith(".nrrd")] == ["a_dose.nrrd", "d_dose.nrrd"]
    said = capsys.readouterr()
    assert "2 of 4 cases" in said.out
    assert "failed: b:" in said.err and "ct.nrrd" in said.err and "failed: c: RuntimeError: boom" in said.err


def test_a_cohort_without_a_bad_case_ends_with_0(tmp_path, output):
    for name in ("a", "b"):
        write_case_folder(tmp_path / "cases" / name, water_case(name))
    model = InstantModel()
    assert main(["predict", "--cases", str(tmp_path / "cases"), "--output", str(output)], model) == 0
    assert model.loads == 1
    assert len(files_in(output)) == 8


def test_a_model_that_cannot_be_loaded_ends_a_cohort_at_once(tmp_path, output, capsys):
    write_case_folder(tmp_path / "cases" / "a", water_case())
    assert main(["predict", "--cases", str(tmp_path / "cases"), "--output", str(output)], InstantModel(load_error=ModelError("It is damaged."))) == 2
    assert capsys.readouterr().err.strip().endswith("dose-prediction: It is damaged.")
    assert not output.exists()


def test_a_device_that_is_not_there_ends_a_cohort_at_once(tmp_path, output, capsys):
    for name in ("a", "b"):
        write_case_folder(tmp_path / "cases" / name, water_case(name))
    model = InstantModel(fail_on={"a": DeviceError("No GPU here."), "b": AssertionError("asked for a second case")})
    assert main(["predict", "--cases", str(tmp_path / "cases"), "--output", str(output)], model) == 2
    assert "No GPU here." in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["predict", "--cases"], ["evaluate", "--prediction", ".", "--reference"], ["train", "--data"]])
def test_a_folder_without_cases_is_refused_and_leaves_nothing(tmp_path, output, capsys, arguments):
    (tmp_path / "empty").mkdir()
    where = [] if arguments[0] == "evaluate" else ["--output", str(output)]
    assert main([*arguments, str(tmp_path / "empty"), *where]) == 2
    assert str(tmp_path / "empty") in capsys.readouterr().err
    assert not output.parent.exists()


def break_case(folder: Path, how: str) -> None:
    """Spoil a good case in one way."""
    plan = json.loads((folder / "plan.json").read_text())
    if how == "empty folder":
        shutil.rmtree(folder)
        folder.mkdir()
    elif how == "truncated CT":
        whole = (folder / "ct.nrrd").read_bytes()
        (folder / "ct.nrrd").write_bytes(whole[: len(whole) // 2])
    elif how == "truncated segmentation":
        whole = (folder / "segmentation.seg.nrrd").read_bytes()
        (folder / "segmentation.seg.nrrd").write_bytes(whole[: len(whole) // 2])
    elif how == "no target":
        (folder / "plan.json").write_text(json.dumps({**plan, "targets": {}}))
    elif how == "mask on another grid":
        case = read_case(folder)
        moved = Grid(case.grid.shape, (0.0, 0.0, 0.0), case.grid.spacing_mm)
        (folder / "segmentation.seg.nrrd").unlink()
        for structure in case.structures:
            (folder / "structures").mkdir(exist_ok=True)
            write_volume(folder / "structures" / f"{structure.name}.nrrd", structure.mask, moved)
        (folder / "plan.json").write_text(json.dumps({**plan, "segmentation": "structures"}))
    elif how == "damaged plan":
        (folder / "plan.json").write_text((folder / "plan.json").read_text()[:-20])
    elif how == "prescription of 0 Gy":
        (folder / "plan.json").write_text(json.dumps({**plan, "targets": {"PTV_7000": 0}}))


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("empty folder", "empty"),
        ("truncated CT", "ct.nrrd"),
        ("truncated segmentation", "segmentation.seg.nrrd"),
        ("no target", "target"),
        ("mask on another grid", "grid"),
        ("damaged plan", "plan.json"),
        ("prescription of 0 Gy", "0 Gy"),
    ],
)
def test_a_bad_case_gets_one_sentence_exit_code_2_and_leaves_nothing(case_folder, output, capsys, how, said):
    break_case(case_folder, how)
    assert main(["predict", str(case_folder), "--output", str(output)], InstantModel()) == 2
    sentence = capsys.readouterr().err.strip()
    assert said in sentence and len(sentence.splitlines()) == 1
    assert not output.parent.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--beams", "0,x"], "'x'"),
        (["--beams", ""], "empty"),
        (["--beams", "arc 10-20"], "direction (cw or ccw)"),
        (["--template", "3 arcs"], "No template is named '3 arcs'"),
        (["--energy", "high"], "Energy 'high' cannot be read"),
        (["--leaf-width", "7"], "leaf width is 7.0 mm; give 5 or 10 mm"),
        (["--isocentre", "0", "0", "5000"], "lies outside the CT"),
        (["--device", "abacus"], "abacus"),
        (["--samples", "-1"], "-1"),
        (["--samples", "101"], "101"),
        (["--seed", "one"], "one"),
    ],
)
def test_a_bad_option_is_named_with_exit_code_2_and_leaves_nothing(case_folder, output, capsys, arguments, said):
    try:
        code = main(["predict", str(case_folder), "--output", str(output), *arguments], InstantModel())
    except SystemExit as leave:  # argparse's own way
        code = int(str(leave.code))
    assert code == 2
    assert said in capsys.readouterr().err
    assert not output.parent.exists()


@pytest.mark.parametrize("spoil", ["missing", "altered", "no model at all"])
def test_a_missing_or_altered_model_is_refused_and_leaves_nothing(case_folder, output, tmp_path, capsys, spoil):
    folder = tmp_path / "model"
    folder.mkdir()
    if spoil != "no model at all":
        (folder / "addiff_dose.json").write_text(json.dumps({"version": "1", "sha256": "0" * 64, "network": {}}))
    if spoil == "altered":
        (folder / "addiff_dose.safetensors").write_bytes(b"x" * 1000)
    with pytest.raises(ModelError) as error:
        load_bundle(folder)
    assert main(["predict", str(case_folder), "--output", str(output), "--model", str(folder)]) == 2
    assert capsys.readouterr().err.strip().endswith(str(error.value))
    assert not output.parent.exists()


def test_an_output_folder_under_a_file_is_refused_before_any_work(case_folder, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    model = InstantModel()
    assert main(["predict", str(case_folder), "--output", str(tmp_path / "file" / "output")], model) == 2
    assert "Cannot write into" in capsys.readouterr().err
    assert model.loads == 0 and (tmp_path / "file").read_text() == "mine"


def test_a_disk_that_fills_up_is_told_and_leaves_nothing(case_folder, output, capsys, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(report, "write_dvh_csv", fail)
    assert main(["predict", str(case_folder), "--output", str(output)], InstantModel()) == 2
    sentence = capsys.readouterr().err
    assert "full" in sentence and str(output) in sentence
    assert not output.parent.exists()


@pytest.mark.parametrize("kilobytes", [4, 8, 64])
def test_a_really_full_disk_is_told_and_leaves_nothing(case_folder, tmp_path, capsys, kilobytes):
    with small_disk(tmp_path / "disk", kilobytes) as disk:
        assert main(["predict", str(case_folder), "--output", str(disk)], InstantModel()) == 2
        assert "full" in capsys.readouterr().err
        assert not list(disk.iterdir())


def test_an_older_result_survives_a_run_that_fails(case_folder, output, monkeypatch):
    main(["predict", str(case_folder), "--output", str(output)], InstantModel())
    before = {name: (output / name).read_bytes() for name in files_in(output)}
    monkeypatch.setattr(report, "write_dvh_csv", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
    assert main(["predict", str(case_folder), "--output", str(output), "--seed", "3"], InstantModel()) == 2
    assert {name: (output / name).read_bytes() for name in files_in(output)} == before


def test_a_cancel_from_the_keyboard_leaves_nothing(case_folder, output, capsys):
    assert main(["predict", str(case_folder), "--output", str(output)], InstantModel(fail_on={"Water cylinder": KeyboardInterrupt()})) == 130
    assert "Cancelled" in capsys.readouterr().err
    assert not output.parent.exists()


def test_goals_judges_a_dose_file(case_folder, output, tmp_path, capsys):
    main(["predict", str(case_folder), "--output", str(output)], InstantModel())
    own = {
        "name": "Own",
        "description": "",
        "sources": {"we": "Our protocol"},
        "goals": [{"structure": "Parotid_L", "goal": "Dmean <= 9.8 Gy", "source": "we"}],
    }
    (tmp_path / "own.json").write_text(json.dumps(own))
    capsys.readouterr()
    assert main(["goals", str(case_folder), "--dose", str(output / "Water_cylinder_dose.nrrd"), "--goals", str(tmp_path / "own.json")]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["Parotid_L", "Dmean", "<=", "9.8", "Gy", "10.0", "Gy", "-0.2", "close"]


def test_goals_refuses_a_dose_on_another_grid(case_folder, tmp_path, capsys):
    write_volume(tmp_path / "dose.nrrd", np.ones((4, 4, 4), np.float32), Grid((4, 4, 4)))
    assert main(["goals", str(case_folder), "--dose", str(tmp_path / "dose.nrrd")]) == 2
    assert "another grid" in capsys.readouterr().err


def test_the_phantom_is_a_case_that_can_be_predicted(tmp_path, output, capsys):
    assert main(["phantom", "--output", str(tmp_path / "phantom")]) == 0
    assert str(tmp_path / "phantom") in capsys.readouterr().out
    assert main(["predict", str(tmp_path / "phantom"), "--output", str(output)], InstantModel()) == 0
    assert len(files_in(output)) == 4


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    yield {**os.environ, "PYTHONPATH": str(CORE)}


def test_the_module_runs_as_a_program_and_starts_without_torch(environment):
    code = "import sys, dose_prediction.command_line, dose_prediction.worker; print(*sorted({'torch', 'matplotlib'} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
    version = subprocess.run([sys.executable, "-m", "dose_prediction", "--version"], env=environment, capture_output=True, text=True, check=True)
    assert version.stdout.startswith("dose-prediction ")
