"""Scores on simulated plans: means over the plans of each site, of the model and of the prior."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dose_prediction.case import CaseError
from dose_prediction.model.network import ADDiffDose
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import planning_region
from dose_prediction.training.dataset import store_case
from dose_prediction.training.release import simulated_familiarity
from dose_prediction.training.simulated_scores import card_entry
from tiny_model import TINY, tiny_bundle
from water_case import water_case


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prior is 1 and 3 Gy off in two lungs and 0.5 Gy in a liver."""
    folder = tmp_path_factory.mktemp("plans")
    case = water_case()
    region = planning_region(case)
    traced = trace_beams(case, region)
    prior = physics_prior(region, traced)
    for name, off_gy in (("simulated_lung_slim_0", 1.0), ("simulated_lung_broad_1", 3.0), ("simulated_liver_slim_0", 0.5)):
        store_case(folder / f"{name}.npz", region, traced, prior, prior.dose_gy + np.float32(off_gy), case.beams)
    return folder


def test_a_network_that_changes_nothing_scores_as_the_prior_and_the_prior_by_what_it_is_off(plans: Path) -> None:
    entry = card_entry(ADDiffDose(TINY).eval(), plans)
    assert {site: score["plans"] for site, score in entry.items()} == {"liver": 1, "lung": 2}
    for site, off_gy in (("liver", 0.5), ("lung", 2.0)):
        assert entry[site]["prior_alone_dose_score_gy"] == pytest.approx(off_gy, abs=2e-3)
        assert entry[site]["dose_score_gy"] == pytest.approx(off_gy, abs=2e-3)


def test_a_network_that_changes_the_dose_has_a_score_of_its_own(plans: Path) -> None:
    score = card_entry(tiny_bundle(strength=0.2).network, plans)["lung"]
    assert abs(score["dose_score_gy"] - score["prior_alone_dose_score_gy"]) > 0.01


def test_a_release_tells_by_site_what_the_simulated_plans_are_like(plans: Path) -> None:
    assert {site: known["cases"] for site, known in simulated_familiarity([plans]).items()} == {"liver": 1, "lung": 2}


def test_a_folder_without_plans_is_named(tmp_path: Path) -> None:
    with pytest.raises(CaseError, match="has no prepared plan"):
        card_entry(tiny_bundle().network, tmp_path)
