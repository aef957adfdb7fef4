"""The model that is shipped: what its card says, and that its predictions are those of a trained model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dose_prediction.model.bundle import WEIGHTS_FILE, Bundle, load_bundle
from dose_prediction.openkbp import dose_score, read_case, read_reference
from dose_prediction.phantom import head_and_neck_phantom
from dose_prediction.prediction import predict
from dose_prediction.resources import resource_path


@pytest.fixture(scope="module")
def released() -> Bundle:
    return load_bundle()


def test_the_card_says_what_it_was_trained_on_how_long_and_how_well(released: Bundle) -> None:
    card = released.card
    assert {"version", "training_data", "steps", "hours", "sites", "limits", "intended_use", "validation_curve", "sha256"} <= card.keys()
    assert card["validation"]["cases"] == 33
    assert card["validation"]["dose_score_gy"] <= 3.2
    assert card["validation"]["dvh_score_gy"] <= 2.4


def test_the_file_is_small_enough_to_ship() -> None:
    assert (resource_path("Models") / WEIGHTS_FILE).stat().st_size <= 25_000_000


def test_the_phantom_gets_a_plan_that_covers_its_targets_and_spares_its_cord(released: Bundle) -> None:
    case = head_and_neck_phantom()
    dose = predict(case, released, device="cpu").dose_gy
    for target in case.targets:
        prescription = target.role.prescription_gy or 0.0
        assert np.percentile(dose[target.mask], 5) > 0.95 * prescription, target.name
    organs = {organ.role.standard_name: organ.mask for organ in case.organs}
    assert dose[organs["SpinalCord"]].max() < 45
    assert dose.max() < 1.15 * 70


@pytest.mark.parametrize("patient", ["pt_203", "pt_219"])
def test_validation_cases_are_predicted_better_than_by_physics_alone(released: Bundle, openkbp_folder: Path, patient: str) -> None:
    path = openkbp_folder / "csv_sample" / patient
    reference = read_reference(path)
    found = predict(read_case(path), released, device="cpu")
    ours, prior = (dose_score(reference.dose_gy, dose, reference.possible_dose_mask) for dose in (found.dose_gy, found.prior_gy))
    assert ours < prior
    assert ours < 4.5


def test_samples_lie_about_the_expected_dose(released: Bundle) -> None:
    case = head_and_neck_phantom()
    found = predict(case, released, samples=4, device="cpu")
    treated = found.dose_gy > 20
    assert found.spread_gy is not None
    for sample in found.samples_gy:
        assert abs(float((sample - found.dose_gy)[treated].mean())) < 4.0  # calibrated samples differ as plans do, by a few Gy
        assert 0.3 < float(np.abs(sample - found.dose_gy)[treated].mean()) < 8.0
