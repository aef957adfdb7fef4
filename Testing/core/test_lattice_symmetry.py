"""Views of a case against physics: what a beam gives in a body that looks the same from all sides."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dose_prediction.case import Beam, PlanCase
from dose_prediction.model.condition import CHANNELS
from dose_prediction.model.lattice_symmetry import LatticeSymmetry
from dose_prediction.physics.prior import TracedBeams, trace_beams
from dose_prediction.region import planning_region
from water_case import water_case

VIEWS = [LatticeSymmetry(*flags) for flags in itertools.product((False, True), repeat=4)]


def symmetric_case(beam: Beam) -> PlanCase:
    """A water cylinder with a cube in its middle that is irradiated."""
    case = water_case().with_beams((beam,))
    return replace(case, structures=tuple(s for s in case.structures if s.name in ("BODY", "PTV_7000")))


def traced(beam: Beam) -> TracedBeams:
    case = symmetric_case(beam)
    return trace_beams(case, planning_region(case))


def direction(beams: TracedBeams) -> torch.Tensor:
    return torch.from_numpy(np.stack([beams.directions.imag, beams.directions.real], -1))


@pytest.mark.parametrize("view", VIEWS, ids=str)
def test_a_beam_that_is_seen_elsewhere_gives_the_dose_that_is_seen(view: LatticeSymmetry) -> None:
    here = traced(Beam(25))
    maps = torch.rand(here.beams.open_beamlets.shape, generator=torch.Generator().manual_seed(1)) * here.beams.open_beamlets
    left, front = view.directions(direction(here))[0].tolist()
    there = traced(Beam(math.degrees(math.atan2(left, front)) % 360))
    dose = here.filled(here.beams.dose(maps).numpy())
    for flipped, alike in ((view.maps(maps), True), (view.maps(maps).flip(-1), False)):
        difference = np.abs(view.volume(torch.from_numpy(dose)).numpy() - there.filled(there.beams.dose(flipped).numpy())).mean()
        assert (difference < 0.01 * dose.mean()) == alike
    assert torch.equal(view.volume_back(view.volume(torch.from_numpy(dose))), torch.from_numpy(dose))
    assert torch.equal(view.maps(view.maps(maps)), maps)


def test_the_views_are_sixteen() -> None:
    volume = torch.arange(2 * 3 * 3).reshape(2, 3, 3)
    assert len({tuple(view.volume(volume).flatten().tolist()) for view in VIEWS}) == 16


def test_only_a_mirror_image_exchanges_the_parotids() -> None:
    channels = torch.rand(1, len(CHANNELS), 4, 6, 6)
    left, right = CHANNELS.index("Parotid_L"), CHANNELS.index("Parotid_R")
    assert torch.equal(LatticeSymmetry(flip_x=True).channels(channels)[:, left], channels[:, right].flip(-1))
    assert torch.equal(LatticeSymmetry(flip_y=True).channels(channels)[:, left], channels[:, left].flip(-2))
    turned = LatticeSymmetry(swap=True, flip_x=True)  # a quarter turn: the left parotid is in front, and on the left again when mirrored
    assert torch.equal(turned.channels(channels)[:, left], turned.volume(channels[:, right]))
