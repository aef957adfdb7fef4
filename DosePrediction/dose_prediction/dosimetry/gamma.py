"""The gamma index of two doses in three dimensions (Low et al., Med Phys 25, 656-661, 1998).

For every point r of the reference dose, gamma is the smallest value over all points e of the evaluated dose of

    sqrt(|r - e|² / distance² + (D_evaluated(e) - D_reference(r))² / dose_difference²)

and the point passes with gamma <= 1.  The evaluated dose is taken as trilinear between its voxels, and the minimum is searched for inside each cell
of eight voxels, as Ju et al. (Med Phys 35, 879-887, 2008) do with tetrahedra, not at sampled points: no step size enters, and gamma is not too
large for want of samples.  Cells come in order of their distance; those that can hold no smaller value (by their distance, by the range of their
doses, by their steepest gradient) are passed over.

A cell in which the dose is far from linear may have several minima.  Such cells, where they can still hold a smaller value, are halved along every
axis again and again, as in branch and bound: the parts that can hold none are dropped, the others searched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Bound = np.float32 | Floats

# Working memory for each point that is searched at the same time, in bytes: about 40 float32 values.
_BYTES_PER_POINT = 160
_MOST_POINTS_AT_ONCE = 32768
# A cell is searched only if it can lower gamma by more than this.
_WORTH_SEARCHING = 0.004
# Steps of Newton's method in a whole cell, and in a part of one.
_STEPS_IN_CELL, _STEPS_IN_PARTS = 2, 3
# Cells whose dose is farther from linear than the first, in dose criteria, are halved, their parts farther than the second again, up to so often.
_LINEAR_ENOUGH, _LINEAR_PART, _MOST_HALVINGS = 0.25, 0.05, 8
# Working memory of a part of a halved cell, in the same measure as that of a point.
_POINTS_PER_PART = 4
_BOX_STEPS, _BRACKETED_STEPS = 2, 8


@dataclass(frozen=True)
class GammaCriteria:
    """Dose difference in percent, and distance.

    The percentage is of `normalisation_gy`, by default the largest reference dose; with `local`, of the reference dose at the point itself.  Points
    whose reference dose is below `threshold_percent` of the normalisation are not judged.  Gamma is searched for up to `max_gamma` and cut off there.

    >>> str(GammaCriteria(2, 2, local=True))
    'gamma 2 %/2 mm, local, from 10 % of the maximum dose'
    """

    dose_percent: float = 3.0
    distance_mm: float = 3.0
    local: bool = False
    threshold_percent: float = 10.0
    normalisation_gy: float | None = None
    max_gamma: float = 2.0

    def __post_init__(self) -> None:
        for name, unit in (("dose_percent", "%"), ("distance_mm", "mm"), ("max_gamma", "")):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ValueError(f"Gamma's {name} is {value:g} {unit}".rstrip() + "; give a number above 0, such as 3.")
        if self.max_gamma <= 1:
            raise ValueError(f"Gamma's max_gamma is {self.max_gamma:g}; give more than 1, or no point can be told to fail.")
        if not 0 <= self.threshold_percent <= 100:
            raise ValueError(f"Gamma's threshold is {self.threshold_percent:g} %; give 0 to 100.")
        if self.normalisation_gy is not None and not (np.isfinite(self.normalisation_gy) and self.normalisation_gy > 0):
            raise ValueError(f"Gamma's normalisation is {self.normalisation_gy:g} Gy; give a dose above 0.")

    def __str__(self) -> str:
        of = "the maximum dose" if self.normalisation_gy is None else f"{self.normalisation_gy:g} Gy"
        kind = "local" if self.local else "global"
        return f"gamma {self.dose_percent:g} %/{self.distance_mm:g} mm, {kind}, from {self.threshold_percent:g} % of {of}"


def gamma_index(
    reference_gy: ArrayLike,
    evaluated_gy: ArrayLike,
    spacing_zyx_mm: tuple[float, float, float],
    criteria: GammaCriteria | None = None,
    *,
    mask: NDArray[np.bool_] | None = None,
    memory_mb: float = 256.0,
    on_progress: Callable[[float], None] | None = None,
) -> Floats:
    """Gamma at every voxel of the reference dose, float32 (z, y, x); NaN where it is not judged (below the threshold, outside `mask`).

    Both doses lie on one grid.  `memory_mb` bounds the working memory beside the arrays themselves; `on_progress` hears the fraction done, from the
    thread that called, and ends the work by raising.  Raises ValueError.

    A dose that is 1 % of its maximum too high everywhere has gamma 1/3 at 3 %, where there is no gradient to make up for it:

    >>> dose = np.full((4, 4, 4), 60.0)
    >>> gamma = gamma_index(dose, 1.01 * dose, (2.5, 2.5, 2.5))
    >>> round(float(gamma.min()), 3), round(float(gamma.max()), 3), passing_percent(gamma)
    (0.333, 0.333, 100.0)
    """
    criteria = criteria or GammaCriteria()
    reference, evaluated = _checked(reference_gy, evaluated_gy, spacing_zyx_mm, mask, memory_mb)
    normalisation = float(reference.max()) if criteria.normalisation_gy is None else criteria.normalisation_gy
    judged = reference >= np.float32(criteria.threshold_percent / 100.0 * normalisation)
    if criteria.local:
        judged &= reference > 0
    if mask is not None:
        judged &= mask
    points = np.flatnonzero(judged)
    gamma = np.full(reference.size, np.nan, np.float32)
    if points.size == 0 or normalisation <= 0:
        return gamma.reshape(reference.shape)

    search = _Search(evaluated, spacing_zyx_mm, criteria)
    doses = reference.ravel()[points]
    per_gy = np.float32(100.0 / criteria.dose_percent) / (doses if criteria.local else np.full_like(doses, normalisation))
    workers = max(1, min(4, os.cpu_count() or 1))
    at_once = int(np.clip(memory_mb * 2**20 / (_BYTES_PER_POINT * workers), 256, _MOST_POINTS_AT_ONCE))
    blocks = [slice(start, start + at_once) for start in range(0, points.size, at_once)]

    def block_gamma(block: slice) -> Floats:
        return search.gamma(points[block], doses[block], per_gy[block])

    with ThreadPoolExecutor(workers) as pool:
        try:
            for done, (block, found) in enumerate(zip(blocks, pool.map(block_gamma, blocks), strict=True), start=1):
                gamma[points[block]] = found
                if on_progress is not None:
                    on_progress(done / len(blocks))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return gamma.reshape(reference.shape)


def passing_percent(gamma: ArrayLike) -> float:
    """Percent of the judged points with gamma up to 1; NaN if no point was judged."""
    values = np.asarray(gamma)
    judged = np.isfinite(values)
    count = int(np.count_nonzero(judged))
    return 100.0 * int(np.count_nonzero(values[judged] <= 1.0)) / count if count else float("nan")


def _checked(
    reference_gy: ArrayLike, evaluated_gy: ArrayLike, spacing_zyx_mm: tuple[float, float, float], mask: NDArray[np.bool_] | None, memory_mb: float
) -> tuple[Floats, Floats]:
    reference, evaluated = (np.ascontiguousarray(dose, dtype=np.float32) for dose in (reference_gy, evaluated_gy))
    if reference.ndim != 3 or reference.size == 0:
        raise ValueError(f"The reference dose has shape {reference.shape}; give a volume of slices, rows and columns.")
    for what, shape in (("evaluated dose", evaluated.shape), ("mask", reference.shape if mask is None else mask.shape)):
        if shape != reference.shape:
            raise ValueError(f"The {what} has shape {shape} and the reference dose {reference.shape}; resample it to the reference's grid.")
    if len(spacing_zyx_mm) != 3 or not all(np.isfinite(s) and s > 0 for s in spacing_zyx_mm):
        raise ValueError(f"The spacing is {spacing_zyx_mm} mm; give three numbers above 0.")
    if not memory_mb > 0:
        raise ValueError(f"The memory budget is {memory_mb:g} MB; give a number above 0.")
    for what, dose in (("reference", reference), ("evaluated", evaluated)):
        if not np.isfinite(dose).all():
            raise ValueError(f"The {what} dose has {np.count_nonzero(~np.isfinite(dose))} voxels that are no number; repair it.")
    return reference, evaluated


class _Search:
    """The cells of the evaluated dose with the range of their doses, and where they lie to a voxel in order of distance.

    Lengths are in units of the distance criterion throughout.
    """

    def __init__(self, evaluated: Floats, spacing_zyx_mm: tuple[float, float, float], criteria: GammaCriteria) -> None:
        # An axis of one voxel gets a second, equal one, so that there are cells; the dose does not change along it.
        padded = np.pad(evaluated, [(0, int(n == 1)) for n in evaluated.shape], mode="edge")
        self.dose = padded.ravel()
        self.shape, self.padded_shape = evaluated.shape, padded.shape
        self.edge: tuple[float, ...] = tuple(spacing / criteria.distance_mm for spacing in spacing_zyx_mm)
        self.largest = criteria.max_gamma
        corners = [padded[tuple(slice(c, n - 1 + c) for c, n in zip(corner, padded.shape, strict=True))] for corner in product((0, 1), repeat=3)]
        low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
        gradient2 = np.zeros_like(low)
        for axis, step in enumerate((4, 2, 1)):
            steepest = np.maximum.reduce([np.abs(corners[i + step] - corners[i]) for i in range(8) if not i & step])
            gradient2 += (steepest / np.float32(self.edge[axis])) ** 2
        bend = _from_linear(corners)
        # Beyond the edge of the grid lie cells that nothing is found in.
        self.reach = tuple(int(np.ceil(self.largest / edge)) + 1 for edge in self.edge)
        margin = [(reach, reach) for reach in self.reach]
        self.low = np.pad(low, margin, constant_values=np.inf).ravel()
        self.high = np.pad(high, margin, constant_values=-np.inf).ravel()
        self.gradient2, self.bend = np.pad(gradient2, margin).ravel(), np.pad(bend, margin).ravel()
        self.cell_shape = tuple(n - 1 + 2 * reach for n, reach in zip(padded.shape, self.reach, strict=True))
        self.offsets = self._offsets()
        self.corner_steps = [int(np.ravel_multi_index(corner, padded.shape)) for corner in product((0, 1), repeat=3)]

    def _offsets(self) -> list[tuple[float, tuple[int, ...]]]:
        """Squared distance from a voxel to each cell around it, and the cell's first corner from it, nearest cells first."""
        found = []
        for offset in product(*(range(-reach, reach) for reach in self.reach)):
            gaps = [(o if o >= 0 else -1 - o) * edge for o, edge in zip(offset, self.edge, strict=True)]
            distance2 = sum(gap * gap for gap in gaps)
            if distance2 < self.largest**2:
                found.append((distance2, offset))
        return sorted(found)

    def gamma(self, points: NDArray[np.intp], doses: Floats, per_gy: Floats) -> Floats:
        """Gamma of the points (flat indices on the reference), whose dose difference criterion is 1 / `per_gy`."""
        index = np.unravel_index(points, self.shape)
        voxel = np.ravel_multi_index(index, self.padded_shape)
        cell = np.ravel_multi_index(tuple(i + reach for i, reach in zip(index, self.reach, strict=True)), self.cell_shape)
        here2 = ((self.dose[voxel] - doses) * per_gy) ** 2
        best2 = np.minimum(here2, np.float32(self.largest**2))
        open_points: NDArray[np.intp] = np.arange(points.size)
        last_distance2 = 0.0
        bent: list[tuple[NDArray[np.intp], Floats, int]] = []
        for number, (distance2, offset) in enumerate(self.offsets):
            if distance2 > last_distance2:
                last_distance2 = distance2
                open_points = open_points[_worth(best2[open_points]) > distance2]
                if open_points.size == 0:
                    break
            cell_step = int(np.dot(offset, [self.cell_shape[1] * self.cell_shape[2], self.cell_shape[2], 1]))
            cells, dose, scale = cell[open_points] + cell_step, doses[open_points], per_gy[open_points]
            gap = np.maximum(np.maximum(self.low[cells] - dose, dose - self.high[cells]), 0) * scale
            lower2 = gap * gap + np.float32(distance2)
            if distance2 == 0:
                # These cells hold the voxel itself: the dose in them cannot change faster than their steepest gradient allows.
                lower2 = np.maximum(lower2, here2[open_points] / (1 + self.gradient2[cells] * scale * scale))
            promising = np.flatnonzero(lower2 < _worth(best2[open_points]))
            if promising.size:
                searched = open_points[promising]
                corners = self._corners(voxel[searched], offset)
                lows = [np.float32(o * edge) for o, edge in zip(offset, self.edge, strict=True)]
                found = _smallest_in_cell(lows, self.edge, corners, dose[promising], scale[promising], _STEPS_IN_CELL)
                best2[searched] = np.minimum(best2[searched], found)
                far = promising[self.bend[cells[promising]] * scale[promising] > _LINEAR_ENOUGH]
                bent.append((open_points[far], lower2[far], number))
        self._halve(bent, voxel, doses, per_gy, best2)
        return np.sqrt(best2)

    def _corners(self, voxel: NDArray[np.intp], offset: tuple[int, ...]) -> list[Floats]:
        step = int(np.dot(offset, [self.padded_shape[1] * self.padded_shape[2], self.padded_shape[2], 1]))
        return [self.dose[voxel + (step + corner)] for corner in self.corner_steps]

    def _halve(self, bent: list[tuple[NDArray[np.intp], Floats, int]], voxel: NDArray[np.intp], doses: Floats, per_gy: Floats, best2: Floats) -> None:
        """Lower `best2` where a part of a `bent` cell (points, bounds from below, number of the offset) holds less."""
        left = [(point[keep], number) for point, lower2, number in bent for keep in [lower2 < _worth(best2[point])]]
        point = np.concatenate([part for part, _ in left] or [np.zeros(0, np.intp)])
        offset = np.repeat([number for _, number in left], [part.size for part, _ in left])
        # All cells of a point are halved together, so that its gamma does not depend on which other points are searched with it.
        order = np.argsort(point, kind="stable")
        first = np.searchsorted(point[order], point[order])
        at_once = max(doses.size // (8 * _POINTS_PER_PART), 1)
        for group in np.split(order, np.flatnonzero(np.diff(first // at_once)) + 1) if order.size else []:
            self._halve_cells(point[group], offset[group], voxel, doses, per_gy, best2)

    def _halve_cells(
        self, point: NDArray[np.intp], number: NDArray[np.intp], voxel: NDArray[np.intp], doses: Floats, per_gy: Floats, best2: Floats
    ) -> None:
        offsets = np.array([offset for _, offset in self.offsets])[number]
        steps = offsets @ [self.padded_shape[1] * self.padded_shape[2], self.padded_shape[2], 1]
        corners = np.stack([self.dose[voxel[point] + steps + corner] for corner in self.corner_steps])
        edge = np.array(self.edge, np.float32)
        lows = (offsets * edge).T.astype(np.float32)
        for _ in range(_MOST_HALVINGS):
            edge = edge * np.float32(0.5)
            point, corners, lows = np.tile(point, 8), _halves(corners), _half_lows(lows, edge)
            nearest = np.clip(0, lows, lows + edge[:, None])
            dose, scale = doses[point], per_gy[point]
            gap = np.maximum(np.maximum(corners.min(axis=0) - dose, dose - corners.max(axis=0)), 0) * scale
            kept = np.flatnonzero((nearest * nearest).sum(axis=0) + gap * gap < _worth(best2[point]))
            if kept.size == 0:
                break
            point, corners, lows = point[kept], corners[:, kept], lows[:, kept]
            dose, scale = dose[kept], scale[kept]
            np.minimum.at(best2, point, _smallest_in_cell(list(lows), tuple(edge), list(corners), dose, scale, _STEPS_IN_PARTS))
            bent = _from_linear(corners) * scale > _LINEAR_PART
            point, corners, lows = point[bent], corners[:, bent], lows[:, bent]


def _worth(best2: Floats) -> Floats:
    """The gamma² that a cell must be able to go below, where the smallest so far is `best2`."""
    return np.asarray(np.maximum(np.sqrt(best2) - np.float32(_WORTH_SEARCHING), 0) ** 2)


def _from_linear(corners: Sequence[Floats] | Floats) -> Floats:
    """The mixed terms of a trilinear dose, summed: how far it is from linear within its cell."""
    c000, c001, c010, c011, c100, c101, c110, c111 = corners
    zy, zx, yx = c110 - c100 - c010 + c000, c101 - c100 - c001 + c000, c011 - c010 - c001 + c000
    return np.asarray(np.abs(zy) + np.abs(zx) + np.abs(yx) + np.abs(c111 - c110 - c101 - c011 + c100 + c010 + c001 - c000))


def _halves(corners: Floats) -> Floats:
    """The corners (8, 8 n) of the eight parts of cells with corners (8, n), first part of all cells first."""
    grid = corners.reshape(2, 2, 2, -1)
    for axis in range(3):
        first, last = np.take(grid, 0, axis), np.take(grid, 1, axis)
        grid = np.stack([first, (first + last) / 2, last], axis)
    parts = [grid[z : z + 2, y : y + 2, x : x + 2].reshape(8, -1) for z, y, x in product((0, 1), repeat=3)]
    return np.concatenate(parts, axis=1)


def _half_lows(lows: Floats, edge: Floats) -> Floats:
    """Where these parts begin: (3, 8 n) from (3, n), with the parts' `edge`."""
    return np.concatenate([lows + (edge * np.array(part, np.float32))[:, None] for part in product((0, 1), repeat=3)], axis=1)


def _smallest_in_cell(
    lows: Sequence[Bound], edges: Sequence[float | np.float32], corners: list[Floats], dose: Floats, per_gy: Floats, steps: int
) -> Floats:
    """The smallest gamma² inside a cell that begins at `lows` from the voxel and is `edges` wide, in distance criteria.

    With v the place from the voxel and the dose linear around the current place, (D - D_reference) / criterion is s + q·v: gamma² is
    |v|² + (s + q·v)², smallest within the cell.  `steps` steps, each with the dose linear around the last place; the smallest value counts.
    """
    # Trilinear dose in (D - D_reference) / criterion, as a polynomial in the place t (0 to 1) inside the cell.
    c000, c001, c010, c011, c100, c101, c110, c111 = corners
    c = (c000 - dose) * per_gy
    z, y, x = (c100 - c000) * per_gy, (c010 - c000) * per_gy, (c001 - c000) * per_gy
    zy, zx, yx = (c110 - c100 - c010 + c000) * per_gy, (c101 - c100 - c001 + c000) * per_gy, (c011 - c010 - c001 + c000) * per_gy
    zyx = (c111 - c110 - c101 - c011 + c100 + c010 + c001 - c000) * per_gy
    edges = [np.float32(edge) for edge in edges]
    highs = [low + edge for low, edge in zip(lows, edges, strict=True)]
    place: list[Any] = [np.clip(np.float32(0), low, high) for low, high in zip(lows, highs, strict=True)]
    smallest = np.full_like(c, np.inf)
    for step in range(steps + 1):
        tz, ty, tx = ((v - low) / edge for v, low, edge in zip(place, lows, edges, strict=True))
        value = c + z * tz + (y + zy * tz) * ty + (x + zx * tz + (yx + zyx * tz) * ty) * tx
        np.minimum(smallest, value * value + place[0] ** 2 + place[1] ** 2 + place[2] ** 2, out=smallest)
        if step == steps:
            break
        q = [
            (z + zy * ty + (zx + zyx * ty) * tx) / edges[0],
            (y + zy * tz + (yx + zyx * tz) * tx) / edges[1],
            (x + zx * tz + (yx + zyx * tz) * ty) / edges[2],
        ]
        place = _smallest_in_box(value - q[0] * place[0] - q[1] * place[1] - q[2] * place[2], q, lows, highs)
    return smallest


def _smallest_in_box(s: Floats, q: list[Floats], lows: Sequence[Bound], highs: Sequence[Bound]) -> list[Floats]:
    """Where |v|² + (s + q·v)² is smallest with each v between its low and high.

    There, with m = s + q·v, each v is -q m held between its bounds; what that leaves, m - s - q·v(m), rises with m in straight pieces, and Newton's
    method finds its zero.  Where it has not after a few steps, it goes on with the zero kept between bounds.
    """
    m = s / (1 + q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
    for _ in range(_BOX_STEPS):
        left, slope = _left_and_slope(m, s, q, lows, highs)
        m = m - left / slope
    left, _ = _left_and_slope(m, s, q, lows, highs)
    unsolved = np.flatnonzero(np.abs(left) > 0.02)
    if unsolved.size:
        there = [[np.broadcast_to(bound, s.shape)[unsolved] for bound in bounds] for bounds in (lows, highs)]
        m[unsolved] = _bracketed(s[unsolved], [component[unsolved] for component in q], *there)
    return [np.clip(-component * m, low, high) for component, low, high in zip(q, lows, highs, strict=True)]


def _bracketed(s: Floats, q: list[Floats], lows: Sequence[Bound], highs: Sequence[Bound]) -> Floats:
    ends = [(component * low, component * high) for component, low, high in zip(q, lows, highs, strict=True)]
    least, most = (s + sum(pick(*pair) for pair in ends) for pick in (np.minimum, np.maximum))
    m = (least + most) / 2
    for _ in range(_BRACKETED_STEPS):
        left, slope = _left_and_slope(m, s, q, lows, highs)
        least, most = np.where(left <= 0, m, least), np.where(left >= 0, m, most)
        step = m - left / slope
        m = np.where((step > least) & (step < most), step, (least + most) / 2)
    result: Floats = m
    return result


def _left_and_slope(m: Floats, s: Floats, q: list[Floats], lows: Sequence[Bound], highs: Sequence[Bound]) -> tuple[Floats, Floats]:
    left, slope = m - s, np.ones_like(m)
    for component, low, high in zip(q, lows, highs, strict=True):
        free = -component * m
        held = np.clip(free, low, high)
        left -= component * held
        slope += np.where(free == held, component * component, np.float32(0))
    return left, slope
