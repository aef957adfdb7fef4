"""A posed view shows places and directions alike, voxels and cells alike, and what is brought back lies where it was."""

from __future__ import annotations

import pytest
import torch

from dose_prediction.model.lattice_symmetry import LatticeSymmetry
from dose_prediction.training.posed_view import MOST_SHIFT, MOST_STRETCH, MOST_TURN_RAD, MOST_ZOOM, PosedView, posed

SHAPE = (32, 40, 48)
Z, Y, X = torch.meshgrid(*(torch.arange(float(size)) for size in SHAPE), indexing="ij")
BLOB = torch.exp(-((X - 32) ** 2 + (Y - 15) ** 2) / 30 - (Z - 16) ** 2 / 40)[None, None]
SYMMETRIES = [LatticeSymmetry(), LatticeSymmetry(flip_x=True), LatticeSymmetry(swap=True, flip_y=True), LatticeSymmetry(flip_z=True, swap=True)]


def to_the_blob(volume: torch.Tensor) -> torch.Tensor:
    """The direction (1, 2), to the left and in front, from the middle of the lattice to the centre of what is in it."""
    weights = volume[0, 0].sum(0) / volume.sum()
    x, y = (torch.arange(float(size)) - (size - 1) / 2 for size in (volume.shape[-1], volume.shape[-2]))
    direction = torch.stack([(weights.sum(0) * x).sum(), -(weights.sum(1) * y).sum()])
    return (direction / direction.norm())[None]


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=str)
def test_directions_turn_with_what_is_seen(symmetry: LatticeSymmetry) -> None:
    view = PosedView(**vars(symmetry), turn_rad=0.3, zoom=(1.1, 0.9, 1.1))
    assert torch.allclose(view.directions(to_the_blob(BLOB)), to_the_blob(view.volume(BLOB)), atol=2e-3)


@pytest.mark.parametrize("symmetry", SYMMETRIES, ids=str)
def test_what_is_brought_back_lies_where_it_was(symmetry: LatticeSymmetry) -> None:
    view = PosedView(**vars(symmetry), turn_rad=-0.3, zoom=(0.9, 0.85, 1.0), shift=(0.05, -0.04, 0.03))
    assert (view.volume(BLOB) - symmetry.volume(BLOB)).abs().max() > 0.3
    assert (view.volume_back(view.volume(BLOB)) - BLOB).abs().max() < 0.06  # interpolated twice


def test_cells_are_seen_where_their_voxels_are() -> None:
    view = PosedView(flip_x=True, turn_rad=0.25, zoom=(1.1, 1.2, 0.95), shift=(0.03, 0.05, -0.02))
    cells = torch.nn.functional.avg_pool3d(BLOB, 2)
    assert (view.volume(cells) - torch.nn.functional.avg_pool3d(view.volume(BLOB), 2)).abs().max() < 0.1 * float(
        cells.max()
    )  # interpolated on the coarser lattice


def test_a_pose_of_nothing_is_the_symmetry_itself() -> None:
    view = PosedView(swap=True, flip_y=True)
    assert torch.allclose(view.volume(BLOB), LatticeSymmetry(swap=True, flip_y=True).volume(BLOB), atol=1e-5)


def test_random_poses_stay_within_their_limits() -> None:
    generator = torch.Generator().manual_seed(0)
    views = [posed(LatticeSymmetry(flip_x=True), generator) for _ in range(200)]
    assert all(view.flip_x and not view.swap for view in views)
    assert 0.9 * MOST_TURN_RAD < max(abs(view.turn_rad) for view in views) <= MOST_TURN_RAD
    assert 1 / (MOST_ZOOM * MOST_STRETCH) <= min(min(view.zoom) for view in views) < 0.85
    assert max(max(map(abs, view.shift)) for view in views) <= MOST_SHIFT
