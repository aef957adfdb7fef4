"""A dose in one picture: three planes through the targets with dose wash and contours, and the DVH."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from dose_prediction.case import Grid, PlanCase

Volume = NDArray[Any]

CT_WINDOW_HU = (-160.0, 240.0)
# The wash starts at this part of the highest prescription and ends above it, so that hot spots stand out.
WASH_FROM, WASH_TO = 0.05, 1.1
MARGIN_MM = 15.0
TARGET_COLOURS = ("#d62728", "#ff7f0e", "#e377c2", "#8c1d40")
ORGAN_COLOURS = ("#1f77b4", "#2ca02c", "#17becf", "#9467bd", "#bcbd22", "#8c564b", "#00a884", "#4c5bd4", "#7f7f7f", "#b0e000")


def write_picture(path: Path, case: PlanCase, dose_gy: Volume, axis_gy: Volume, curves: Mapping[str, Volume]) -> None:
    """Draw `dose_gy` (z, y, x, on the grid of `case`) as a PNG file; `curves` is the volume in percent over `axis_gy`, by structure name."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 9.5), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    colours = structure_colours(case)
    highest_gy = case.targets[0].role.prescription_gy or float(dose_gy.max())
    halves = figure.add_gridspec(2, 1, height_ratios=(1.3, 1))
    upper, lower = figure.add_subfigure(halves[0, 0]), figure.add_subfigure(halves[1, 0])
    pictures = list(planes(case, dose_gy))
    places = upper.add_gridspec(1, len(pictures), width_ratios=[plane.width_mm / plane.height_mm for plane in pictures])
    washes = [_draw_plane(upper.add_subplot(places[0, i]), plane, colours, highest_gy) for i, plane in enumerate(pictures)]
    upper.colorbar(washes[0], ax=upper.axes, shrink=0.9, label="Dose [Gy]")
    _draw_dvh(lower.add_subplot(), axis_gy, curves, colours)
    figure.suptitle(f"{case.name}: predicted dose (research software, not for clinical use)", fontsize=12)
    figure.savefig(path, dpi=100)


def structure_colours(case: PlanCase) -> dict[str, str]:
    """A colour for each target and organ, by name: warm ones for targets."""
    colours = {s.name: TARGET_COLOURS[i % len(TARGET_COLOURS)] for i, s in enumerate(case.targets)}
    return colours | {s.name: ORGAN_COLOURS[i % len(ORGAN_COLOURS)] for i, s in enumerate(case.organs)}


@dataclass(frozen=True, eq=False)
class Plane:
    """One picture: arrays (rows, columns) from top to bottom and left to right, their size, and the letters of the left and the right side."""

    title: str
    ct_hu: Volume
    dose_gy: Volume
    masks: dict[str, Volume]
    height_mm: float
    width_mm: float
    sides: tuple[str, str]


def planes(case: PlanCase, dose_gy: Volume) -> Iterator[Plane]:
    """Axial, coronal and sagittal plane through the centre of the targets, cropped to the body."""
    turn = _Turn(case.grid)
    body = turn(case.body)
    targets = turn(np.logical_or.reduce([target.mask for target in case.targets]))
    z, y, x = (int(i) for i in np.rint(np.argwhere(targets).mean(axis=0)))
    ct, dose = turn(case.ct_hu), turn(dose_gy)
    masks = {structure.name: turn(structure.mask) for structure in (*case.targets, *case.organs)}
    shown = body | targets
    for title, axis, at, sides in (("Axial", 0, z, ("R", "L")), ("Coronal", 1, y, ("R", "L")), ("Sagittal", 2, x, ("A", "P"))):
        row_mm, column_mm = np.delete(turn.spacing_mm, axis)
        rows, columns = _extents(np.take(shown, at, axis), (row_mm, column_mm))
        if title != "Axial":  # posterior is down in an axial plane, superior is up in the others
            rows = slice(rows.stop - 1, rows.start - 1 if rows.start else None, -1)
        index: tuple[Any, ...] = ((at, rows, columns), (rows, at, columns), (rows, columns, at))[axis]
        height, width = ct[index].shape
        yield Plane(title, ct[index], dose[index], {name: mask[index] for name, mask in masks.items()}, height * row_mm, width * column_mm, sides)


class _Turn:
    """Turns arrays of a grid so that their axes run, as nearly as voxels allow, to superior, posterior and the patient's left."""

    def __init__(self, grid: Grid) -> None:
        directions = np.asarray(grid.direction)[::-1, ::-1]  # row: patient axis z, y, x; column: array axis z, y, x
        order: list[int] = []
        for row in np.abs(directions):
            order.append(int(np.argmax(np.where(np.isin(range(3), order), -1.0, row))))
        self._order = tuple(order)
        self._steps = tuple(slice(None, None, -1 if directions[row, axis] < 0 else 1) for row, axis in enumerate(order))
        self.spacing_mm = tuple(grid.spacing_zyx_mm[axis] for axis in order)

    def __call__(self, array: Volume) -> Volume:
        return array.transpose(self._order)[self._steps]


def _extents(plane: Volume, spacing_mm: tuple[float, float]) -> list[slice]:
    """The rows and the columns of a plane that hold its mask, with a margin."""
    slices = []
    for axis in range(2):
        inside = np.flatnonzero(plane.any(axis=1 - axis))
        margin = int(np.ceil(MARGIN_MM / spacing_mm[axis]))
        slices.append(slice(max(int(inside[0]) - margin, 0), min(int(inside[-1]) + margin + 1, plane.shape[axis])))
    return slices


def _draw_plane(axes: Axes, plane: Plane, colours: Mapping[str, str], highest_gy: float) -> AxesImage:
    """CT in grey, dose over it, contours on top; returns the wash for the colour bar."""
    axes.set_title(plane.title)
    axes.set_facecolor("black")
    extent = (0.0, plane.width_mm, plane.height_mm, 0.0)
    axes.imshow(plane.ct_hu, cmap="gray", vmin=CT_WINDOW_HU[0], vmax=CT_WINDOW_HU[1], extent=extent, interpolation="bilinear")
    shown = np.ma.masked_less(plane.dose_gy, WASH_FROM * highest_gy)
    wash = axes.imshow(shown, cmap="turbo", vmin=0, vmax=WASH_TO * highest_gy, extent=extent, alpha=0.55, interpolation="nearest")
    rows, columns = plane.ct_hu.shape
    x = (np.arange(columns) + 0.5) * plane.width_mm / columns
    y = (np.arange(rows) + 0.5) * plane.height_mm / rows
    for name, mask in plane.masks.items():
        if mask.any() and min(mask.shape) > 1:
            axes.contour(x, y, mask.astype(np.float32), levels=[0.5], colors=[colours[name]], linewidths=1.4)
    for position, side in zip((0.03, 0.97), plane.sides, strict=True):
        axes.text(position, 0.5, side, transform=axes.transAxes, color="white", ha="center", va="center", fontsize=11)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    return wash


def _draw_dvh(axes: Axes, axis_gy: Volume, curves: Mapping[str, Volume], colours: Mapping[str, str]) -> None:
    for name, volume_percent in curves.items():
        axes.plot(axis_gy, volume_percent, color=colours.get(name, "black"), linewidth=1.6, label=name)
    axes.set_xlabel("Dose [Gy]")
    axes.set_ylabel("Volume [%]")
    axes.set_xlim(0, float(axis_gy[-1]))
    axes.set_ylim(0, 102)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
