"""The planning region: the part of a case that is computed, on the grid that it is computed on.

A prediction needs the body near the targets, at a few millimetres; a CT may be far larger and finer, or oblique.  The region is cut out along the
axes of the CT's slices, which may be turned about the patient's long axis: a patient who is turned with grid and beams gets the same dose, turned.
Where slices lean, it is cut out along the patient's own axes.  Voxels that the model knows (those of its training cases) are kept as they are, so
that nothing is resampled.  Others are, but along an axis whose spacing the model knows, as that of the slices of most CTs, the spacing stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from dose_prediction.case import CaseError, Grid, PlanCase
from dose_prediction.case.grid import IDENTITY, Direction

MARGIN_MM = 100.0  # kept above and below the targets; across the body everything is kept
# Along x, y, z: spacing kept as it is, and the spacing used where it is outside that range.
NATIVE_SPACING_MM = ((3.4, 5.5), (3.4, 5.5), (1.5, 4.0))
RESAMPLED_SPACING_MM = (4.0, 4.0, 3.0)
MAX_VOXELS = 4_000_000
LEANING = 1e-4  # of a unit vector across the slices, beyond which they are no longer perpendicular to the patient's long axis

Volume = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Target:
    """A target in the region: its prescription and the part of each voxel that it fills (z, y, x), 0 to 1."""

    prescription_gy: float
    fraction: Volume


@dataclass(frozen=True, eq=False)
class PlanningRegion:
    """A case on the grid that it is computed on: CT in HU, structures as the fraction of each voxel that they fill.

    `targets` has one entry a prescription, highest first; `organs` goes by TG-263 name, or by the user's own where that is not recognised.
    `body` holds the voxels that may receive dose.  The grid's axes run to the left, to posterior and to superior, but may be turned about the last.
    """

    grid: Grid
    ct_hu: Volume
    body: NDArray[np.bool_]
    targets: tuple[Target, ...]
    organs: dict[str, Volume]

    @property
    def prescription_map_gy(self) -> Volume:
        """The prescription of the target that holds each voxel, the highest where targets overlap, 0 elsewhere."""
        dose = np.zeros(self.grid.shape, np.float32)
        for target in reversed(self.targets):
            dose = np.where(target.fraction >= 0.5, np.float32(target.prescription_gy), dose)
        return dose

    @property
    def places(self) -> NDArray[np.float64]:
        """Where each voxel of the body lies (n, 3): in voxels along the grid's axes from the patient's origin, wherever the region is cut."""
        return (np.argwhere(self.body) - self.grid.index_from_world((0.0, 0.0, 0.0)))[:, ::-1]

    @property
    def turn_rad(self) -> float:
        """How far the grid is turned about the patient's long axis, as gantry angles grow."""
        return float(np.arctan2(self.grid.direction[1][0], self.grid.direction[0][0]))


def planning_region(case: PlanCase) -> PlanningRegion:
    """Cut out and, where needed, resample the part of `case` that is computed."""
    grid = _region_grid(case)
    carry = _Carrier(case.grid, grid)
    targets: dict[float, Volume] = {}
    for structure in case.targets:
        prescription = structure.role.prescription_gy or 0.0
        fraction = carry.mask(structure.mask)
        targets[prescription] = np.maximum(targets[prescription], fraction) if prescription in targets else fraction
    organs: dict[str, Volume] = {}
    for structure in case.organs:
        name = structure.role.standard_name or structure.name
        fraction = carry.mask(structure.mask)
        organs[name] = np.maximum(organs[name], fraction) if name in organs else fraction
    body = carry.mask(case.body) >= 0.5
    return PlanningRegion(
        grid, carry.image(case.ct_hu, outside=-1024.0), body, tuple(Target(p, targets[p]) for p in sorted(targets, reverse=True)), organs
    )


def onto_region(volume: Volume, case: PlanCase, region: PlanningRegion) -> Volume:
    """A volume of the case (z, y, x) on the region's grid, zero outside the case."""
    return _Carrier(case.grid, region.grid).image(volume, outside=0.0)


def onto_case_grid(volume: Volume, region: PlanningRegion, case: PlanCase) -> Volume:
    """A volume of the region (z, y, x) on the case's own grid, linearly interpolated and zero outside the region."""
    return _Carrier(region.grid, case.grid).image(volume, outside=0.0)


def _region_grid(case: PlanCase) -> Grid:
    """The grid that holds the body from `MARGIN_MM` below the targets to as much above them."""
    axes = _region_axes(case.grid)
    body = _extent(case.body, case.grid, axes)
    target = _extent(np.logical_or.reduce([structure.mask for structure in case.targets]), case.grid, axes)
    low = np.maximum(body[0], [-np.inf, -np.inf, target[0][2] - MARGIN_MM])
    high = np.minimum(body[1], [np.inf, np.inf, target[1][2] + MARGIN_MM])
    low, high = np.minimum(low, target[0]), np.maximum(high, target[1])
    spacing = _region_spacing_mm(case.grid)
    first, last = (np.asarray(axes) @ corner for corner in (low, high))  # LPS
    if np.allclose(case.grid.direction, axes, atol=1e-6) and spacing == case.grid.spacing_mm:
        start = np.maximum(np.rint(case.grid.index_from_world(first)).astype(int), 0)
        stop = np.minimum(np.rint(case.grid.index_from_world(last)).astype(int) + 1, case.grid.shape)
        grid = case.grid.cropped(tuple(start.tolist()), tuple((stop - start).tolist()))
    else:
        size = np.maximum(np.ceil((high - low) / np.array(spacing) - 1e-6).astype(int) + 1, 1)
        grid = Grid(tuple(size[::-1].tolist()), tuple(first.tolist()), spacing, axes)
    if np.prod(grid.shape) > MAX_VOXELS:
        raise CaseError(
            f"The body near the targets takes {np.prod(grid.shape):,} voxels of {grid.spacing_mm} mm, more than {MAX_VOXELS:,}; "
            "check the body contour and the image spacing, or crop the CT."
        )
    return grid


def _region_axes(grid: Grid) -> Direction:
    """Those of `grid`, in the order and sense that are nearest to the patient's own; the patient's own where its slices lean."""
    direction = np.asarray(grid.direction)
    nearest = np.abs(direction).argmax(axis=1)
    if len(set(nearest.tolist())) < 3:  # two axes as near to one of the patient's
        return IDENTITY
    axes = direction[:, nearest] * np.sign(direction[range(3), nearest])
    if np.abs(axes[:2, 2]).max() > LEANING:
        return IDENTITY
    x, y = axes[:2, 0] / np.hypot(*axes[:2, 0])
    return (x, -y, 0.0), (y, x, 0.0), (0.0, 0.0, 1.0)


def _region_spacing_mm(grid: Grid) -> tuple[float, float, float]:
    """Along the region's axes: that of the grid's nearest axis where the model knows it, or else what is used instead."""
    nearest = np.abs(grid.direction).argmax(axis=1)
    x, y, z = (
        own if lowest <= own <= highest else instead
        for own, (lowest, highest), instead in zip((grid.spacing_mm[axis] for axis in nearest), NATIVE_SPACING_MM, RESAMPLED_SPACING_MM, strict=True)
    )
    return x, y, z


def _extent(mask: NDArray[np.bool_], grid: Grid, axes: Direction) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest coordinates along `axes` of the voxel centres in `mask`."""
    bounds = [np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))[[0, -1]] for axis in range(3)]
    corners = grid.world_from_index(np.stack(np.meshgrid(*bounds, indexing="ij"), -1).reshape(-1, 3)) @ np.asarray(axes)
    return corners.min(axis=0), corners.max(axis=0)


class _Carrier:
    """Carries volumes from one grid to another: by slicing where the voxels coincide, else averaged down and linearly interpolated.

    Only the blocks that the two grids share are ever touched, which is little of a large CT.
    """

    def __init__(self, source: Grid, to: Grid) -> None:
        self.to = to
        start = source.index_from_world(to.world_from_index((0, 0, 0)))
        same_axes = np.allclose(source.direction, to.direction, atol=1e-6) and np.allclose(source.spacing_mm, to.spacing_mm, rtol=1e-6)
        self.coincide = same_axes and bool(np.allclose(start, np.rint(start), atol=1e-3))
        # Averaging blocks of voxels before going to a coarser grid keeps what lies between its points.
        axis_spacing = np.linalg.norm(np.asarray(source.direction).T @ np.asarray(to.direction) * np.asarray(to.spacing_mm), axis=1)
        self.shrink = [max(1, int(wanted / have + 0.01)) for wanted, have in zip(axis_spacing, source.spacing_mm, strict=True)]
        around = 0 if self.coincide else 1 + max(self.shrink)
        self.from_block, self.from_grid = _shared_block(source, to, around)
        self.to_block, self.to_grid = _shared_block(to, source, 0 if self.coincide else 1)

    def mask(self, mask: NDArray[np.bool_]) -> Volume:
        return self.image(mask, outside=0.0)

    def image(self, volume: NDArray[np.float32] | NDArray[np.bool_], outside: float) -> Volume:
        result = np.full(self.to.shape, outside, np.float32)
        block = volume[self.from_block].astype(np.float32)
        if block.size == 0 or result[self.to_block].size == 0:
            return result
        result[self.to_block] = block if self.coincide else self._resampled(block, outside)
        return result

    def _resampled(self, block: Volume, outside: float) -> Volume:
        image = _sitk_image(block, self.from_grid)
        if max(self.shrink) > 1:
            # Averaging drops what is left over at the high ends, so the last values are repeated until nothing is.
            missing = [-size % factor for size, factor in zip(image.GetSize(), self.shrink, strict=True)]
            image = sitk.BinShrink(sitk.ZeroFluxNeumannPad(image, [0, 0, 0], missing), self.shrink)
        resampler = sitk.ResampleImageFilter()
        resampler.SetReferenceImage(_sitk_image(np.zeros((1, 1, 1), np.float32), self.to_grid))
        resampler.SetSize(self.to_grid.shape[::-1])
        resampler.SetInterpolator(sitk.sitkLinear)
        resampler.SetDefaultPixelValue(outside)
        return sitk.GetArrayFromImage(resampler.Execute(image)).astype(np.float32)


def _shared_block(grid: Grid, other: Grid, around: int) -> tuple[tuple[slice, ...], Grid]:
    """The block of `grid` that reaches into `other`, `around` voxels wider, and the grid of that block; empty slices where they share nothing."""
    corners = np.stack(np.meshgrid(*([0, size - 1] for size in other.shape), indexing="ij"), -1).reshape(-1, 3)
    indices = grid.index_from_world(other.world_from_index(corners))
    first = np.clip(np.floor(indices.min(axis=0) + 1e-3).astype(int) - around, 0, grid.shape)
    last = np.clip(np.ceil(indices.max(axis=0) - 1e-3).astype(int) + around + 1, first, grid.shape)
    block = tuple(slice(low, high) for low, high in zip(first.tolist(), last.tolist(), strict=True))
    shape = np.maximum(last - first, 1)
    return block, grid.cropped((int(first[0]), int(first[1]), int(first[2])), (int(shape[0]), int(shape[1]), int(shape[2])))


def _sitk_image(volume: Volume, grid: Grid) -> sitk.Image:
    image = sitk.GetImageFromArray(volume)
    image.SetOrigin(grid.origin_mm)
    image.SetSpacing(grid.spacing_mm)
    image.SetDirection([value for row in grid.direction for value in row])
    return image
