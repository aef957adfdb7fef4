"""A structure that is known on slices, rounded off between them and beyond the first and the last.

The area of a section is taken as a parabola through three neighbouring slices.  It is one in every prism, cylinder, cone, pyramid, sphere and
ellipsoid (that is why the prismoidal formula, Simpson's rule, gives their volumes), so they come out right wherever the slices lie.  The outline of
a section is interpolated between the slices' signed distances (Raya and Udupa, IEEE Trans Med Imaging 9, 32-42, 1990), at the level that gives
that area.

Beyond the last slice, and below the first, the parabola goes on.  Where it comes to nothing before the next slice, the structure tapers to that
point; where it does not, the structure ends in a flat face half-way: all that is known is that the next slice is empty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_APART = 1e6  # in mm: farther from each other than anything within a slice


@dataclass(frozen=True)
class End:
    """What lies beyond the first or the last slice: the area at t mm is `area` + `slope` t + `bend` t², up to `turn_mm` and constant from there."""

    area: float
    slope: float
    bend: float
    turn_mm: float
    reach_mm: float

    def areas(self, beyond_mm: Floats) -> Floats:
        t = np.minimum(beyond_mm, self.turn_mm)
        return np.maximum(self.area + self.slope * t + self.bend * t * t, 0.0)


def structure_end(inwards_mm: Floats, areas: Floats, gap_mm: float, tapers: bool = True) -> End:
    """The end before slices at `inwards_mm` (0 first, then rising) with their areas; `gap_mm` away lies the next slice, empty.

    A shrinking section does not grow again beyond the last slice.  Without `tapers` the end is flat: beyond the edge of its grid
    nobody knows of a next slice.

    >>> structure_end(np.array([0.0, 2.0, 4.0]), np.array([9.0, 9.0, 9.0]), 2.0).reach_mm  # a prism
    1.0
    >>> structure_end(np.array([0.0, 2.0, 4.0]), np.array([5.0, 9.0, 5.0]), 2.0).reach_mm  # a sphere of radius 3, but for the factor pi
    1.0
    """
    slope = bend = 0.0
    turn_mm = np.inf
    if areas.size > 1:
        slope = first_slope = float((areas[0] - areas[1]) / inwards_mm[1])
        if areas.size > 2:
            bend = float((first_slope - (areas[1] - areas[2]) / (inwards_mm[2] - inwards_mm[1])) / inwards_mm[2])
            slope += bend * float(inwards_mm[1])
            if first_slope < 0 < bend:
                turn_mm = max(-slope / (2 * bend), 0.0)
    vanishing = np.roots([bend, slope, float(areas[0])])
    ahead = [float(root) for root in vanishing.real[np.isreal(vanishing)] if 0 <= root <= min(gap_mm, turn_mm)]
    return End(float(areas[0]), slope, bend, turn_mm, min(ahead) if tapers and ahead else gap_mm / 2)


def sections(
    distance: Floats, areas: Floats, planes_mm: Floats, ends: tuple[End, End], cell_mm: tuple[float, float], layers: int
) -> tuple[Floats, Floats, float]:
    """Sections of a structure between and beyond its slices: how much of each cell they cover (0 to 1), their heights in mm and their thickness.

    `distance` (planes, rows, columns) is the signed distance from the outline at the cells of `cell_mm` on each slice, `areas` are those of the
    slices in mm²; there are `layers` sections a slice.
    """
    low, high = planes_mm[0] - ends[0].reach_mm, planes_mm[-1] + ends[1].reach_mm
    count = layers * planes_mm.size
    heights = low + (np.arange(count) + 0.5) * ((high - low) / count)
    below = np.clip(np.searchsorted(planes_mm, heights) - 1, 0, max(planes_mm.size - 2, 0))
    above = np.minimum(below + 1, planes_mm.size - 1)
    part = np.clip((heights - planes_mm[below]) / np.maximum(planes_mm[above] - planes_mm[below], 1e-9), 0, 1)
    between = distance[below] * (1 - part)[:, None, None] + distance[above] * part[:, None, None]
    cells = _areas(heights, below, part, areas, planes_mm, ends) / (cell_mm[0] * cell_mm[1])
    return _at_areas(between, cells, float(np.mean(cell_mm))), heights, (high - low) / count


def signed_distance(inside: NDArray[np.bool_], cell_mm: tuple[float, float]) -> Floats:
    """Distance in mm from the outline within each slice (planes, rows, columns), positive inside; no slice may be empty or full."""
    from scipy.ndimage import distance_transform_edt

    sampling = (_APART, *cell_mm)
    within, without = (distance_transform_edt(part, sampling=sampling) for part in (inside, ~inside))
    half = float(np.mean(cell_mm)) / 2
    distance: Floats = np.where(inside, within - half, half - without)
    return distance


def to_outlines(distance: Floats, starts: Floats, ends: Floats, owner: NDArray[np.intp], rows: Floats, columns: Floats) -> Floats:
    """A signed distance whose cells near the outline are measured to the outline itself: segments (y, x) to (y, x), each of the plane `owner`."""
    from scipy.spatial import cKDTree

    cell_mm = float(min(rows[1] - rows[0], columns[1] - columns[0]))
    counts = np.maximum(np.ceil(np.linalg.norm(ends - starts, axis=1) / cell_mm), 1).astype(int)
    segment = np.repeat(np.arange(counts.size), counts)
    part = (np.arange(segment.size) - np.repeat(np.cumsum(counts) - counts, counts) + 0.5) / counts[segment]
    samples = starts[segment] + part[:, None] * (ends - starts)[segment]
    plane, row, column = np.nonzero(np.abs(distance) < 2 * cell_mm)
    places = np.column_stack([rows[row], columns[column]])
    tree = cKDTree(np.column_stack([owner[segment] * _APART, samples]))
    nearest = segment[tree.query(np.column_stack([plane * _APART, places]))[1]]
    along, offset = (ends - starts)[nearest], places - starts[nearest]
    reach = np.clip((along * offset).sum(axis=1) / np.maximum((along * along).sum(axis=1), 1e-12), 0, 1)
    refined = distance.copy()
    refined[plane, row, column] = np.copysign(np.linalg.norm(offset - reach[:, None] * along, axis=1), distance[plane, row, column])
    return refined


def _areas(heights: Floats, below: NDArray[np.intp], part: Floats, areas: Floats, planes_mm: Floats, ends: tuple[End, End]) -> Floats:
    """Between two slices, the parabolas through either and its neighbours pass into each other."""
    if planes_mm.size < 3:
        found = np.interp(heights, planes_mm, areas)
    else:
        found = np.zeros_like(heights)
        for weight, middle in ((1 - part, below), (part, below + 1)):
            i = np.clip(middle, 1, planes_mm.size - 2)
            (z0, z1, z2), (a0, a1, a2) = (np.stack([values[i - 1], values[i], values[i + 1]]) for values in (planes_mm, areas))
            first, second = (a1 - a0) / (z1 - z0), (a2 - a1) / (z2 - z1)
            found += weight * (a1 + (heights - z1) * (first + (second - first) / (z2 - z0) * (heights - z0)))
    for end, beyond_mm in ((ends[0], planes_mm[0] - heights), (ends[1], heights - planes_mm[-1])):
        found = np.where(beyond_mm > 0, end.areas(np.maximum(beyond_mm, 0)), found)
    return np.maximum(found, 0.0)


def _at_areas(distance: Floats, cells: Floats, cell_mm: float) -> Floats:
    """Cover of the cells (0 to 1) within the level of each section's signed distance that holds this many `cells`."""
    flat = distance.reshape(cells.size, -1)
    rising = np.sort(flat, axis=1)
    place = np.clip(flat.shape[1] - cells - 0.5, 0, flat.shape[1] - 1)
    lower = np.minimum(place.astype(int), flat.shape[1] - 2)
    row = np.arange(cells.size)
    level = rising[row, lower] + (place - lower) * (rising[row, lower + 1] - rising[row, lower])
    cover = np.clip((flat - level[:, None]) / cell_mm + 0.5, 0, 1)
    cover *= (cells / cover.sum(axis=1))[:, None]
    return cover.reshape(distance.shape)
