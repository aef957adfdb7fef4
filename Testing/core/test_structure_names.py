"""Names of structures, as clinics write them, and what they mean (TG-263)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dose_prediction.case import Role, RoleKind, recognise

TARGETS = {
    "PTV_7000": 70.0,
    "ptv70": 70.0,
    "PTV56": 56.0,
    "PTV 63": 63.0,
    "PTV_70Gy": 70.0,
    "PTV_50.4Gy": 50.4,
    "PTV_50p4Gy": 50.4,
    "PTV_50,4": 50.4,
    "PTV 5040 cGy": 50.4,
    "PTV_6996": 69.96,
    "PTV1_66Gy": 66.0,
    "PTV1_6600": 66.0,
    "PTVp70": 70.0,
    "PTVn_5412": 54.12,
    "PTV_High_7000": 70.0,
    "PTV-70": 70.0,
    "PTV66/33fx": 66.0,
    "PTV_60Gy_30fx": 60.0,
    "PTV_20Gyx3": 60.0,
    "PTV_Liver_2000X3": 60.0,
    "PTV_70x35": 70.0,
    "PTV_54x3": 54.0,
    "PTV_8Gy": 8.0,
    "PTV_70_3mm": 70.0,
    "PTV70_20240103": 70.0,
    "Prostate_PTV_7800": 78.0,
    "LN PTV 50": 50.0,
    "Lung_PTV_60": 60.0,
    "PTV_CTV70": 70.0,
    "PTV-Prostate 60": 60.0,
    "PTV": None,
    "PTV1": None,
    "PTV_High": None,
    "PTV_20mm": None,
}
ORGANS = {
    # OpenKBP
    "Brainstem": "Brainstem",
    "SpinalCord": "SpinalCord",
    "RightParotid": "Parotid_R",
    "LeftParotid": "Parotid_L",
    "Esophagus": "Esophagus",
    "Larynx": "Larynx",
    "Mandible": "Bone_Mandible",
    # head and neck
    "Parotid_L": "Parotid_L",
    "LT PAROTID": "Parotid_L",
    "L Parotid": "Parotid_L",
    "parotid lt": "Parotid_L",
    "Parotid-L": "Parotid_L",
    "LPAROTID": "Parotid_L",
    "parotidr": "Parotid_R",
    "Rt.Parotid": "Parotid_R",
    "Parotid (R)": "Parotid_R",
    "Gland_Parotid_R": "Parotid_R",
    "Parotids": "Parotids",
    "Parotid_L+R": "Parotids",
    "Cord": "SpinalCord",
    "spinal cord": "SpinalCord",
    "Spinal-Cord": "SpinalCord",
    "OAR_Cord": "SpinalCord",
    "Cord_1": "SpinalCord",
    "Myelon": "SpinalCord",
    "Rückenmark": "SpinalCord",
    "SpinalCanal": "SpinalCanal",
    "Brain-Stem": "Brainstem",
    "BRAIN STEM": "Brainstem",
    "Brain": "Brain",
    "Bone_Mandible": "Bone_Mandible",
    "mandible": "Bone_Mandible",
    "Oesophagus": "Esophagus",
    "esoph": "Esophagus",
    "OpticNrv_L": "OpticNrv_L",
    "Lt Optic Nerve": "OpticNrv_L",
    "Opt_Nerve_R": "OpticNrv_R",
    "Nerve_Optic_R": "OpticNrv_R",
    "ON_L": "OpticNrv_L",
    "Optic Nerves": "OpticNrvs",
    "OpticChiasm": "OpticChiasm",
    "Optic Chiasma": "OpticChiasm",
    "chiasm": "OpticChiasm",
    "Eye_L": "Eye_L",
    "Globe R": "Eye_R",
    "Lens_R": "Lens_R",
    "lens lt": "Lens_L",
    "Cochlea_L": "Cochlea_L",
    "Glnd_Submand_L": "Glnd_Submand_L",
    "SMG_R": "Glnd_Submand_R",
    "Submandibular_L": "Glnd_Submand_L",
    "Sub-Mandibular L": "Glnd_Submand_L",
    "Glnd_Thyroid": "Glnd_Thyroid",
    "Thyroid": "Glnd_Thyroid",
    "Cavity_Oral": "Cavity_Oral",
    "Oral Cavity": "Cavity_Oral",
    "Musc_Constrict": "Musc_Constrict",
    "Pharyngeal Constrictors": "Musc_Constrict",
    "Musc_Constrict_S": "Musc_Constrict_S",
    "Constrictor_Inf": "Musc_Constrict_I",
    "Lips": "Lips",
    "BrachialPlex_L": "BrachialPlex_L",
    "R Brachial Plexus": "BrachialPlex_R",
    "Lobe_Temporal_R": "Lobe_Temporal_R",
    "Temporal Lobe L": "Lobe_Temporal_L",
    "Joint_TM_L": "Joint_TM_L",
    "TMJ_R": "Joint_TM_R",
    "Hippocampus_L": "Hippocampus_L",
    "Pituitary": "Pituitary",
    # thorax
    "Lung_L": "Lung_L",
    "RLung": "Lung_R",
    "Right Lung": "Lung_R",
    "Lungs": "Lungs",
    "Lung_Total": "Lungs",
    "Lungs-GTV": "Lungs-GTV",
    "LungsMinusGTV": "Lungs-GTV",
    "Heart": "Heart",
    "LAD": "A_LAD",
    "A_LAD": "A_LAD",
    "Left Anterior Descending": "A_LAD",
    "GreatVessels": "GreatVes",
    "Trachea": "Trachea",
    "Prox Bronchial Tree": "BronchialTree",
    "ChestWall_L": "Chestwall_L",
    "Breast_R": "Breast_R",
    # abdomen
    "Liver": "Liver",
    "Kidney_L": "Kidney_L",
    "Lt Kidney": "Kidney_L",
    "Kidneys": "Kidneys",
    "Stomach": "Stomach",
    "Duodenum": "Duodenum",
    "SmallBowel": "Bowel_Small",
    "Bowel_Bag": "Bag_Bowel",
    "Bowel": "Bowel",
    "Pancreas": "Pancreas",
    "Spleen": "Spleen",
    # pelvis
    "Rectum": "Rectum",
    "Bladder": "Bladder",
    "Femur_Head_L": "Femur_Head_L",
    "FemoralHead_R": "Femur_Head_R",
    "LT FEM HEAD": "Femur_Head_L",
    "Sigmoid": "Colon_Sigmoid",
    "PenileBulb": "PenileBulb",
    "Anal Canal": "Canal_Anal",
    # planning risk volumes
    "SpinalCord_PRV05": "SpinalCord_PRV05",
    "Cord_PRV": "SpinalCord_PRV",
    "Cord-PRV": "SpinalCord_PRV",
    "CordPRV5": "SpinalCord_PRV05",
    "PRV_Cord 5mm": "SpinalCord_PRV05",
    "Cord + 5mm": "SpinalCord_PRV05",
    "Cord_5mm": "SpinalCord_PRV05",
    "Cord 5mm PRV": "SpinalCord_PRV05",
    "Cord PRV 0.5cm": "SpinalCord_PRV05",
    "Brainstem_03": "Brainstem_PRV03",
    "BrainStem PRV 3": "Brainstem_PRV03",
    "OpticNrv_PRV03_L": "OpticNrv_PRV03_L",
    "OpticNrv_L_PRV03": "OpticNrv_PRV03_L",
}
IGNORED = [
    "",
    "???",
    "CTV70",
    "GTVp",
    "ITV",
    "iGTV",
    "CTV_High",
    "PTV70-Parotid",
    "Parotid_L-PTV",
    "PTV70-PTV63",
    "PTV70-63",
    "PTV70-5mm",
    "PTV70+3mm",
    "Parotid_L_not_PTV",
    "Body-PTV",
    "Brain-Brainstem",
    "Ring_PTV",
    "RingPTV70",
    "ring 1cm",
    "zOptPTV",
    "zPTV70",
    "zoptptv70",
    "z_Cord",
    "_PTV70",
    "xPTV70",
    "PTV70_opt",
    "OptPTV70",
    "PTV70_Eval",
    "PTVeval",
    "PTV70_crop",
    "PTV!",
    "PTV_Total",
    "PTV_dummy",
    "PTV70 ring",
    "Cord_avoid",
    "Prostate",
    "CouchSurface",
    "Couch Body",
    "Bolus",
    "Vertebral body",
    "Level_II_L",
    "Larynx_L",
    "hip_left",
    "Eye_AL",
    "lung_upper_lobe_left",
    "Bladder_wall",
    "Parotid_Ipsi",
    "95%",
    "on",
    "Dose 50[%]",
]


@pytest.mark.parametrize(("name", "prescription_gy"), TARGETS.items())
def test_planning_target_is_recognised_with_the_dose_in_its_name(name: str, prescription_gy: float | None) -> None:
    assert recognise(name) == Role.target(prescription_gy)


@pytest.mark.parametrize(("name", "standard_name"), ORGANS.items())
def test_organ_gets_its_tg_263_name(name: str, standard_name: str) -> None:
    assert recognise(name) == Role.organ(standard_name)


@pytest.mark.parametrize("name", ["BODY", "External", "Skin", "body", "BODY1", "EXTERNAL", "Body Outline", "possible_dose_mask", "Patient"])
def test_body_contour_is_the_external(name: str) -> None:
    assert recognise(name) == Role.external()


@pytest.mark.parametrize("name", IGNORED)
def test_helper_and_unknown_structure_is_ignored(name: str) -> None:
    assert recognise(name) == Role.ignored()


@pytest.mark.parametrize("standard_name", sorted(set(ORGANS.values())))
def test_tg_263_name_maps_to_itself(standard_name: str) -> None:
    assert recognise(standard_name).standard_name == standard_name


@pytest.mark.parametrize("name", [*ORGANS, "PTV_7000", "BODY"])
def test_spaces_around_a_name_mean_nothing(name: str) -> None:
    assert recognise(f"  {name} ") == recognise(name)


@given(st.text(max_size=40))
def test_any_text_at_all_gives_a_role(name: str) -> None:
    role = recognise(name)
    assert (role.kind is RoleKind.IGNORED) == (role.standard_name == "")


@given(st.floats(min_value=20, max_value=99).map(lambda dose: round(dose, 1)))
def test_dose_is_the_same_in_gy_and_in_cgy(dose_gy: float) -> None:
    assert recognise(f"PTV_{dose_gy}Gy").prescription_gy == recognise(f"PTV_{round(dose_gy * 100)}").prescription_gy == dose_gy
