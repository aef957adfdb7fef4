"""Simulated plans of other sites: targets placed where the site is, files in the form of prepared cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dose_prediction import openkbp
from dose_prediction.anatomies import SITES
from dose_prediction.anatomies.build import BUILDS
from dose_prediction.case import Beam, CaseError, PlanCase, static_fields
from dose_prediction.model.condition import CHANNELS, TOKEN_KINDS
from dose_prediction.training.dataset import PreparedCases
from dose_prediction.training.placed_targets import PRESCRIPTIONS_GY, with_placed_target
from dose_prediction.training.random_beams import MOSTLY_NON_COPLANAR, ONE_SIDE_DEG, beams_about, random_beams
from dose_prediction.training.simulated_plans import SimulatedPlan, make_plans, plans, site_of


@pytest.fixture(scope="module")
def patient(openkbp_folder: Path) -> PlanCase:
    """One whose CT shows brain, oesophagus and the top of the lungs."""
    return openkbp.read_npz(openkbp_folder / "train" / "pt_2.npz")


def target_of(case: PlanCase) -> np.ndarray:
    (target,) = case.targets
    return target.mask


def test_a_target_in_the_lung_lies_in_air_and_below_all_organs_of_the_head(patient: PlanCase) -> None:
    target = target_of(with_placed_target(patient, "lung", np.random.default_rng(0)))
    assert np.median(patient.ct_hu[target]) < -500
    assert not target[[0, -1]].any()
    brainstem = next(organ.mask for organ in patient.organs if organ.role.standard_name == "Brainstem")
    assert np.argwhere(target)[:, 0].max() < np.argwhere(brainstem)[:, 0].min()


def test_a_target_in_the_brain_lies_in_soft_tissue_above_the_brainstem(patient: PlanCase) -> None:
    target = target_of(with_placed_target(patient, "brain", np.random.default_rng(0)))
    brainstem = next(organ.mask for organ in patient.organs if organ.role.standard_name == "Brainstem")
    assert np.argwhere(target)[:, 0].mean() > np.argwhere(brainstem)[:, 0].mean()
    assert -20 < np.median(patient.ct_hu[target]) < 100
    assert not target[[0, -1]].any()  # the scan goes on above it


def test_a_target_along_the_oesophagus_holds_a_stretch_of_it(patient: PlanCase) -> None:
    target = target_of(with_placed_target(patient, "oesophagus", np.random.default_rng(0)))
    oesophagus = next(organ.mask for organ in patient.organs if organ.role.standard_name == "Esophagus")
    slices = np.flatnonzero((target & oesophagus).any(axis=(1, 2)))[4:-4]
    assert len(slices) * patient.grid.spacing_mm[2] > 20
    assert (target | ~oesophagus)[slices].mean() > 0.999


def test_a_ct_that_does_not_show_the_site_is_refused(openkbp_folder: Path) -> None:
    case = openkbp.read_npz(openkbp_folder / "train" / "pt_1.npz")
    with pytest.raises(CaseError, match="leave the case out"):
        with_placed_target(case, "lung", np.random.default_rng(0))


def test_no_build_is_both_trained_and_tested_on(tmp_path: Path) -> None:
    trained, tested = (plans(None, tmp_path, 6 * len(SITES), is_held_out) for is_held_out in (False, True))
    for wanted in (trained, tested):
        assert [plan.site for plan in wanted] == list(SITES) * 6
        assert [site_of(plan.file.stem) for plan in wanted] == list(SITES) * 6
        assert len({plan.file for plan in wanted}) == len(wanted)
    builds = [{plan.build for plan in wanted} for wanted in (trained, tested)]
    assert builds == [{build.name for build in BUILDS if build.is_held_out == is_held_out} for is_held_out in (False, True)]


def test_sites_drawn_and_placed_take_turns_and_a_longer_run_only_adds(openkbp_folder: Path, tmp_path: Path) -> None:
    few, many = (plans(openkbp_folder / "validation", tmp_path, count) for count in (8, 40))
    assert many[:8] == few
    assert [plan.site for plan in few if not plan.sources] == list(SITES)
    assert [plan.site for plan in few if plan.sources] == list(PRESCRIPTIONS_GY)
    assert [site_of(plan.file.stem) for plan in many] == [plan.site for plan in many]
    assert len({plan.sources[0] for plan in many if plan.sources}) == 15
    assert len({plan.file for plan in many}) == 40


def test_beams_are_those_of_the_site() -> None:
    for seed in range(20):
        generator = np.random.default_rng(seed)
        fields = static_fields(beams_about(40.0, generator))
        assert all(abs((beam.gantry_deg - 40 + 180) % 360 - 180) <= 0.5 * ONE_SIDE_DEG for beam in fields)
    brains = [random_beams(np.random.default_rng(seed), MOSTLY_NON_COPLANAR) for seed in range(200)]
    turned = [any(isinstance(beam, Beam) and beam.couch_deg for beam in beams) for beams in brains]
    assert 0.5 < np.mean(turned) < 0.7


def test_a_plan_is_stored_as_a_prepared_case_and_never_made_twice(tmp_path: Path) -> None:
    plan = SimulatedPlan("prostate", 0, tmp_path / "simulated_prostate_slim_0.npz", build="slim")
    assert make_plans([plan]) == []
    made = plan.file.stat().st_mtime_ns
    assert make_plans([plan]) == []
    assert plan.file.stat().st_mtime_ns == made
    (stored,) = PreparedCases([plan.file])
    assert stored.volumes.shape[0] == len(CHANNELS)
    assert stored.residual.shape == stored.body.shape
    assert np.abs(stored.residual[stored.body]).max() > 0
    assert (stored.tokens[:, TOKEN_KINDS.index("beam")] > 0.5).sum() == len(plan.case().fields)
