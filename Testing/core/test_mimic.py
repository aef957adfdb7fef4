"""Mimicking: doses that beams can give come back, doses that they cannot leave a gap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dose_prediction import openkbp
from dose_prediction.case import LEAF_WIDTHS_MM, Beam, PlanCase, equispaced_beams, with_leaf_width
from dose_prediction.physics.mimic import Deliverability, Mimicked, deliverability, fit_dose
from dose_prediction.physics.prior import TracedBeams, physics_prior, trace_beams
from dose_prediction.region import PlanningRegion, onto_region, planning_region
from water_case import water_case


def traced(case: PlanCase) -> tuple[PlanningRegion, TracedBeams]:
    region = planning_region(case)
    return region, trace_beams(case, region)


def gap_of(beams: tuple[Beam, ...], wanted_gy: np.ndarray) -> float:
    region, trace = traced(water_case().with_beams(beams))
    return deliverability(wanted_gy, fit_dose(trace, region, wanted_gy), region.body).mean_gy


def test_the_dose_of_a_plan_is_found_again_from_open_fields() -> None:
    region, trace = traced(water_case())
    plan = physics_prior(region, trace).dose_gy
    assert deliverability(plan, fit_dose(trace, region, plan), region.body).mean_gy < 0.1


def test_fluence_is_never_negative_and_gives_the_dose() -> None:
    region, trace = traced(water_case())
    fitted = fit_dose(trace, region, np.where(region.prescription_map_gy > 0, np.float32(70), np.float32(0)))
    assert fitted.fluence.shape == tuple(trace.beams.open_beamlets.shape)
    assert fitted.fluence.min() >= 0
    assert np.allclose(trace.beams.dose(torch.from_numpy(fitted.fluence)).numpy(), fitted.dose_gy[region.body], atol=1e-3)
    assert np.all(fitted.dose_gy[~region.body] == 0)


def test_beams_from_the_other_side_cannot_give_the_dose() -> None:
    left, right = (Beam(60), Beam(100)), (Beam(300), Beam(260))
    region, trace = traced(water_case().with_beams(left))
    plan = physics_prior(region, trace).dose_gy
    assert gap_of(left, plan) < 0.1
    assert gap_of(right, plan) > 2.0


def test_more_beams_come_closer_to_a_dose_without_streaks() -> None:
    region, _ = traced(water_case())
    wanted = (region.prescription_map_gy.max() * np.exp(-((region.prescription_map_gy == 0) * 1.0))).astype(np.float32) * region.body
    assert gap_of(equispaced_beams(9), wanted) < gap_of(equispaced_beams(3), wanted)


def test_wider_leaves_come_less_close_to_a_dose() -> None:
    region, _ = traced(water_case())
    wanted = region.prescription_map_gy * np.float32(0.9)  # with edges that no beam can give
    narrow, wide = (gap_of(with_leaf_width(equispaced_beams(7, 20), width), wanted) for width in LEAF_WIDTHS_MM)
    assert wide > 1.05 * narrow


def test_a_plan_of_wider_leaves_has_fewer_beamlets_and_the_same_open_field() -> None:
    case = water_case().with_beams(equispaced_beams(3, 20))
    region, narrow = traced(case)
    _, wide = traced(case.with_beams(with_leaf_width(case.beams, 10)))
    counts = [int(trace.beams.open_beamlets.sum()) for trace in (narrow, wide)]
    assert 2.5 < counts[0] / counts[1] < 5  # those at the edge of the target are there for less of it
    inside = region.prescription_map_gy[region.body] == 70
    open_gy = [trace.beams.dose(trace.beams.open_beamlets.float()).numpy()[inside].mean() for trace in (narrow, wide)]
    assert open_gy[1] == pytest.approx(open_gy[0], rel=0.03)


def test_a_start_close_by_needs_fewer_iterations() -> None:
    region, trace = traced(water_case())
    prior = physics_prior(region, trace)
    wanted = prior.dose_gy * np.float32(1.05)
    from_open, from_plan = (fit_dose(trace, region, wanted, start=start, iterations=4) for start in (None, prior.beamlets))
    assert deliverability(wanted, from_plan, region.body).mean_gy < deliverability(wanted, from_open, region.body).mean_gy


def test_the_gap_is_its_mean_and_99th_percentile_over_the_body() -> None:
    wanted = np.arange(101, dtype=np.float32).reshape(101, 1, 1)
    body = np.ones(wanted.shape, bool)
    fitted = Mimicked(np.zeros_like(wanted), np.zeros((1, 1, 1), np.float32))
    assert deliverability(wanted, fitted, body) == Deliverability(50.0, 99.0)
    assert deliverability(wanted, fitted, body & (wanted <= 10)).mean_gy == 5.0


def test_weighted_beams_keep_their_shares_where_a_dose_is_fitted() -> None:
    region, equal = traced(water_case().with_beams((Beam(0), Beam(50), Beam(110), Beam(200))))
    wanted = physics_prior(region, equal).dose_gy  # a dose in which they share otherwise
    region, trace = traced(water_case().with_beams((Beam(0), Beam(50, weight=3.0), Beam(110, weight=0.5), Beam(200))))
    prior = physics_prior(region, trace)
    assert prior.shares is not None

    def shares(fitted: Mimicked) -> np.ndarray:
        given = trace.beams.dose_by_beam(torch.from_numpy(fitted.fluence)).numpy()[:, region.prescription_map_gy[region.body] > 0].mean(1)
        return given / given.sum()

    asked = (prior.shares.wanted_gy / prior.shares.wanted_gy.sum()).numpy()
    assert shares(fit_dose(trace, region, wanted, start=prior.beamlets, shares=prior.shares)) == pytest.approx(asked, abs=0.03)
    assert np.abs(shares(fit_dose(trace, region, wanted, start=prior.beamlets)) - asked).max() > 0.06


def test_stopping_in_an_iteration_stops_the_fit() -> None:
    class Stop(Exception):
        pass

    def stop(done: int) -> None:
        raise Stop

    region, trace = traced(water_case())
    with pytest.raises(Stop):
        fit_dose(trace, region, region.prescription_map_gy, on_iteration=stop)


@pytest.mark.parametrize("name", ["pt_201", "pt_202"])
def test_the_reference_doses_of_openkbp_are_deliverable(openkbp_folder: Path, name: str) -> None:
    path = openkbp_folder / "validation" / f"{name}.npz"
    case = openkbp.read_npz(path)
    region, trace = traced(case)
    reference = onto_region(openkbp.read_reference(path).dose_gy, case, region)
    assert deliverability(reference, fit_dose(trace, region, reference), region.body).mean_gy < 0.8
