"""Angular moments against what their definition says of single beams and of sums of beams."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dose_prediction.case import Beam
from dose_prediction.physics.beam_frame import angles_in_turned_frame, beam_frame
from dose_prediction.physics.beam_moments import ORDERS, angular_moments, beam_directions, turned_moments


@pytest.mark.parametrize(
    ("beam", "direction"),
    [
        (Beam(0), 1),  # from anterior
        (Beam(90), 1j),  # from the patient's left
        (Beam(180), -1),
        (Beam(30), np.exp(1j * np.pi / 6)),
        (Beam(90, couch_deg=60), 0.5j),  # from the left and, mostly, from the head or the feet
    ],
)
def test_a_direction_says_from_where_the_beam_comes(beam: Beam, direction: complex) -> None:
    assert beam_directions([beam])[0] == pytest.approx(direction, abs=1e-6)


@pytest.mark.parametrize(
    "beam", [Beam(0), Beam(250), Beam(60, couch_deg=30), Beam(300, couch_deg=330), Beam(0, couch_deg=90), Beam(140, couch_deg=75)]
)
@pytest.mark.parametrize("turn_deg", [0.0, 20.0, -33.0])
def test_angles_in_a_turned_frame_are_those_of_a_beam_that_comes_from_there(beam: Beam, turn_deg: float) -> None:
    gantry, couch = np.rad2deg(angles_in_turned_frame(beam, np.deg2rad(turn_deg)))
    there = Beam(gantry, couch_deg=couch)
    assert beam_directions([beam], np.deg2rad(turn_deg)) == pytest.approx(beam_directions([there]), abs=1e-6)
    superior, turned_superior = (beam_frame(one, (0.0, 0.0, 0.0), 1000.0).w[2] for one in (beam, there))
    assert turned_superior == pytest.approx(superior, abs=1e-6)


def test_a_dose_with_beams_weighted_by_angle_is_a_combination_of_moments() -> None:
    angles = np.array([10.0, 75.0, 140.0, 260.0, 310.0])
    doses = torch.rand(len(angles), 50, generator=torch.Generator().manual_seed(2))
    moments = angular_moments(doses, beam_directions([Beam(angle) for angle in angles]))
    weights = 1 + 0.4 * np.cos(np.deg2rad(angles)) - 0.3 * np.sin(3 * np.deg2rad(angles))
    reweighted = torch.from_numpy(weights.astype(np.float32)) @ doses
    assert torch.allclose(doses.sum(0) + 0.4 * moments[0] - 0.3 * moments[5], reweighted, atol=1e-5)


def test_turned_moments_are_those_of_turned_beams() -> None:
    doses = torch.rand(3, 20, generator=torch.Generator().manual_seed(3))
    before, after = (angular_moments(doses, beam_directions([Beam(angle + turn) for angle in (0, 50, 110)])) for turn in (0, 25))
    assert before.shape == (2 * ORDERS, 20)
    assert torch.allclose(turned_moments(before, np.deg2rad(25)), after, atol=1e-5)
