"""Simulated plans of other sites: targets placed where the site is, files in the form of prepared cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dose_prediction import openkbp
from dose_prediction.anatomies import SITES
from dose_prediction.anatomies.build import BUILDS
from dose_prediction.case import CaseError, PlanCase
from dose_prediction.model.condition import CHANNELS, TOKEN_KINDS
from dose_prediction.training.dataset import PreparedCases
from dose_prediction.training.placed_targets import with_placed_target
from dose_prediction.training.simulated_plans import SimulatedPlan, make_plans, plans


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
    brainstem = next(organ.mask for organ in patient.organs if organ.role.standard_name == "Brainstem")
    assert np.argwhere(target)[:, 0].max() < np.argwhere(brainstem)[:, 0].min()


def test_a_target_in_the_brain_lies_in_soft_tissue_above_the_brainstem(patient: PlanCase) -> None:
    target = target_of(with_placed_target(patient, "brain", np.random.default_rng(0)))
    brainstem = next(organ.mask for organ in patient.organs if organ.role.standard_name == "Brainstem")
    assert np.argwhere(target)[:, 0].mean() > np.argwhere(brainstem)[:, 0].mean()
    assert -20 < np.median(patient.ct_hu[target]) < 100


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


def test_no_build_that_is_held_out_is_planned(tmp_path: Path) -> None:
    wanted = plans(None, tmp_path, 2)
    assert {plan.site for plan in wanted} == set(SITES)
    assert {plan.build for plan in wanted} == {build.name for build in BUILDS if not build.is_held_out}
    assert len({plan.file for plan in wanted}) == len(wanted)
    assert [plan.number for plan in wanted] == sorted(plan.number for plan in wanted)


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
