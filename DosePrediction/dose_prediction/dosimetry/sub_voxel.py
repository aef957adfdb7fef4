"""The dose in a structure with sub-voxel accuracy: dose sampled more finely than its voxels, and structures by what they enclose.

A structure is one of these:

* a mask, or partial-volume weights from 0 to 1, on a grid of its own or the dose's: every voxel is divided; the outline of a mask stays as it is,
  and that of partial volumes runs through their voxels (`dose_in_mask`, see `dose_prediction.dosimetry.partial_volumes`);
* planar contours, or the slices of a mask as they were drawn (`dose_in_contours`, `dose_in_slices`): rounded off between the slices and beyond the
  first and the last (`END_CAP`, see `dose_prediction.dosimetry.lofting`);
* a closed triangle surface (`dose_in_surface`).

Contours and surfaces are cut into lines; what a line covers is exact along the line, and at least 48 lines go across the structure however small
it is.  The dose is trilinear between the centres of its voxels and constant in the outer half of the outermost ones.

The accuracy is measured against spheres, cylinders and cones in linear dose gradients (Nelms et al., Med Phys 42, 4435-4448, 2015) by
`Testing/benchmarks/bench_dvh.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dose_prediction.case.grid import Grid
from dose_prediction.dosimetry.dvh import MM3_PER_CC
from dose_prediction.dosimetry.lofting import sections, signed_distance, structure_end, to_outlines
from dose_prediction.dosimetry.partial_volumes import covered_parts
from dose_prediction.dosimetry.structure_dose import StructureDose

END_CAP = "tapered where the sections shrink to nothing before the next slice, otherwise flat, half a slice beyond the first and the last contour"

_FEWEST_LINES, _MOST_LINES = 48, 160
_FEWEST_SAMPLES, _MOST_DIVISIONS = 50_000, 6
# Between two slices a section may be wider than on both: a sphere's by less than this part of their distance.
_BULGE = 0.25

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Samples:
    """Where a structure is sampled, as places (n, 3) in the array of the dose, and the volume in cc that each stands for; for any number of doses."""

    places: Floats
    volume_cc: Floats

    def dose(self, dose_gy: NDArray[np.floating]) -> StructureDose:
        """The dose (z, y, x) on the grid that the samples were made for.  Raises ValueError where the structure reaches beyond it."""
        from scipy.ndimage import map_coordinates

        beyond = ((self.places < -0.5 - 1e-6) | (self.places > np.array(dose_gy.shape) - 0.5 + 1e-6)).any(axis=1)
        if beyond.any():
            raise ValueError(
                f"{self.volume_cc[beyond].sum():.2g} of the structure's {self.volume_cc.sum():.3g} cc lie beyond the dose grid, where no dose is "
                "known; give a dose that covers the structure."
            )
        # As single floats, as doses are: between equal voxels a double would be off by its last digit, and half of a uniform dose below itself.
        return StructureDose(map_coordinates(dose_gy, self.places.T, output=np.float32, order=1, mode="nearest"), self.volume_cc)


def dose_in_mask(
    dose_gy: NDArray[np.floating], grid: Grid, mask: ArrayLike, mask_grid: Grid | None = None, divisions: int | None = None
) -> StructureDose:
    """The dose in a mask, or in partial-volume weights (0 to 1), each voxel divided `divisions` times along each axis.

    `mask` lies on `mask_grid`, by default the dose's `grid`.  By default voxels are divided so often that there are 50 000 samples, at most 6 times.
    Raises ValueError if the structure is empty or reaches beyond the dose.
    """
    _require_shape("dose", np.shape(dose_gy), grid)
    return _samples_in_mask(grid, np.asarray(mask), mask_grid or grid, divisions).dose(dose_gy)


def _samples_in_mask(grid: Grid, weights: NDArray[Any], mask_grid: Grid, divisions: int | None = None) -> Samples:
    _require_shape("mask", weights.shape, mask_grid)
    voxels = np.argwhere(weights > 0)
    if voxels.shape[0] == 0:
        raise ValueError("The structure has no voxel; contour it, or leave it out.")
    for worst in (weights.min(), weights.max()):
        if not 0 <= worst <= 1:
            raise ValueError(f"A partial-volume weight is {worst:g}; give 0 to 1.")
    count = voxels.shape[0]
    if divisions is None:
        divisions = int(np.clip(np.ceil((_FEWEST_SAMPLES / count) ** (1 / 3)), 1, _MOST_DIVISIONS))
    if divisions < 1:
        raise ValueError(f"Voxels are divided {divisions} times; give at least 1.")
    inside = (np.arange(divisions) + 0.5) / divisions - 0.5
    steps = np.stack(np.meshgrid(inside, inside, inside, indexing="ij"), axis=-1).reshape(1, -1, 3)
    parts = steps + _scatter(count * divisions**3).reshape(count, -1, 3) / divisions
    covered = covered_parts(weights, voxels, parts)
    places = (voxels[:, None, :] + parts)[covered > 0]
    if mask_grid is not grid:
        places = grid.index_from_world(mask_grid.world_from_index(places))
    return Samples(places, covered[covered > 0] * (mask_grid.voxel_volume_mm3 / MM3_PER_CC / divisions**3))


def dose_in_contours(dose_gy: NDArray[np.floating], grid: Grid, contours_mm: Sequence[ArrayLike]) -> StructureDose:
    """The dose in planar closed contours, each (n, 3) LPS points in mm in a plane across the slices of the dose grid.

    Contours in one plane are filled by the even-odd rule, so that an inner one is a hole.  Raises ValueError if a contour is not planar, has fewer
    than three points, or if there is only one plane (its thickness is not known: give a mask).
    """
    _require_shape("dose", np.shape(dose_gy), grid)
    loops = [_loop(contour, grid, number) for number, contour in enumerate(contours_mm, start=1)]
    heights = np.array([loop[0, 0] for loop in loops])
    planes = np.unique(np.round(heights, 2))
    if planes.size < 2:
        raise ValueError(
            f"The structure has contours in {planes.size} planes, so the thickness of a slice is not known; give at least two, or a mask."
        )
    plane_of = np.searchsorted(planes, np.round(heights, 2))
    starts = np.concatenate([loop[:, 1:] for loop in loops])
    ends = np.concatenate([np.roll(loop[:, 1:], -1, axis=0) for loop in loops])
    owner = np.repeat(plane_of, [loop.shape[0] for loop in loops])
    rows, columns = _lines(starts[:, 0], grid.spacing_zyx_mm[1]), _lines(starts[:, 1], grid.spacing_zyx_mm[2])
    covered = _covered(starts, ends, owner, planes.size, rows, columns)
    drawn = covered.max(axis=(1, 2)) > 0
    if np.count_nonzero(drawn) < 2:
        raise ValueError("The structure's contours enclose an area in fewer than two planes; contour it, or leave it out.")
    covered, planes = covered[drawn], planes[drawn]
    gaps_mm = float(planes[1] - planes[0]), float(planes[-1] - planes[-2])
    cell_mm = float(rows[1] - rows[0]), float(columns[1] - columns[0])
    areas = covered.sum(axis=(1, 2)) * (cell_mm[0] * cell_mm[1])
    margins = [1 + int(max(gaps_mm) * _BULGE / cell) for cell in cell_mm]
    rows, columns = (_widened(lines, margin) for lines, margin in zip((rows, columns), margins, strict=True))
    covered = np.pad(covered, [(0, 0), *((margin, margin) for margin in margins)])
    distance = signed_distance(covered >= np.minimum(0.5, covered.max(axis=(1, 2), keepdims=True)), cell_mm)
    kept = drawn[owner]
    distance = to_outlines(distance, starts[kept], ends[kept], (np.cumsum(drawn) - 1)[owner[kept]], rows, columns)
    return _from_slices(grid, grid, distance, areas, planes, gaps_mm, (True, True), rows, columns).dose(dose_gy)


def dose_in_slices(dose_gy: NDArray[np.floating], grid: Grid, mask: ArrayLike, mask_grid: Grid | None = None) -> StructureDose:
    """The dose in a mask whose slices are what was drawn: rounded off between them and beyond them as contours are, not in steps of a slice.

    Slices that follow each other belong together; each such stack has its own ends, flat where it meets the edge of its grid.  A structure of
    50 000 voxels or more is taken voxel by voxel, as by `dose_in_mask`.  Raises ValueError as `dose_in_mask` does.
    """
    _require_shape("dose", np.shape(dose_gy), grid)
    return samples_in_slices(grid, mask, mask_grid).dose(dose_gy)


def samples_in_slices(grid: Grid, mask: ArrayLike, mask_grid: Grid | None = None) -> Samples:
    """Where `dose_in_slices` samples doses on `grid`: what depends on the structure alone is done once for several doses."""
    inside, mask_grid = np.asarray(mask, dtype=bool), mask_grid or grid
    if not np.array_equal(inside, mask):
        raise ValueError("A mask holds 0 and 1, this one other values as well; give partial-volume weights to `dose_in_mask`.")
    _require_shape("mask", inside.shape, mask_grid)
    drawn = np.flatnonzero(inside.any(axis=(1, 2)))
    if drawn.size == 0 or np.count_nonzero(inside) >= _FEWEST_SAMPLES:
        return _samples_in_mask(grid, inside, mask_grid)
    stacks = np.split(drawn, np.flatnonzero(np.diff(drawn) > 1) + 1)
    parts = [_in_stack(grid, mask_grid, inside[stack[0] : stack[-1] + 1], int(stack[0])) for stack in stacks]
    return Samples(np.concatenate([part.places for part in parts]), np.concatenate([part.volume_cc for part in parts]))


def _in_stack(grid: Grid, mask_grid: Grid, inside: NDArray[np.bool_], first: int) -> Samples:
    """Samples in slices that follow each other, the lowest of which is slice `first` of `mask_grid`."""
    spacing = mask_grid.spacing_zyx_mm
    box: list[NDArray[np.intp]] = []
    lines: list[Floats] = []
    for axis in (1, 2):
        covered = np.flatnonzero(inside.any(axis=(0, 3 - axis)))
        margin = 1 + spacing[0] * _BULGE / spacing[axis]
        low, high = max(covered[0] - 0.5 - margin, -0.5), min(covered[-1] + 0.5 + margin, inside.shape[axis] - 0.5)
        count = int(np.clip(np.ceil(high - low), _FEWEST_LINES, _MOST_LINES))
        lines.append(low + (np.arange(count) + 0.5) * ((high - low) / count))
        box.append(np.arange(int(np.floor(low)) - 1, int(np.ceil(high)) + 2))
    # One voxel around the mask is outside.
    around = np.pad(inside, [(0, 0), (1, 1), (1, 1)])
    places = [np.clip(part + 1, 0, n - 1) for part, n in zip(box, around.shape[1:], strict=True)]
    coarse = signed_distance(around[:, places[0]][:, :, places[1]], spacing[1:])
    rows_of, columns_of = (np.maximum(0, 1 - np.abs(line[:, None] - part)) for line, part in zip(lines, box, strict=True))
    planes: Floats = (first + np.arange(inside.shape[0], dtype=np.float64)) * spacing[0]
    areas: Floats = inside.sum(axis=(1, 2), dtype=np.float64) * (spacing[1] * spacing[2])
    tapers = first > 0, first + inside.shape[0] < mask_grid.shape[0]
    distance: Floats = rows_of @ coarse @ columns_of.T
    rows, columns = lines[0] * spacing[1], lines[1] * spacing[2]
    return _from_slices(grid, mask_grid, distance, areas, planes, (spacing[0], spacing[0]), tapers, rows, columns)


def dose_in_surface(dose_gy: NDArray[np.floating], grid: Grid, points_mm: ArrayLike, triangles: ArrayLike) -> StructureDose:
    """The dose inside a closed surface: points (n, 3) LPS in mm, and triangles (m, 3) as indices of points, in either orientation.

    Raises ValueError if the surface is not closed.
    """
    _require_shape("dose", np.shape(dose_gy), grid)
    corners, faces = _in_grid_frame(points_mm, grid), np.sort(np.asarray(triangles), axis=1)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.shape[0] < 4:
        raise ValueError(f"The triangles have shape {faces.shape}; give the three corners of at least four triangles.")
    sheets = _lines(corners[:, 0], grid.spacing_zyx_mm[0])
    rows, columns = _lines(corners[:, 1], grid.spacing_zyx_mm[1]), _lines(corners[:, 2], grid.spacing_zyx_mm[2])
    height = corners[:, 0][faces]
    first, last = (np.searchsorted(sheets, extreme, side="left") for extreme in (height.min(axis=1), height.max(axis=1)))
    face, sheet = _ranges(first, last)
    above = corners[:, 0][faces[face]] > sheets[sheet][:, None]
    # The corner alone on its side of the sheet; the section runs across both edges that end there.
    lone = np.where(above.sum(axis=1, keepdims=True) == 1, above, ~above).argmax(axis=1)
    sections = []
    for turn in (1, 2):
        pair = np.sort(np.stack([lone, (lone + turn) % 3], axis=1), axis=1)
        a, b = (corners[faces[face, pair[:, side]]] for side in (0, 1))
        part = ((sheets[sheet] - a[:, 0]) / (b[:, 0] - a[:, 0]))[:, None]
        sections.append(a[:, 1:] + part * (b[:, 1:] - a[:, 1:]))
    covered = _covered(sections[0], sections[1], sheet, sheets.size, rows, columns)
    return _from_layers(grid, grid, covered, sheets, float(sheets[1] - sheets[0]), rows, columns).dose(dose_gy)


def _from_slices(
    grid: Grid,
    frame: Grid,
    distance: Floats,
    areas: Floats,
    planes: Floats,
    gaps_mm: tuple[float, float],
    tapers: tuple[bool, bool],
    rows: Floats,
    columns: Floats,
) -> Samples:
    """Samples between and beyond slices at `planes`, from their signed `distance` at rows and columns, in mm along the axes of `frame`."""
    bottom = structure_end(planes - planes[0], areas, gaps_mm[0], tapers[0])
    top = structure_end((planes[-1] - planes)[::-1], areas[::-1], gaps_mm[1], tapers[1])
    layers = int(np.ceil(_line_count(planes[-1] - planes[0] + sum(gaps_mm) / 2, frame.spacing_zyx_mm[0]) / planes.size))
    cell_mm = float(rows[1] - rows[0]), float(columns[1] - columns[0])
    covered, middles, thickness = sections(distance, areas, planes, (bottom, top), cell_mm, layers)
    return _from_layers(grid, frame, covered, middles, thickness, rows, columns)


def _widened(lines: Floats, count: int) -> Floats:
    """`count` more lines on either side."""
    return lines[0] + np.arange(-count, lines.size + count) * (lines[1] - lines[0])


def _loop(contour_mm: ArrayLike, grid: Grid, number: int) -> Floats:
    points = _in_grid_frame(contour_mm, grid)
    if points.shape[0] < 3:
        raise ValueError(f"Contour {number} has {points.shape[0]} points; give at least three, or leave it out.")
    tilt = float(np.ptp(points[:, 0]))
    if tilt > 0.1:
        raise ValueError(f"Contour {number} leaves the slices of the dose grid by {tilt:.2g} mm; give contours on slices, or a surface.")
    return points


def _in_grid_frame(points_mm: ArrayLike, grid: Grid) -> Floats:
    """Points in mm along the axes of the grid (z, y, x) from its first voxel."""
    points = np.asarray(points_mm, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise ValueError(f"Points have shape {points.shape}; give finite x, y and z of each in mm.")
    in_frame: Floats = grid.index_from_world(points) * np.array(grid.spacing_zyx_mm)
    return in_frame


def _line_count(extent_mm: float, spacing_mm: float) -> int:
    return int(np.clip(np.ceil(2 * extent_mm / spacing_mm), _FEWEST_LINES, _MOST_LINES))


def _lines(values: Floats, spacing_mm: float) -> Floats:
    """Middles of equal parts of the extent: two a voxel of the dose, at least 48 and at most 160."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        raise ValueError("The structure is flat; give one with a volume.")
    count = _line_count(high - low, spacing_mm)
    return np.asarray(low + (np.arange(count) + 0.5) * ((high - low) / count), dtype=np.float64)


def _ranges(first: NDArray[np.intp], last: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All pairs (i, k) with first[i] <= k < last[i]."""
    counts = last - first
    owner = np.repeat(np.arange(counts.size), counts)
    return owner, np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts) + first[owner]


def _covered(starts: Floats, ends: Floats, sheet: NDArray[np.intp], sheets: int, rows: Floats, columns: Floats) -> Floats:
    """How much of each column (0 to 1) on each row of each sheet is inside closed outlines, given as segments (y, x) to (y, x); even-odd rule."""
    first, last = (np.searchsorted(rows, pick(starts[:, 0], ends[:, 0]), side="left") for pick in (np.minimum, np.maximum))
    segment, row = _ranges(first, last)
    (y0, x0), (y1, x1) = starts[segment].T, ends[segment].T
    x = x0 + (rows[row] - y0) / (y1 - y0) * (x1 - x0)
    line = sheet[segment] * rows.size + row
    order = np.lexsort((x, line))
    line, x = line[order], x[order]
    crossings = np.bincount(line, minlength=sheets * rows.size)
    if (crossings % 2).any():
        raise ValueError("The surface is not closed: a line enters it and never leaves; repair it, or give a mask.")
    is_entry = (np.arange(line.size) - (np.cumsum(crossings) - crossings)[line]) % 2 == 0
    sign = np.where(is_entry, 1.0, -1.0)
    width = columns[1] - columns[0]
    place = np.clip((x - columns[0]) / width + 0.5, 0, columns.size)
    column = np.minimum(place.astype(int), columns.size - 1)
    part = place - column
    size, stride = sheets * rows.size * (columns.size + 1), columns.size + 1
    change = np.bincount(line * stride + column, sign * (1 - part), size) + np.bincount(line * stride + column + 1, sign * part, size)
    covered: Floats = np.cumsum(change.reshape(sheets, rows.size, stride), axis=-1)[..., :-1]
    return covered


def _from_layers(grid: Grid, frame: Grid, covered: Floats, middles: Floats, thickness: float, rows: Floats, columns: Floats) -> Samples:
    sheet, row, column = np.nonzero(covered > 1e-9)
    if sheet.size == 0:
        raise ValueError("The structure encloses nothing; contour it, or leave it out.")
    cell = np.array([thickness, rows[1] - rows[0], columns[1] - columns[0]])
    volume_cc = covered[sheet, row, column] * (cell.prod() / MM3_PER_CC)
    places = np.stack([middles[sheet], rows[row], columns[column]], axis=-1) + cell * _scatter(sheet.size)
    places /= np.array(frame.spacing_zyx_mm)
    if frame is not grid:
        places = grid.index_from_world(frame.world_from_index(places))
    return Samples(places, volume_cc)


def _scatter(count: int) -> Floats:
    """Evenly scattered places (count, 3) in a cell, from -1/2 to 1/2.

    Samples in the middles of their cells would all have the same few doses where the dose changes along an axis, and their DVH would be a staircase.
    The sequence is that of Roberts, with the powers of 1 / 1.2207 (x⁴ = x + 1) as its steps.
    """
    steps = 1.2207440846057594 ** -np.arange(1.0, 4.0)
    places: Floats = (0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0 - 0.5
    return places


def _require_shape(what: str, shape: tuple[int, ...], grid: Grid) -> None:
    if shape != grid.shape:
        raise ValueError(f"The {what} has shape {shape} and its grid {grid.shape}; give the grid that it lies on.")
