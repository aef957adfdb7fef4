"""A head-and-neck phantom, drawn from simple solids: the demonstration case that needs no patient.

Dimensions are those of an adult (mm); x runs to the patient's left, y to posterior, z to superior, with z = 0 at the height of the third cervical
vertebra.  The plan is a common one: a carcinoma of the right tonsil with nodes, in three dose levels of 70, 63 and 56 Gy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from dose_prediction.anatomies.solids import (
    AIR,
    CORTICAL_BONE,
    FAT,
    FLUID,
    LUNG,
    MUSCLE,
    SKIN,
    SPONGY_BONE,
    Field,
    Mask,
    Point,
    Space,
    bent_space,
    blend,
    scanned,
)
from dose_prediction.case import Grid, PlanCase, Structure, equispaced_beams, recognise

Paint = Callable[[Mask, float], Mask]

GRID = Grid((110, 112, 160), origin_mm=(-238.5, -151.5, -150.0), spacing_mm=(3.0, 3.0, 3.0))
SKIN_TO_TARGET_MM = 3.0

# CT numbers in HU.
BRAIN, GLAND, TOOTH, DISC, CARTILAGE, VESSEL, THYROID = 36.0, -15.0, 1700.0, 90.0, 160.0, 140.0, 110.0


def head_and_neck_phantom(seed: int = 0) -> PlanCase:
    """The phantom as a case with nine beams; another seed gives another patient of the same build.  The same seed gives the same case."""
    generator = np.random.default_rng(seed)
    space = bent_space(GRID, generator)
    anatomy = _anatomy(space)
    masks = {
        "External": anatomy.body,
        "Brainstem": anatomy.brainstem,
        "SpinalCord": anatomy.cord,
        "Parotid_L": anatomy.parotid_left,
        "Parotid_R": anatomy.parotid_right,
        "Esophagus": anatomy.esophagus,
        "Larynx": anatomy.larynx,
        "Bone_Mandible": anatomy.mandible,
        **_targets(space, anatomy),
    }
    structures = tuple(Structure(name, recognise(name), mask) for name, mask in masks.items())
    return PlanCase("Head and neck phantom", GRID, scanned(anatomy.hu, anatomy.body, GRID, generator), structures, equispaced_beams(9))


@dataclass(frozen=True, eq=False)
class _Anatomy:
    hu: Field
    body: Mask
    depth_mm: Field
    airway: Mask
    canal: Mask
    cord: Mask
    brainstem: Mask
    parotid_left: Mask
    parotid_right: Mask
    esophagus: Mask
    larynx: Mask
    mandible: Mask


# The cord's way from the brainstem down, and what runs in front of it.
_CORD: list[Point] = [(0, 31, 36), (0, 35, 0), (0, 40, -50), (0, 47, -95), (0, 60, -160)]
_AIRWAY: list[Point] = [(0, -12, 60), (0, -8, 32), (0, -12, 4), (0, -19, -22), (0, -21, -38), (0, -18, -60), (0, -12, -95), (0, 2, -160)]
_ESOPHAGUS: list[Point] = [(2, 3, -54), (4, 7, -95), (6, 21, -160)]
_MANDIBLE: list[Point] = [(0, -84, -16), (20, -76, -14), (35, -50, -9), (45, -16, -2), (48, -8, 18), (50, -4, 46)]


def _anatomy(s: Space) -> _Anatomy:
    head = s.ellipsoid((0, 8, 98), (75, 94, 76))
    skin = _body_surface(s, head)
    body = skin < 0
    hu = np.full(GRID.shape, AIR, dtype=np.float32)

    def paint(mask: Mask, value: float) -> Mask:
        hu[mask & body] = value
        return mask & body

    fat_mm = np.where(s.z < -70, 11, 5) + np.clip(-s.z - 60, 0, 60) * 0.05
    paint(body, SKIN)
    paint(skin < -2.5, FAT)
    paint(skin < -2.5 - fat_mm, MUSCLE)
    _paint_soft_tissue(s, paint, skin)
    brainstem = _paint_head(s, paint, head)
    canal, cord = _paint_spine(s, paint)
    _paint_chest(s, paint, skin)

    airway_tube = s.tube(_AIRWAY, [10, 9, 9, 8, 5, 8, 9, 9], flatness=1.25)
    larynx = paint(s.ellipsoid((0, -20, -38), (20, 18, 21)) < 0, MUSCLE)
    shield = np.abs(s.ellipsoid((0, -16, -36), (19, 20, 24))) < 1.8
    paint(shield & (s.y < -12) & (np.abs(s.z + 36) < 16), CARTILAGE + 120)
    paint(np.abs(s.tube([(0, -20, -52), (0, -18, -58)], [12, 12])) < 2, CARTILAGE)
    esophagus = paint(s.tube(_ESOPHAGUS, [7, 7.5, 8], flatness=1.2) < 0, 35)
    airway = paint(airway_tube < 0, AIR)
    esophagus &= ~airway

    mandible_tube = s.pair(_MANDIBLE, [9, 8, 7.5, 7.5, 7, 6])
    mandible = paint(mandible_tube < 0, CORTICAL_BONE)
    paint(mandible_tube < -3.5, SPONGY_BONE + 150)
    parotid_left = s.ellipsoid((55, 9, 21), (15, 21, 27))
    parotid_right = s.ellipsoid((-56, 10, 19), (16, 23, 29))
    free = (skin < -3.5) & (mandible_tube > 0.5) & (s.pair([(54, 34, 42), (48, 27, -5)], [9, 10]) > 0)
    glands = [paint((gland < 0) & free, GLAND) for gland in (parotid_left, parotid_right)]
    depth = ndimage.distance_transform_edt(body, sampling=GRID.spacing_zyx_mm).astype(np.float32)
    return _Anatomy(hu, body, depth, airway, canal, cord, brainstem, glands[0], glands[1], esophagus, larynx, mandible)


def _body_surface(s: Space, head: Field) -> Field:
    face = s.ellipsoid((0, -28, 42), (68, 72, 74))
    chin = s.ellipsoid((0, -58, -7), (43, 42, 25))
    nose = s.ellipsoid((0, -100, 48), (13, 15, 20))
    neck = s.tube([(0, 22, 60), (0, 12, -20), (0, 14, -60), (0, 22, -120)], [60, 56, 56, 62], flatness=1.08)
    shoulders = s.tube([(-160, 28, -142), (-70, 26, -125), (70, 26, -125), (160, 28, -142)], [50, 54, 54, 50])
    chest = s.ellipsoid((0, 24, -190), (190, 98, 95))
    ears = s.ellipsoids((70, 22, 60), (8, 13, 24))
    surface = blend(head, face, 18)
    surface = blend(blend(surface, chin, 20), nose, 8)
    surface = blend(surface, neck, 22)
    surface = blend(blend(surface, shoulders, 34), chest, 25)
    return np.minimum(surface, ears)


def _paint_soft_tissue(s: Space, paint: Paint, skin: Field) -> None:
    inside = skin < -6
    # Fat between the muscles of the neck, then the muscles themselves.
    paint(inside & (s.ellipsoids((36, 2, -20), (17, 22, 85)) < 0), FAT + 10)
    paint(inside & (s.ellipsoids((52, -52, 25), (15, 22, 28)) < 0), FAT)
    paint(inside & (s.pair([(55, 28, 40), (46, 18, -10), (30, -8, -60), (14, -30, -112)], [9, 11, 10, 8]) < 0), MUSCLE)
    paint(inside & (s.pair([(57, -14, 50), (52, -18, 0)], [7, 8]) < 0), MUSCLE)
    paint(np.abs(s.pair([(16, 62, 40), (18, 66, -100)], [15, 18])) < 1.2, FAT + 40)
    paint(np.abs(s.pair([(36, 46, 20), (44, 50, -100)], [13, 16])) < 1.2, FAT + 40)
    paint(s.ellipsoid((0, -50, 6), (25, 33, 19)) < 0, MUSCLE + 8)
    paint(s.ellipsoids((29, -34, -13), (9, 14, 10)) < 0, 45)
    paint(s.pair([(27, 2, 30), (25, -2, -20), (22, 0, -75), (18, 8, -150)], [3.5, 4.5, 4, 4]) < 0, VESSEL)
    paint(s.pair([(33, 8, 35), (33, 4, -20), (30, 2, -75), (28, 5, -150)], [4, 6, 6.5, 7]) < 0, VESSEL - 20)
    paint(s.ellipsoids((16, -14, -72), (9, 11, 21)) < 0, THYROID)
    paint(s.pair([(22, -14, -6), (18, -30, -10), (0, -40, -12)], [3, 3, 3.5]) < 0, SPONGY_BONE + 150)


def _paint_head(s: Space, paint: Paint, head: Field) -> Mask:
    base_mm = np.clip(
        80 - 0.42 * (s.y + 60) + 0.28 * np.abs(s.x), 42, 90
    )  # height of the skull base, from the roof of the orbits down to the occiput
    above = s.z > base_mm
    paint((head < -6) & above, CORTICAL_BONE)
    paint((head < -8.5) & (head > -11) & above, SPONGY_BONE + 250)
    paint((head < -13) & (s.z > base_mm + 5), BRAIN)
    paint((head < -13) & (np.abs(s.x) < 1.5) & (s.z > base_mm + 30), FLUID + 30)
    paint(s.ellipsoids((11, -2, 118), (6, 26, 11)) < 0, FLUID)
    paint(np.abs(head + 6 + 8) < 1.2, FLUID + 12)
    paint((head < -6) & (s.z > base_mm - 1) & (s.z < base_mm + 5), SPONGY_BONE + 300)
    mastoid = s.ellipsoids((53, 26, 48), (13, 16, 18))
    paint(mastoid < 0, CORTICAL_BONE - 250)
    paint((mastoid < -3) & (np.sin(s.x) * np.sin(s.y * 1.1) * np.sin(s.z * 0.9) > 0.05), -350)
    paint(s.ellipsoids((40, 10, 54), (15, 8, 7)) < 0, CORTICAL_BONE)

    orbit = s.ellipsoids((32, -64, 78), (17, 20, 16))
    paint(np.abs(orbit) < 2, CORTICAL_BONE - 300)
    paint(orbit < -2, FAT)
    paint(s.ellipsoids((32, -72, 78), (12, 12, 12)) < 0, 12)
    paint(s.pair([(32, -60, 78), (14, -26, 82)], [2, 2]) < 0, 40)
    sinus = s.ellipsoids((27, -56, 50), (14, 17, 15))
    paint(np.abs(sinus) < 2, CORTICAL_BONE - 350)
    paint(sinus < -2, AIR)
    nasal = s.ellipsoid((0, -58, 50), (12, 36, 17))
    paint(nasal < 0, MUSCLE - 10)
    paint((nasal < -2) & (np.abs(np.abs(s.x) - 5) < 2.6), AIR)
    paint(s.ellipsoids((7, -40, 72), (6, 16, 7)) < 0, AIR + 100)
    cheek = s.pair([(60, -10, 58), (56, -42, 58), (38, -72, 62)], [3, 4, 6])
    paint(cheek < 0, CORTICAL_BONE - 200)
    arch = np.abs(np.sqrt((s.x / 30) ** 2 + ((s.y + 42) / 44) ** 2) - 1) * 34
    front = s.y < -36
    paint((np.sqrt((s.x / 30) ** 2 + ((s.y + 42) / 44) ** 2) < 1.05) & (np.abs(s.z - 31) < 1.8) & (s.y < -30), SPONGY_BONE + 80)
    paint((arch < 6) & front & (s.z > 24) & (s.z < 33), CORTICAL_BONE - 250)
    teeth = (arch < 4) & front & (np.cos(np.arctan2(s.x, -(s.y + 42)) * 22) > -0.6)
    paint(teeth & (s.z > 2) & (s.z < 23) & (np.abs(s.z - 13) > 1.5), TOOTH)
    paint((s.ellipsoid((0, -48, 26), (17, 24, 3)) < 0) & (np.abs(s.z - 26) < 2), AIR + 150)

    return paint(s.tube([(0, 12, 82), (0, 14, 66), (0, 23, 50), (0, 31, 34)], [13, 14, 11, 7], flatness=1.1) < 0, BRAIN - 4)


def _paint_spine(s: Space, paint: Paint) -> tuple[Mask, Mask]:
    def shifted(dx: float, dy: float) -> list[Point]:
        return [(x + dx, y + dy, z) for x, y, z in _CORD]

    below_skull = s.z < 38
    level = np.mod(s.z + 4, 18.0)  # height above the lower end plate of a vertebra, 18 mm a level
    in_bone = (level > 4.5) & below_skull
    column = s.tube(shifted(0, -19), [9, 11, 12, 13, 15], flatness=1.25)
    paint((column < 4) & below_skull & (column > 0), MUSCLE - 5)
    paint((column < 0) & below_skull, DISC)
    paint((column < 0) & in_bone, CORTICAL_BONE - 250)
    paint((column < -2.5) & (level > 6.5) & (level < 16.5) & below_skull, SPONGY_BONE - 60)
    ring = s.tube(_CORD, [12.5, 13, 13.5, 13.5, 14], flatness=1.2)
    canal_tube = s.tube(_CORD, [9, 9, 9.5, 9.5, 10], flatness=1.2)
    paint((ring < 0) & (level > 5) & (level < 15) & below_skull, CORTICAL_BONE - 300)
    spinous = (np.abs(s.x) < 3.5) & (s.tube(shifted(0, 21), [11, 11, 14, 15, 17]) < 0) & (level > 6) & (level < 13) & (s.z < 30)
    paint(spinous, CORTICAL_BONE - 400)
    sides = np.minimum(s.tube(shifted(-19, -11), [7, 7, 8, 8, 9]), s.tube(shifted(19, -11), [7, 7, 8, 8, 9]))
    paint((sides < 0) & (level > 7) & (level < 14) & (s.z < 30), CORTICAL_BONE - 400)
    canal = paint((canal_tube < 0) & (s.z < 44), FLUID + 6)
    cord = paint((s.tube(_CORD, [6, 5.5, 5.5, 5, 5], flatness=1.25) < 0) & below_skull & (s.z < 34), BRAIN + 4)
    return canal, cord


def _paint_chest(s: Space, paint: Paint, skin: Field) -> None:
    lung = s.ellipsoids((62, 30, -182), (48, 56, 68))
    paint((np.abs(lung) < 5) & (np.mod(s.z + 0.35 * s.y + 30, 19) < 7), CORTICAL_BONE - 450)
    paint(lung < -5, LUNG)
    paint(s.pair([(14, -46, -128), (70, -38, -112), (140, 8, -100)], [8, 6, 6]) < 0, CORTICAL_BONE - 250)
    paint(s.ellipsoid((0, -50, -160), (20, 9, 32)) < 0, SPONGY_BONE)
    humerus = s.ellipsoids((168, 24, -130), (23, 23, 23))
    paint(humerus < 0, CORTICAL_BONE - 200)
    paint(humerus < -3, SPONGY_BONE - 80)
    scapula = s.pair([(140, 40, -112), (105, 72, -128), (85, 88, -165)], [8, 5, 5])
    paint((scapula < 0) & (skin < -6), CORTICAL_BONE - 350)


def _targets(s: Space, anatomy: _Anatomy) -> dict[str, Mask]:
    """Right tonsil and nodes to 70 Gy, the rest of the right neck to 63, the left and the lower neck to 56; none overlaps another."""
    spared = ndimage.binary_dilation(anatomy.canal, iterations=1) | anatomy.brainstem
    allowed = (anatomy.depth_mm > SKIN_TO_TARGET_MM + 3.0) & ~spared & (s.z < 52)
    tonsil = s.ellipsoid((-18, -22, 13), (27, 30, 31))
    node = s.ellipsoid((-40, 4, -14), (21, 25, 33))
    high = allowed & (blend(tonsil, node, 10) < 0)
    right_neck = s.tube([(-36, 4, 42), (-41, 6, 5), (-37, 0, -55)], [13, 22, 18])
    middle = allowed & (np.minimum(blend(tonsil, node, 10) - 5, right_neck) < 0) & ~high
    left_neck = s.tube([(37, 6, 34), (39, 4, 0), (35, -2, -50), (32, -2, -92), (40, 0, -98)], [12, 18, 17, 17, 16])
    low_right = s.tube([(-37, 0, -50), (-33, -2, -92), (-44, 2, -98)], [16, 16, 16])
    low = allowed & (np.minimum(left_neck, low_right) < 0) & ~high & ~middle & ~anatomy.larynx
    return {"PTV56": low, "PTV63": middle, "PTV70": high}
