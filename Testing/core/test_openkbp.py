"""OpenKBP: axes, files and scores, the scores worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest

from dose_prediction import openkbp
from dose_prediction.case import CaseError, PlanCase, RoleKind

SHAPE = openkbp.SHAPE


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    """A made-up case of the challenge: a block of water with a target, a cord and a parotid."""
    ct = np.zeros(SHAPE, dtype=np.int16)
    ct[40:80, 40:80, 40:80] = 1024
    ct[45, 45, 45] = 20000
    bits = np.zeros(SHAPE, dtype=np.uint16)
    bits[40:80, 40:80, 40:80] |= 1 << 15
    bits[50:60, 50:60, 50:60] |= 1 << 9
    bits[70:74, 58:62, 42:78] |= 1 << 1
    bits[60:66, 42:46, 50:56] |= 1 << 2
    dose = np.where(bits >> 15, 1000, 0).astype(np.uint16)
    dose[50:60, 50:60, 50:60] = 7123
    return {"ct": ct, "bits": bits, "dose": dose, "spacing": np.array([3.906, 3.5, 2.5], dtype=np.float32)}


def as_csv_folder(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    """The same case as the challenge writes it."""
    folder.mkdir(parents=True)

    def write(name: str, dense: np.ndarray, is_mask: bool) -> None:
        flat = dense.ravel()
        rows = [f"{i}," if is_mask else f"{i},{float(flat[i])}" for i in np.flatnonzero(flat)]
        (folder / f"{name}.csv").write_text("\n".join([",data", *rows]) + "\n")

    write("ct", arrays["ct"], is_mask=False)
    write("dose", arrays["dose"] / 100, is_mask=False)
    for name, bit in openkbp.BITS.items():
        mask = arrays["bits"] >> bit & 1
        if mask.any():
            write(name, mask, is_mask=True)
    np.savetxt(folder / "voxel_dimensions.csv", arrays["spacing"].astype(float))
    return folder


@pytest.fixture
def npz(tmp_path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = tmp_path / "reference" / "pt_7.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


def organ(case: PlanCase, standard_name: str) -> np.ndarray:
    return next(s.mask for s in case.organs if s.role.standard_name == standard_name)


def test_axes_are_turned_to_superior_posterior_left() -> None:
    array = np.zeros(SHAPE)
    array[5, 7, 11] = 1  # 5 to posterior, 7 to the left, 11 to inferior
    turned = openkbp.from_openkbp_axes(array)
    assert np.argwhere(turned).tolist() == [[127 - 11, 5, 7]]
    assert np.array_equal(openkbp.to_openkbp_axes(turned), array)


def test_npz_becomes_a_case(npz: Path) -> None:
    case = openkbp.read_npz(npz)
    assert case.name == "pt_7"
    assert case.grid.spacing_mm == (3.5, 3.906, 2.5)
    assert (case.ct_hu.min(), case.ct_hu.max()) == (-1024, 3071)
    assert {s.name: (s.role.kind, s.role.standard_name) for s in case.structures} == {
        "SpinalCord": (RoleKind.ORGAN, "SpinalCord"),
        "RightParotid": (RoleKind.ORGAN, "Parotid_R"),
        "PTV70": (RoleKind.TARGET, "PTV"),
        "possible_dose_mask": (RoleKind.EXTERNAL, "External"),
    }
    assert case.targets[0].role.prescription_gy == 70.0
    assert [beam.gantry_deg for beam in case.beams] == list(range(0, 360, 40))
    assert np.argwhere(organ(case, "Parotid_R")).min(axis=0).tolist() == [127 - 55, 60, 42]


def test_both_layouts_are_the_same_case(npz: Path, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    folder = as_csv_folder(tmp_path / "csv" / "pt_7", arrays)
    assert openkbp.read_csv_folder(folder).digest == openkbp.read_npz(npz).digest
    from_csv, from_npz = openkbp.read_reference(folder), openkbp.read_reference(npz)
    np.testing.assert_allclose(from_csv.dose_gy, from_npz.dose_gy, rtol=1e-6)
    assert np.array_equal(from_csv.possible_dose_mask, from_npz.possible_dose_mask)


def test_structure_file_without_rows_is_a_structure_that_was_not_contoured(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    folder = as_csv_folder(tmp_path / "pt_7", arrays)
    (folder / "Larynx.csv").write_text(",data\n")
    assert "Larynx" not in {s.name for s in openkbp.read_csv_folder(folder).structures}


def test_written_dose_is_read_back(tmp_path: Path) -> None:
    dose = np.zeros(SHAPE, dtype=np.float32)
    dose[3, 4, 5], dose[100, 90, 80] = 71.23456, 0.5
    openkbp.write_dose_csv(tmp_path / "pt_1.csv", dose)
    np.testing.assert_allclose(openkbp.read_dose_csv(tmp_path / "pt_1.csv"), dose, atol=5e-5)
    # Axes of the challenge: 4 to posterior, 5 to the left, 127 - 3 to inferior.
    assert (tmp_path / "pt_1.csv").read_text().splitlines() == [
        ",data",
        f"{(4 * 128 + 5) * 128 + 124},71.2346",
        f"{(90 * 128 + 80) * 128 + 27},0.5000",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["pt_1.csv"]


def test_dose_score_is_the_summed_error_by_the_number_of_voxels_that_can_have_dose() -> None:
    mask = np.array([True, True, True, True, False])
    reference = np.array([10.0, 20.0, 30.0, 40.0, 0.0])
    prediction = np.array([11.0, 18.0, 30.0, 45.0, 99.0])
    assert openkbp.dose_score(reference, prediction, mask) == (1 + 2 + 0 + 5) / 4


def test_target_metrics_are_percentiles() -> None:
    dose = np.arange(101, dtype=float)
    found = openkbp.dvh_metrics(dose, np.ones(101, dtype=bool), 10.0, is_target=True)
    assert found == {"D99": 1.0, "D95": 5.0, "D1": 99.0}


def test_organ_metrics_are_mean_and_dose_of_the_hottest_tenth_of_a_cc() -> None:
    dose = np.arange(101, dtype=float)
    # 100 mm3 are 10 voxels of 10 mm3: percentile 100 - 10 / 101 * 100 of values equal to their percentile.
    found = openkbp.dvh_metrics(dose, np.ones(101, dtype=bool), 10.0, is_target=False)
    assert found["mean"] == 50.0
    assert found["D0.1cc"] == pytest.approx(100 - 1000 / 101)


def test_organ_smaller_than_a_tenth_of_a_cc_has_a_metric_all_the_same() -> None:
    assert openkbp.dvh_metrics(np.array([3.0, 5.0]), np.ones(2, dtype=bool), 10.0, is_target=False)["D0.1cc"] == 3.0


def test_voxel_larger_than_a_tenth_of_a_cc_counts_as_one() -> None:
    found = openkbp.dvh_metrics(np.arange(101, dtype=float), np.ones(101, dtype=bool), 250.0, is_target=False)
    assert found["D0.1cc"] == pytest.approx(100 - 100 / 101)


def test_dvh_errors_skip_what_was_not_contoured_and_the_dose_mask() -> None:
    masks = {"PTV70": np.ones(5, dtype=bool), "Larynx": np.zeros(5, dtype=bool), "possible_dose_mask": np.ones(5, dtype=bool)}
    errors = openkbp.dvh_errors(np.full(5, 70.0), np.full(5, 68.0), masks, 30.0)
    assert errors == {("PTV70", "D99"): 2.0, ("PTV70", "D95"): 2.0, ("PTV70", "D1"): 2.0}


def test_folder_of_predictions_is_scored(npz: Path, tmp_path: Path) -> None:
    reference = openkbp.read_reference(npz).dose_gy
    inside = reference > 0
    openkbp.write_dose_csv(tmp_path / "pt_7.csv", np.where(inside, reference + 2, 50))  # 50 Gy where no dose can be
    scores = openkbp.evaluate(npz.parent, tmp_path)
    assert scores.dose_gy == pytest.approx(2.0, abs=1e-4)
    assert scores.dvh_gy == pytest.approx(2.0, abs=1e-4)
    assert len(scores.cases[0].dvh_errors_gy) == 3 + 2 + 2
    assert scores.missing == ()
    written = json.loads(json.dumps(scores.as_dict()))
    assert written["cases"]["pt_7"]["dvh_errors_gy"]["PTV70 D95"] == pytest.approx(2.0, abs=1e-4)


def test_dvh_score_is_the_mean_over_all_metrics_and_not_over_patients() -> None:
    first = openkbp.CaseScore("pt_1", 1.0, {("PTV70", "D99"): 1.0, ("PTV70", "D95"): 1.0, ("PTV70", "D1"): 1.0})
    second = openkbp.CaseScore("pt_2", 2.0, {("Larynx", "mean"): 5.0})
    scores = openkbp.Scores((first, second))
    assert (scores.dose_gy, scores.dvh_gy) == (1.5, 2.0)


def test_case_without_prediction_is_named(npz: Path, arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    as_csv_folder(npz.parent / "pt_12", arrays)
    openkbp.write_dose_csv(tmp_path / "pt_7.csv", openkbp.read_reference(npz).dose_gy)
    scores = openkbp.evaluate(npz.parent, tmp_path)
    assert [case.name for case in scores.cases] == ["pt_7"]
    assert scores.missing == ("pt_12",)


def test_folders_that_do_not_belong_together_are_refused(npz: Path, tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="no prediction of a case"):
        openkbp.evaluate(npz.parent, tmp_path)
    with pytest.raises(CaseError, match="no OpenKBP case"):
        openkbp.evaluate(tmp_path / "nowhere", tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("ct.csv", "index,hu\n1,2\n", "',data'"),
        ("ct.csv", "", "',data'"),
        ("ct.csv", ",data\n5,x\n", "ct.csv cannot be read"),
        ("ct.csv", ",data\n5\n", "ct.csv cannot be read"),
        ("PTV70.csv", ",data\n9999999,\n", "voxel index 9999999"),
        ("PTV70.csv", ",data\nnan,\n", "voxel index"),
        ("voxel_dimensions.csv", "3\n3\n", "has 2 numbers"),
        ("voxel_dimensions.csv", "3\n3\nthick\n", "three numbers"),
        ("voxel_dimensions.csv", "3\n3\n0\n", "spacing is"),
    ],
)
def test_damaged_csv_file_is_named(arrays: dict[str, np.ndarray], tmp_path: Path, name: str, text: str, words: str) -> None:
    folder = as_csv_folder(tmp_path / "pt_7", arrays)
    (folder / name).write_text(text)
    with pytest.raises(CaseError, match=words):
        openkbp.read_csv_folder(folder)


@pytest.mark.parametrize("name", ["ct.csv", "possible_dose_mask.csv", "voxel_dimensions.csv"])
def test_missing_csv_file_is_named(arrays: dict[str, np.ndarray], tmp_path: Path, name: str) -> None:
    folder = as_csv_folder(tmp_path / "pt_7", arrays)
    (folder / name).unlink()
    with pytest.raises(CaseError, match=name):
        openkbp.read_csv_folder(folder)


def test_truncated_npz_is_refused(npz: Path) -> None:
    npz.write_bytes(npz.read_bytes()[:5000])
    with pytest.raises(CaseError, match="damaged"):
        openkbp.read_npz(npz)


def test_real_case_is_the_same_in_both_layouts_and_read_in_time(openkbp_folder: Path) -> None:
    for name in ("pt_203", "pt_219"):
        start = perf_counter()
        from_csv = openkbp.read_csv_folder(openkbp_folder / "csv_sample" / name)
        assert perf_counter() - start < 2.0
        assert from_csv.digest == openkbp.read_npz(openkbp_folder / "validation" / f"{name}.npz").digest


def test_real_case_lies_the_right_way_round(openkbp_folder: Path) -> None:
    case = openkbp.read_npz(openkbp_folder / "validation" / "pt_219.npz")

    def centre(name: str) -> np.ndarray:
        return case.grid.world_from_index(np.argwhere(organ(case, name)).mean(axis=0))

    assert centre("Parotid_L")[0] > centre("Parotid_R")[0]  # x to the left
    assert centre("SpinalCord")[1] > centre("Bone_Mandible")[1]  # y to posterior
    assert centre("Brainstem")[2] > centre("SpinalCord")[2]  # z to superior


def test_reference_scores_nothing_against_itself(openkbp_folder: Path) -> None:
    path = openkbp_folder / "validation" / "pt_203.npz"
    reference = openkbp.read_reference(path)
    score = openkbp.score_case(openkbp.read_npz(path), reference, reference.dose_gy)
    assert (score.dose_gy, score.dvh_gy) == (0.0, 0.0)
