"""From the scene to the case: where the voxels lie in the patient, and which of them each segment covers."""

from __future__ import annotations

import time

import numpy as np
import pytest
import slicer
import vtk

from dose_prediction.case import CaseError, Grid, parse_beams
from DosePredictionLib.ContourMasks import fill
from DosePredictionLib.SceneReader import grid_of_volume, ijk_to_ras, read_case, segment_mask
from DosePredictionLib.SegmentRoles import segment_rows
from planar_contours import contour_segmentation, contours_of_mask
from run_steps import result_of


def case_of(patient):
    """The case, the steps run to their end."""
    return result_of(read_case(patient.ct, patient.segmentation, segment_rows(patient.segmentation), parse_beams("0, 90")))


def transform_node(matrix):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.array(matrix, dtype=float)))
    return node


def turned(degrees, shift=(0.0, 0.0, 0.0)):
    """A rotation about the patient's long axis, then a shift, in RAS."""
    angle = np.deg2rad(degrees)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = shift
    return matrix


def mask_of(patient, name, grid=None):
    row = next(row for row in segment_rows(patient.segmentation) if row.name == name)
    return result_of(segment_mask(patient.segmentation, row, grid or grid_of_volume(patient.ct)))


def test_the_grid_is_in_lps(patient):
    grid = grid_of_volume(patient.ct)
    assert grid.shape == (24, 40, 40)
    assert grid.origin_mm == (-60.0, -55.0, -40.0)
    assert grid.spacing_mm == (3.0, 3.0, 3.0)
    assert np.array_equal(grid.direction, np.eye(3))


def test_every_voxel_of_a_turned_and_left_handed_ct_lies_where_slicer_has_it(patient):
    matrix = turned(25, (7, -3, 11)) @ np.diag([2.0, -3.0, -4.0, 1.0])
    patient.ct.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    grid = grid_of_volume(patient.ct)
    i, j, k = 5, 9, 2
    right, anterior, superior, _ = matrix @ [i, j, k, 1]
    assert grid.world_from_index((k, j, i)) == pytest.approx([-right, -anterior, superior])


def test_the_transform_of_the_ct_moves_its_grid(patient):
    patient.ct.SetAndObserveTransformNodeID(transform_node(turned(0, (10, 20, 30))).GetID())
    assert grid_of_volume(patient.ct).origin_mm == pytest.approx((-70.0, -75.0, -10.0))


def test_a_grid_goes_back_to_the_matrix_of_its_volume(patient):
    patient.ct.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(turned(25, (7, -3, 11)) @ np.diag([2.0, -3.0, -4.0, 1.0])))
    expected = vtk.vtkMatrix4x4()
    patient.ct.GetIJKToRASMatrix(expected)
    assert slicer.util.arrayFromVTKMatrix(ijk_to_ras(grid_of_volume(patient.ct))) == pytest.approx(slicer.util.arrayFromVTKMatrix(expected))


def test_a_skewed_ct_is_refused(patient):
    skewed = np.eye(4)
    skewed[0, 1] = 0.5
    patient.ct.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(skewed))
    with pytest.raises(CaseError, match="perpendicular"):
        case_of(patient)


def test_masks_are_the_segments_voxels(patient, masks):
    for name, expected in masks.items():
        assert np.array_equal(mask_of(patient, name), expected)


def test_segments_that_share_one_labelmap_keep_their_own_voxels(patient, masks):
    slicer.mrmlScene.RemoveNode(patient.segmentation)
    labels = np.where(masks["PTV_6000"], 1, np.where(masks["SpinalCord"], 2, 0)).astype(np.uint8)
    ijk_to_ras = vtk.vtkMatrix4x4()
    patient.ct.GetIJKToRASMatrix(ijk_to_ras)
    labelmap = slicer.util.addVolumeFromArray(labels, ijk_to_ras, "labels", "vtkMRMLLabelMapVolumeNode")
    patient.segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(labelmap, patient.segmentation)
    segmentation = patient.segmentation.GetSegmentation()
    assert segmentation.GetNumberOfLayers() == 1
    for index, name in enumerate(("PTV_6000", "SpinalCord")):
        segmentation.GetNthSegment(index).SetName(name)
        assert np.array_equal(mask_of(patient, name), masks[name])


def test_segments_without_a_role_are_left_out_of_the_case(patient):
    assert [structure.name for structure in case_of(patient).structures] == ["PTV_6000", "SpinalCord", "LT PAROTID", "BODY"]


def test_ct_and_segmentation_moved_together_keep_their_masks(patient, masks):
    node_id = transform_node(turned(30, (10, -20, 5))).GetID()
    patient.ct.SetAndObserveTransformNodeID(node_id)
    patient.segmentation.SetAndObserveTransformNodeID(node_id)
    found, expected = mask_of(patient, "PTV_6000"), masks["PTV_6000"]
    assert np.count_nonzero(found ^ expected) <= 0.02 * expected.sum()


def test_a_segmentation_moved_alone_covers_other_voxels(patient, masks):
    patient.segmentation.SetAndObserveTransformNodeID(transform_node(turned(0, (-6.0, 3.0, 9.0))).GetID())
    # RAS -6, 3, 9 mm at 3 mm: two columns to the right of the image, one row up, three slices up.
    assert np.array_equal(mask_of(patient, "PTV_6000"), np.roll(masks["PTV_6000"], (3, -1, 2), (0, 1, 2)))


def test_a_segmentation_on_a_finer_grid_is_brought_onto_the_cts(patient, masks):
    fine_matrix = np.diag([-1.5, -1.5, 1.5, 1.0])
    fine_matrix[:3, 3] = (60.75, 55.75, -40.75)
    fine = slicer.util.addVolumeFromArray(np.zeros((48, 80, 80), dtype=np.int16), fine_matrix)
    segment_id = patient.segmentation.GetSegmentation().AddEmptySegment("", "PTV 50 Gy")
    doubled = masks["PTV_6000"].repeat(2, 0).repeat(2, 1).repeat(2, 2).astype(np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(doubled, patient.segmentation, segment_id, fine)
    assert np.array_equal(mask_of(patient, "PTV 50 Gy"), masks["PTV_6000"])


def with_surfaces(patient, source_name, with_contours=False):
    """The patient's segments as closed surfaces without voxels; with empty planar contours as their source where these are asked for."""
    patient.segmentation.CreateClosedSurfaceRepresentation()
    before = patient.segmentation.GetSegmentation()
    after = slicer.vtkSegmentation()
    after.SetSourceRepresentationName(source_name)
    for segment_id in before.GetSegmentIDs():
        segment = slicer.vtkSegment()
        segment.SetName(before.GetSegment(segment_id).GetName())
        segment.AddRepresentation("Closed surface", before.GetSegmentRepresentation(segment_id, "Closed surface"))
        if with_contours:
            segment.AddRepresentation("Planar contour", vtk.vtkPolyData())
        after.AddSegment(segment, segment_id)
    patient.segmentation.SetAndObserveSegmentation(after)


def test_a_segmentation_of_surfaces_is_turned_into_voxels_and_left_as_it_was(patient, masks):
    with_surfaces(patient, "Closed surface")
    found, expected = mask_of(patient, "PTV_6000"), masks["PTV_6000"]
    assert np.count_nonzero(found ^ expected) <= 0.1 * expected.sum()
    assert not patient.segmentation.GetSegmentation().ContainsRepresentation("Binary labelmap")


def test_planar_contours_with_a_surface_go_through_the_surface(patient, masks):
    with_surfaces(patient, "Planar contour", with_contours=True)
    found, expected = mask_of(patient, "PTV_6000"), masks["PTV_6000"]
    assert np.count_nonzero(found ^ expected) <= 0.1 * expected.sum()


def on_contours(patient, masks, names=("PTV_6000", "SpinalCord")):
    """The patient with planar contours in place of voxels."""
    grid = grid_of_volume(patient.ct)
    patient.segmentation = contour_segmentation({name: contours_of_mask(masks[name], grid) for name in names})
    return patient


def test_planar_contours_become_the_voxels_whose_centres_they_enclose(patient, masks):
    on_contours(patient, masks)
    for name in ("PTV_6000", "SpinalCord"):
        assert np.array_equal(mask_of(patient, name), masks[name])


def test_planar_contours_are_moved_by_the_transform_of_their_segmentation(patient, masks):
    on_contours(patient, masks).segmentation.SetAndObserveTransformNodeID(transform_node(turned(0, (-6.0, 3.0, 9.0))).GetID())
    assert np.array_equal(mask_of(patient, "PTV_6000"), np.roll(masks["PTV_6000"], (3, -1, 2), (0, 1, 2)))


def test_planar_contours_turned_out_of_the_slices_cover_what_the_turned_voxels_cover(patient, masks):
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]]
    node_id = transform_node(tilt).GetID()
    patient.segmentation.SetAndObserveTransformNodeID(node_id)
    expected = mask_of(patient, "PTV_6000")
    on_contours(patient, masks).segmentation.SetAndObserveTransformNodeID(node_id)
    assert np.count_nonzero(mask_of(patient, "PTV_6000") ^ expected) <= 0.1 * expected.sum()


def test_a_hole_in_planar_contours_stays_a_hole(patient, masks):
    ring = masks["BODY"] & ~masks["PTV_6000"]
    patient.segmentation = contour_segmentation({"PTV 60 Gy": contours_of_mask(ring, grid_of_volume(patient.ct))})
    assert np.array_equal(mask_of(patient, "PTV 60 Gy"), ring)


def test_contours_across_the_slices_are_refused_with_the_remedy(patient, masks):
    sagittal = [contour[:, [2, 1, 0]] for contour in contours_of_mask(masks["PTV_6000"], grid_of_volume(patient.ct))]
    patient.segmentation = contour_segmentation({"PTV 60 Gy": sagittal})
    with pytest.raises(CaseError, match="oblique planes"):
        mask_of(patient, "PTV 60 Gy")


def test_the_window_waits_for_no_step_of_filling_a_whole_bodys_contours():
    """165 slices of 512 x 512.  Processor time of both threads is counted, which other programs do not lengthen."""
    grid = Grid((165, 512, 512), (-240.0, -240.0, -165.0), (0.9375, 0.9375, 2.0))
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    circle = np.column_stack([180 * np.cos(angle), 120 * np.sin(angle)])
    contours = [np.column_stack([circle, np.full(len(circle), z)]) for z in np.arange(-165.0, 165.0, 2.0)]
    steps, longest_s, begun = fill(contours, grid, "BODY"), 0.0, time.process_time()
    while True:
        try:
            next(steps)
        except StopIteration as end:
            covered_mm2 = end.value.mask.sum() * 0.9375**2 / 165
            break
        now = time.process_time()
        longest_s, begun = max(longest_s, now - begun), now
    assert covered_mm2 == pytest.approx(np.pi * 180 * 120, rel=0.001)
    assert longest_s < 0.5


def test_the_users_nodes_are_not_changed_by_reading(patient):
    before = slicer.util.arrayFromVolume(patient.ct).copy()
    count = slicer.mrmlScene.GetNumberOfNodes()
    case_of(patient)
    assert np.array_equal(slicer.util.arrayFromVolume(patient.ct), before)
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_segment_beside_the_ct_covers_none_of_its_voxels(patient):
    patient.segmentation.SetAndObserveTransformNodeID(transform_node(turned(0, (500.0, 0.0, 0.0))).GetID())
    assert not mask_of(patient, "PTV_6000").any()


def test_the_transform_of_a_transform_counts_too(patient, masks):
    inner, outer = transform_node(turned(0, (-6.0, 0.0, 0.0))), transform_node(turned(0, (0.0, 3.0, 9.0)))
    inner.SetAndObserveTransformNodeID(outer.GetID())
    patient.segmentation.SetAndObserveTransformNodeID(inner.GetID())
    assert np.array_equal(mask_of(patient, "PTV_6000"), np.roll(masks["PTV_6000"], (3, -1, 2), (0, 1, 2)))
