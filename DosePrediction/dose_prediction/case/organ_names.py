"""Names of organs at risk: TG-263's, with the other names that clinics give them.

Source: Mayo et al., AAPM TG-263, Int J Radiat Oncol Biol Phys 100, 1057-1066 (2018).
"""

# TG-263 name: other names, apart by commas; the words of a name come in any order and are joined in any way.
MIDLINE_ORGANS = {
    # head and neck
    "Brain": "whole brain, cerebrum, encephalon",
    "Brainstem": "brain stem, brst, bstem, bs, stem, truncus, hirnstamm, tronc cerebral",
    "Cerebellum": "",
    "SpinalCord": (
        "spinal cord, cord, sc, spine cord, cervical cord, thoracic cord, spinal, medulla, medulla spinalis, myelon, myelum, ruckenmark, moelle"
    ),
    "SpinalCanal": "spinal canal, canal, cord canal, spinal cord canal, spinalkanal, vertebral canal, thecal sac",
    "OpticChiasm": "optic chiasm, chiasm, chiasma, optic chiasma, opt chiasm, chiasma opticum",
    "Pituitary": "pit, hypophysis, pituitary gland",
    "Larynx": "laryngeal, whole larynx, glottic larynx, larynx gsl",
    "Larynx_SG": "supraglottic larynx, larynx supraglottic, supraglottis, supra glottis",
    "Glottis": "",
    "Esophagus": "oesophagus, esoph, oesoph, eso, oes, osophagus, oesophage, cervical esophagus, cervical oesophagus",
    "Esophagus_S": ("upper esophagus, esophagus upper, upper oesophagus, esophagus s, cricopharyngeus, cricopharyngeal inlet, cricoid inlet"),
    "Pharynx": "",
    "Nasopharynx": "",
    "Musc_Constrict": (
        "constrict, constrictor, constrictors, pharyngeal constrictor, pharyngeal constrictors, pharynx constrictor, "
        "constrictor pharynx, pcm, pconst, pharynx const"
    ),
    "Musc_Constrict_S": (
        "constrict s, superior constrictor, superior pharyngeal constrictor, constrictor superior, spc, pcm superior, "
        "pcm sup, constrict sup, constrictor sup, superior pcm, sup pcm"
    ),
    "Musc_Constrict_M": (
        "constrict m, middle constrictor, middle pharyngeal constrictor, constrictor middle, mpc, pcm medium, pcm mid, "
        "constrict mid, constrictor mid, middle pcm, mid pcm"
    ),
    "Musc_Constrict_I": (
        "constrict i, inferior constrictor, inferior pharyngeal constrictor, constrictor inferior, ipc, pcm inferior, "
        "pcm inf, constrict inf, constrictor inf, inferior pcm, inf pcm"
    ),
    "Cavity_Oral": "oral cavity, cavity oral, oralcav, oral cav, mouth, cavum oris",
    "Bone_Mandible": "mandible, mandibula, mand, lower jaw, jaw, unterkiefer, mandibule",
    "Lips": "lip",
    "Tongue": "oral tongue",
    "Tongue_Base": "base of tongue, tongue base, bot",
    "Palate_Soft": "soft palate, palate soft",
    "Palate_Hard": "hard palate, palate hard",
    "Glnd_Thyroid": "thyroid, thyroid gland, thyroidea",
    "Bone_Hyoid": "hyoid",
    # thorax
    "Heart": "whole heart, herz, coeur",
    "Pericardium": "",
    "A_LAD": "lad, left anterior descending, lad artery, coronary lad",
    "A_Aorta": "aorta, a aorta, aortic arch",
    "A_Pulmonary": "pulmonary artery, a pulmonary, pulm artery",
    "V_Venacava_S": "svc, superior vena cava, venacava s, v venacava s",
    "V_Venacava_I": "ivc, inferior vena cava, venacava i, v venacava i",
    "GreatVes": "great vessels, great vessel, great ves, greatvessels",
    "Trachea": "trach, windpipe",
    "BronchialTree": ("bronchial tree, prox bronchial tree, proximal bronchial tree, pbt, bronch tree, bronchus, bronchi"),
    "Carina": "",
    # abdomen
    "Stomach": "stom, magen, estomac",
    "Duodenum": "duod",
    "Liver": "hepar, leber, foie, whole liver",
    "Gallbladder": "gall bladder",
    "Pancreas": "panc",
    "Spleen": "lien, milz",
    "Bowel": "bowels, bowel loops, intestine, intestines",
    "Bag_Bowel": "bowel bag, bag bowel, bowelbag, peritoneal cavity",
    "Spc_Bowel": "bowel space, spc bowel",
    "Bowel_Small": "small bowel, small intestine, bowel small, sb, smbowel, sm bowel",
    "Bowel_Large": "large bowel, large intestine, bowel large",
    "Colon": "",
    "CaudaEquina": "cauda equina, cauda",
    # pelvis
    "Colon_Sigmoid": "sigmoid, sigmoid colon, sigma",
    "Rectum": "rect, rektum, anorectum",
    "Canal_Anal": "anal canal, canal anal, anus",
    "Bladder": "urinary bladder, blase, vessie, vesica",
    "PenileBulb": "penile bulb, bulb, bulbus penis",
    "Urethra": "",
    "Vagina": "",
    "Genitals": "genitalia, external genitalia",
    "Sacrum": "",
    "SacralPlex": "sacral plexus, sacral plex, lumbosacral plexus, lumbosacral plex",
    "BoneMarrow": "bone marrow, marrow",
}
# TG-263 name of one side without its suffix: (the name of both sides together, other names).
PAIRED_ORGANS = {
    "Parotid": ("Parotids", "par, parot, parotis, parotide, parotid gland, glnd parotid"),
    "Glnd_Submand": (
        "Glnds_Submand",
        "submandibular, submandibular gland, submandib, submand, subman, submnd, submax, submaxillary, sub mandibular, smg, smgl",
    ),
    "Glnd_Lacrimal": ("Glnds_Lacrimal", "lacrimal, lacrimal gland, lacr, lacrim, lacrimalis"),
    "Eye": ("Eyes", "globe, orbit, eyeball, eye ball, bulbus oculi, auge"),
    "Lens": ("Lenses", "lense, crystalline lens, linse"),
    "Retina": ("Retinas", ""),
    "Cornea": ("Corneas", ""),
    "OpticNrv": (
        "OpticNrvs",
        "optic nerve, optic nrv, opt nerve, opt nrv, optnerve, opticn, optic n, opt n, on, nervus opticus, n opticus",
    ),
    "Cochlea": ("Cochleas", "cochleae, cochlear, coch"),
    "Ear_Internal": ("Ears_Internal", "inner ear, internal ear, ear inner, ear int"),
    "Ear_Middle": ("Ears_Middle", "middle ear, ear mid"),
    "Lobe_Temporal": ("Lobes_Temporal", "temporal lobe, temp lobe, temporallobe, tlobe"),
    "Hippocampus": ("Hippocampi", "hippo, hippocamp, hc"),
    "Joint_TM": ("Joints_TM", "tmj, tm joint, temporomandibular joint, tmjoint"),
    "A_Carotid": ("A_Carotids", "carotid, carotid artery, carotis"),
    "BrachialPlex": (
        "BrachialPlexs",
        "brachial plexus, brachial plex, bp, brac plex, br plexus, brachial plx, plexus brachialis",
    ),
    "Lung": ("Lungs", "lunge, poumon, pulmo"),
    "Breast": ("Breasts", "mamma"),
    "Chestwall": ("Chestwalls", "chest wall, cw, thoracic wall"),
    "Humerus_Head": ("Humeri_Head", "humeral head, head humerus, humerus head"),
    "Kidney": ("Kidneys", "kid, ren, niere, rein"),
    "Glnd_Adrenal": ("Glnds_Adrenal", "adrenal, adrenal gland, suprarenal"),
    "Ureter": ("Ureters", ""),
    "Ovary": ("Ovaries", ""),
    "Femur_Head": (
        "Femur_Heads",
        "femoral head, head femur, head femoral, femhead, fem head, femoral heads, femur heads, fh, fem hd, femur head neck, femoral head neck",
    ),
    "Femur": ("Femurs", "femora, fem, femoral"),
}
# Organs of which TG-263 names the part outside the tumour.
ORGANS_LESS_TARGET = ("Lungs", "Lung_L", "Lung_R", "Liver", "Brain")
