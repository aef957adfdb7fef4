"""Beams on cells of voxels against the fine beams, geometry and their own transpose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dose_prediction.case import Beam
from dose_prediction.physics.beam_frame import beam_frame
from dose_prediction.physics.coarse_beams import CELL, CoarseBeams, coarse_beams
from dose_prediction.physics.prior import TracedBeams, trace_beams
from dose_prediction.region import PlanningRegion, planning_region
from water_case import water_case

BEAMS = (Beam(10), Beam(100, couch_deg=15), Beam(230))
CASE = water_case().with_beams(BEAMS)
LATTICE = (12, 24, 24)  # one cell more at the high ends than the region needs


@pytest.fixture(scope="module")
def region() -> PlanningRegion:
    return planning_region(CASE)


@pytest.fixture(scope="module")
def traced(region: PlanningRegion) -> TracedBeams:
    return trace_beams(CASE, region)


@pytest.fixture(scope="module")
def coarse(traced: TracedBeams, region: PlanningRegion) -> CoarseBeams:
    return coarse_beams(traced.beams, region.body, LATTICE)


def means(values: np.ndarray, region: PlanningRegion, coarse: CoarseBeams) -> np.ndarray:
    """The mean (cells, ...) of values (body voxels, ...) in every cell, by hand."""
    z, y, x = (index // CELL for index in np.nonzero(region.body))
    number = (z * LATTICE[1] + y) * LATTICE[2] + x
    return np.stack([values[number == cell].mean(0) for cell in coarse.cells.numpy()])


def test_a_cell_gets_the_mean_dose_of_its_voxels(traced: TracedBeams, region: PlanningRegion, coarse: CoarseBeams) -> None:
    maps = traced.beams.open_beamlets.float()
    wanted = means(traced.beams.dose(maps).numpy(), region, coarse)
    found = coarse.dose(maps).numpy()
    assert np.abs(found - wanted).mean() < 0.03 * wanted.mean()  # the penumbra is not straight within a cell


def test_a_cell_is_seen_where_its_centre_projects(traced: TracedBeams, region: PlanningRegion, coarse: CoarseBeams) -> None:
    """The map of the beamlets' own columns, carried into the cells, tells each cell's column; likewise rows."""
    rows, columns = traced.beams.open_beamlets.shape[1:]
    numbers = torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).float()
    centres = means(region.grid.world_from_index(np.argwhere(region.body)), region, coarse)
    for index, beam in enumerate(BEAMS):
        maps = torch.zeros(len(BEAMS), 3, rows, columns)
        maps[index] = torch.cat([numbers, torch.ones(1, rows, columns)])
        row, column, one = coarse.to_cells(maps).numpy()
        inside = one > 0.999 * coarse.strength[index].numpy()  # seen by four beamlets of the map
        u, v, _ = beam_frame(beam, CASE.isocentre, 1000.0).project(centres[inside])
        assert inside.sum() > 100
        for found, place in ((column, u), (row, v)):
            ratio = found[inside] / one[inside] * 5.0 - place  # beamlets of 5 mm; a constant is left, where the first one lies
            assert ratio.std() < 0.05


def test_collecting_is_the_transpose_of_carrying(coarse: CoarseBeams) -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 2, *coarse.beams.open_beamlets.shape[1:], generator=generator).requires_grad_()
    values = torch.randn(2, len(coarse.cells), generator=generator).requires_grad_()
    (gradient,) = torch.autograd.grad((coarse.to_cells(maps) * values.detach()).sum(), maps)
    weighed = gradient / coarse.seen * coarse.beams.open_beamlets[:, None]
    collected = coarse.to_beamlets(values)
    assert torch.allclose(collected, weighed, atol=1e-5)
    (back,) = torch.autograd.grad((collected * maps.detach()).sum(), values)
    assert (back * values).sum().item() == pytest.approx((collected * maps).sum().item(), rel=1e-4)


def test_what_is_the_same_everywhere_is_collected_as_it_is(coarse: CoarseBeams) -> None:
    collected = coarse.to_beamlets(torch.full((1, len(coarse.cells)), 3.0))[:, 0]
    sees = (coarse.seen[:, 0] > 0.01 * coarse.seen.max()) & coarse.beams.open_beamlets
    assert torch.allclose(collected[sees], torch.tensor(3.0))
    assert collected[~coarse.beams.open_beamlets].abs().max() == 0


def test_values_go_to_their_place_in_the_lattice_and_back(region: PlanningRegion, coarse: CoarseBeams) -> None:
    values = torch.arange(len(coarse.cells), dtype=torch.float32)[None] + 1
    volume = coarse.volume(values)
    assert volume.shape == (1, 1, *LATTICE)
    assert torch.equal(coarse.in_cells(volume), values)
    filled = np.zeros(tuple(CELL * size for size in LATTICE), bool)
    filled[tuple(slice(size) for size in region.body.shape)] = region.body
    blocks = filled.reshape(LATTICE[0], CELL, LATTICE[1], CELL, LATTICE[2], CELL).any(axis=(1, 3, 5))
    assert np.array_equal(volume[0, 0].numpy() > 0, blocks)
