"""The quick plan answers to its beams, whatever a model makes of it: cases that are not symmetric, so that no sign can hide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dose_prediction.case import Beam, PlanCase
from dose_prediction.physics.prior import physics_prior, trace_beams
from dose_prediction.region import onto_case_grid, planning_region
from water_case import water_case

UNEVEN = (Beam(20), Beam(85), Beam(150), Beam(290))


def planned(case: PlanCase) -> np.ndarray:
    """The quick plan's dose on the case's grid."""
    region = planning_region(case)
    return onto_case_grid(physics_prior(region, trace_beams(case, region)).dose_gy, region, case)


def quarter_turn(volume: np.ndarray) -> np.ndarray:
    """A volume (z, y, x) turned as gantry angles grow, from anterior to the patient's left."""
    return np.ascontiguousarray(np.rot90(volume, -1, axes=(1, 2)))


def test_open_fields_spare_an_organ_when_the_beam_through_it_is_left_out() -> None:
    """An optimised plan of few beams need not: it may have used that beam the least of all."""
    case = water_case().with_beams(UNEVEN)
    (parotid,) = case.organs  # on the patient's left, where gantry 85 enters

    def mean_dose(left_out: float) -> float:
        fewer = case.with_beams(tuple(beam for beam in UNEVEN if beam.gantry_deg != left_out))
        region = planning_region(fewer)
        return float(onto_case_grid(physics_prior(region, trace_beams(fewer, region)).open_field, region, case)[parotid.mask].mean())

    with_all, without = mean_dose(-1), {beam.gantry_deg: mean_dose(beam.gantry_deg) for beam in UNEVEN}
    assert without[85] < 0.7 * with_all
    assert min(without, key=lambda gantry_deg: without[gantry_deg]) == 85


def test_case_and_beams_turned_together_turn_the_dose() -> None:
    case = water_case().with_beams(UNEVEN)
    structures = tuple(replace(structure, mask=quarter_turn(structure.mask)) for structure in case.structures)
    in_front = next(structure.mask for structure in structures if structure.name == "PTV_5600")
    assert case.grid.world_from_index(np.argwhere(in_front).mean(axis=0))[0] > 10  # what was anterior is on the left
    turned = replace(case, ct_hu=quarter_turn(case.ct_hu), structures=structures, beams=tuple(Beam((beam.gantry_deg + 90) % 360) for beam in UNEVEN))
    expected, wrong = quarter_turn(planned(case)), quarter_turn(planned(case.with_beams(tuple(Beam(360 - beam.gantry_deg) for beam in UNEVEN))))
    found = planned(turned)
    body = turned.body
    assert np.abs(found - expected)[body].mean() < 0.5
    assert np.abs(found - wrong)[body].mean() > 3.0
