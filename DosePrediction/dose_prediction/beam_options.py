"""The options of the command line that say with which beams a case is planned."""

from __future__ import annotations

import argparse
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dose_prediction.case import TEMPLATES, Arc, Beam, CaseError, CaseWarning, check_beams, parse_beams, template_named, with_leaf_width

if TYPE_CHECKING:
    from dose_prediction.case_files import OpenedCase


def add_beam_options(command: argparse.ArgumentParser) -> None:
    """Options that take the place of what a case says of its beams."""
    beams = command.add_mutually_exclusive_group()
    beams.add_argument(
        "--beams",
        metavar="LIST",
        help='gantry angles in degrees such as "0,40,...,320"; arcs such as "arc 181-179 cw, arc 179-181 ccw"; couch and collimator follow '
        'after slashes, as in "30/90" or "arc 181-179 cw/0/30"',
    )
    beams.add_argument("--template", metavar="NAME", help=f"a usual beam set: {', '.join(repr(template.name) for template in TEMPLATES)}")
    command.add_argument("--energy", metavar="MV", help="energy of all beams, such as 6 or 10; 6FFF for 6 MV without flattening filter")
    command.add_argument("--leaf-width", type=float, metavar="MM", help="width of the collimator's leaves, 5 or 10 (default: the case's, else 5)")
    command.add_argument(
        "--isocentre",
        type=float,
        nargs=3,
        metavar=("X", "Y", "Z"),
        help="isocentre in mm, LPS (default: the case's, else the targets' centre)",
    )


def beams_of(options: argparse.Namespace) -> tuple[Beam | Arc, ...] | None:
    """The beams that the options give; None where they give none.  Raises CaseError for options that make no sense."""
    if options.energy is not None:
        _energy(options.energy)
    if options.leaf_width is not None:
        Beam(0.0, leaf_width_mm=options.leaf_width)
    if options.template is not None:
        return template_named(options.template).beams
    return parse_beams(options.beams) if options.beams is not None else None


def open_planned(path: Path, options: argparse.Namespace) -> OpenedCase:
    """The case at `path` with beams, energy, leaves and isocentre of the options; issues a CaseWarning for beams that should be looked at twice."""
    from dose_prediction.case_files import open_case

    opened = open_case(path, beams=beams_of(options))
    case = opened.case
    if options.energy is not None:
        energy_mv, is_flattened = _energy(options.energy)
        case = case.with_beams(tuple(replace(beam, energy_mv=energy_mv, is_flattened=is_flattened) for beam in case.beams))
    if options.leaf_width is not None:
        case = case.with_beams(with_leaf_width(case.beams, options.leaf_width))
    if options.isocentre is not None:
        x, y, z = options.isocentre
        case = case.with_isocentre((x, y, z))
    for sentence in check_beams(case.beams):
        warnings.warn(sentence, CaseWarning, stacklevel=2)
    if case is opened.case or opened.dicom is None:
        return replace(opened, case=case)
    # A dose of other beams than its plan's does not belong to that plan.
    return replace(opened, case=case, dicom=replace(opened.dicom, plan_uid=None))


def _energy(text: str) -> tuple[float, bool]:
    """Energy in MV and whether the beam is flattened.

    >>> _energy("10 FFF")
    (10.0, False)
    """
    found = re.fullmatch(r"(\d+\.?\d*)\s*(MV)?\s*(FFF)?", text.strip(), re.IGNORECASE)
    if found is None:
        raise CaseError(f"Energy {text!r} cannot be read; give MV, such as 6 or 6FFF.")
    return float(found[1]), found[3] is None
