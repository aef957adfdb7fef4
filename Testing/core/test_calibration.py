"""Calibrated samples: bands that hold what they promise, on made cases whose errors are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dose_prediction.calibration import HIGHEST_TARGET, KINDS, PAROTIDS, Calibration, Factors, compartments
from dose_prediction.case import CaseError
from dose_prediction.region import PlanningRegion, planning_region
from dose_prediction.report import coverage_table
from dose_prediction.training.calibrate import Coverage, DrawnCase, Judgement, cross_judged, drawn_case, fitted_calibration
from water_case import water_case

SAMPLES = 10
ERROR_GY, DRAWN_GY = 2.0, 0.5  # how far plans differ from the expected dose, and how far the samples say that they do


@pytest.fixture(scope="module")
def region() -> PlanningRegion:
    return planning_region(water_case())


def expected(region: PlanningRegion) -> np.ndarray:
    rows = np.linspace(0.9, 1.1, region.grid.shape[1], dtype=np.float32)[None, :, None]
    return np.where(region.body, np.maximum(region.prescription_map_gy, 20.0) * rows, 0).astype(np.float32)


def shifted(region: PlanningRegion, dose_gy: np.ndarray, size_gy: float, random: np.random.Generator) -> np.ndarray:
    """Every compartment hotter or colder by its own chance, and a little noise."""
    other = dose_gy + 0.05 * random.normal(size=dose_gy.shape).astype(np.float32)
    for _, part in compartments(region):
        other[part] += np.float32(size_gy * random.normal())
    return np.where(region.body, np.maximum(other, 0), 0).astype(np.float32)


@pytest.fixture(scope="module")
def cases(region: PlanningRegion) -> list[DrawnCase]:
    random = np.random.default_rng(5)
    dose = expected(region)
    made = []
    for number in range(16):
        samples = [shifted(region, dose, DRAWN_GY, random) for _ in range(SAMPLES)]
        made.append(drawn_case(f"case {number}", region, shifted(region, dose, ERROR_GY, random), dose, samples))
    return made


def test_the_factors_widen_samples_that_differ_too_little(cases: list[DrawnCase]) -> None:
    found = fitted_calibration(cases)
    assert found.samples == SAMPLES
    for kind in (HIGHEST_TARGET, PAROTIDS):
        assert ERROR_GY / DRAWN_GY / 1.7 < found.factors[kind].shift < ERROR_GY / DRAWN_GY * 1.7


def test_bands_hold_the_reference_of_cases_that_they_were_not_fitted_on(cases: list[DrawnCase]) -> None:
    judged = cross_judged(cases).as_dict()
    assert 70 <= judged["coverage_percent_overall"] <= 92
    assert set(judged["coverage_percent"]) == {"D99", "D95", "D1", "D0.1cc", "mean"}
    assert set(judged["coverage_percent_by_structure"]) == {"PTV70", "PTV56", "Parotid_L"}
    assert len(judged["spearman_of_spread_and_error"]) == len(cases)


def test_coverage_is_counted_by_structure_and_by_metric_with_its_standard_error() -> None:
    held = {("a", "PTV70", "D95"): True, ("b", "PTV70", "D95"): False, ("a", "PTV70", "D1"): True, ("b", "Larynx", "mean"): True}
    judgement = Judgement(held, {"a": 0.5, "b": 0.25})
    assert judgement.coverage() == Coverage(4, 75.0)
    assert judgement.coverage(metric="D95") == Coverage(2, 50.0)
    assert judgement.coverage("PTV70") == Coverage(3, pytest.approx(66.667, abs=1e-3))
    assert Coverage(25, 80.0).standard_error == pytest.approx(8.0)  # sqrt(0.8 * 0.2 / 25)
    assert "PTV70          3      66.7  27.2" in coverage_table(judgement)


def test_one_case_alone_cannot_be_cross_judged(cases: list[DrawnCase]) -> None:
    with pytest.raises(CaseError, match="give at least 2 cases"):
        cross_judged(cases[:1])


def test_calibrated_samples_lie_about_the_expected_dose_and_differ_by_the_factors(region: PlanningRegion) -> None:
    random, dose = np.random.default_rng(0), expected(region)
    samples = [shifted(region, dose + 1.0, DRAWN_GY, random) for _ in range(SAMPLES)]
    found = Calibration(SAMPLES, dict.fromkeys(KINDS, Factors(shift=3.0, slope=0.0, pattern=0.0))).applied(samples, dose, region)
    for _, part in compartments(region):
        before, after = (np.array([plan[part].mean() for plan in plans]) for plans in (samples, found))
        assert after.mean() == pytest.approx(dose[part].mean(), abs=1e-3)
        assert after - after.mean() == pytest.approx(3.0 * (before - before.mean()), abs=1e-3)
    assert all(plan.min() >= 0 and plan[~region.body].max() == 0 for plan in found)


def test_fewer_samples_than_fitted_on_are_spread_wider_so_that_their_band_is_as_wide(region: PlanningRegion) -> None:
    random, dose = np.random.default_rng(0), expected(region)
    calibration = Calibration(20, dict.fromkeys(KINDS, Factors()))
    target = region.targets[0].fraction > 0.5

    def band(count: int) -> float:
        widths = []
        for _ in range(60):
            plans = calibration.applied([shifted(region, dose, 1.0, random) for _ in range(count)], dose, region)
            low, high = np.quantile([plan[target].mean() for plan in plans], [0.1, 0.9])
            widths.append(high - low)
        return float(np.mean(widths))

    assert band(5) == pytest.approx(band(20), rel=0.15)


def test_a_calibration_comes_back_from_a_card_and_a_card_may_have_none() -> None:
    calibration = Calibration(10, {kind: Factors(float(number), 1.0, 0.5) for number, kind in enumerate(KINDS)})
    assert Calibration.from_card({"calibration": calibration.as_dict()}) == calibration
    assert Calibration.from_card({}) is None and Calibration.from_card({"calibration": None}) is None


def test_one_sample_alone_stays_as_it_is(region: PlanningRegion) -> None:
    dose = expected(region)
    calibration = Calibration(10, dict.fromkeys(KINDS, replace(Factors(), shift=5.0)))
    assert calibration.applied([dose + 1], dose, region)[0] == pytest.approx(dose + 1)
