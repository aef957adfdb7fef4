"""`dvh`, `gamma` and `compare` as a user meets them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from dose_prediction.case import Grid
from dose_prediction.case_files import write_case_folder
from dose_prediction.command_line import main
from dose_prediction.volumes import read_volume, write_volume
from water_case import water_case


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a case, its dose, and the same dose 1 Gy higher inside the body."""
    case = water_case()
    dose = np.where(case.body, 30, 0).astype(np.float32)
    for target in case.targets:
        dose[target.mask] = target.role.prescription_gy
    write_case_folder(tmp_path / "case", case)
    write_volume(tmp_path / "dose.nrrd", dose, case.grid)
    write_volume(tmp_path / "higher.nii.gz", np.where(case.body, dose + 1, 0).astype(np.float32), case.grid)
    return tmp_path


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_dvh_prints_metrics_and_writes_curves(files, capsys):
    assert main(["dvh", str(files / "case"), "--dose", str(files / "dose.nrrd"), "--output", str(files / "dvh.csv")]) == 0
    printed = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[2:]}
    assert printed["Parotid_L"][0] == f"{8 * 8 * 6 * 48 / 1000:.2f}" and printed["Parotid_L"][4] == "30.00"
    rows = rows_of(files / "dvh.csv")
    assert rows[0] == ["Dose (Gy)", "PTV_7000 (%)", "PTV_5600 (%)", "Parotid_L (%)"]
    assert rows[1][1:] == ["100.0000"] * 3 and rows[-1][1:] == ["0.0000"] * 3


def test_an_absolute_differential_dvh_sums_to_the_volume(files):
    arguments = ["dvh", str(files / "case"), "--dose", str(files / "dose.nrrd"), "--output", str(files / "dvh.csv"), "--absolute", "--differential"]
    assert main(arguments) == 0
    rows = rows_of(files / "dvh.csv")
    assert rows[0][3] == "Parotid_L (cc/Gy)"
    assert sum(float(row[3]) for row in rows[1:]) * 0.1 == pytest.approx(8 * 8 * 6 * 48 / 1000, rel=1e-3)


def test_a_dvh_over_doses_in_percent_is_that_over_doses_in_gy(files):
    arguments = ["dvh", str(files / "case"), "--dose", str(files / "dose.nrrd"), "--absolute", "--output", str(files / "dvh.csv")]
    for kind in ([], ["--differential"]):
        assert main([*arguments, *kind]) == 0
        absolute = rows_of(files / "dvh.csv")
        assert main([*arguments, *kind, "--percent-of", "50"]) == 0
        relative = rows_of(files / "dvh.csv")
        assert relative[0][0] == "Dose (%)" and relative[0][1] == ("PTV_7000 (cc/%)" if kind else "PTV_7000 (cc)")
        in_gy, in_percent = (np.array(rows[1:], dtype=float) for rows in (absolute, relative))
        assert in_percent[:, 0] == pytest.approx(2 * in_gy[:, 0], abs=0.02)
        assert in_percent[:, 1:] == pytest.approx(in_gy[:, 1:] / (2 if kind else 1), abs=1e-4)


def test_gamma_prints_its_criteria_and_pass_rate_and_writes_a_volume(files, capsys):
    arguments = ["gamma", str(files / "dose.nrrd"), str(files / "higher.nii.gz"), "--percent", "2", "--distance", "2"]
    assert main([*arguments, "--output", str(files / "gamma.nrrd")]) == 0
    said = capsys.readouterr().out
    assert said.startswith("gamma 2 %/2 mm, global, from 10 % of the maximum dose: 100.00 %")
    gamma, grid = read_volume(files / "gamma.nrrd")
    assert grid.matches(water_case().grid) and gamma.max() == pytest.approx(1 / 1.4, abs=0.01)


def test_compare_prints_changes_and_writes_difference_gamma_and_tables(files, capsys):
    doses = ["--reference", str(files / "dose.nrrd"), "--dose", str(files / "higher.nii.gz")]
    assert main(["compare", str(files / "case"), *doses, "--output", str(files / "new" / "comparison")]) == 0
    said = capsys.readouterr().out
    assert "Parotid_L" in said and "Dmean" in said and "gamma 3 %/3 mm" in said
    folder = files / "new" / "comparison"
    assert sorted(path.name for path in folder.iterdir()) == ["agreement.csv", "difference.nrrd", "dvh.csv", "gamma.nrrd", "metrics.csv"]
    difference, _ = read_volume(folder / "difference.nrrd")
    assert np.array_equal(difference, np.where(water_case().body, 1, 0))
    metrics = {(row[0], row[1]): row[2:] for row in rows_of(folder / "metrics.csv")[1:]}
    assert metrics["Parotid_L", "D50%"] == ["Gy", "30.0000", "31.0000", "1.0000"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gamma", "dose.nrrd", "small.nrrd"], "another grid"),
        (["gamma", "dose.nrrd", "none.nrrd"], "none.nrrd"),
        (["gamma", "dose.nrrd", "dose.nrrd", "--distance", "0"], "distance_mm is 0"),
        (["gamma", "zero.nrrd", "dose.nrrd", "--local"], "No point"),
        (["compare", "case", "--reference", "dose.nrrd", "--dose", "dose.nrrd", "--threshold", "200", "--output", "out"], "200"),
        (["dvh", "case", "--dose", "broken.nrrd", "--output", "out"], "broken.nrrd"),
        (["dvh", "case", "--dose", "dose.nrrd", "--output", "out", "--percent-of", "0"], "percent of 0 Gy"),
    ],
)
def test_what_cannot_be_judged_gets_one_sentence_and_exit_code_2(files, capsys, monkeypatch, arguments, said):
    write_volume(files / "small.nrrd", np.ones((4, 4, 4), np.float32), Grid((4, 4, 4)))
    write_volume(files / "zero.nrrd", np.zeros(water_case().grid.shape, np.float32), water_case().grid)
    (files / "broken.nrrd").write_bytes((files / "dose.nrrd").read_bytes()[:200])
    monkeypatch.chdir(files)
    assert main(arguments) == 2
    sentence = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in sentence and sentence.startswith("dose-prediction:")
    assert not (files / "out").exists()
