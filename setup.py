"""What pyproject.toml cannot say: the core's packages, and the two resource folders that stand beside the package in the Slicer module."""

from setuptools import find_packages, setup

RESOURCES = {f"dose_prediction.resources.{name}": f"DosePrediction/Resources/{name}" for name in ("Goals", "Models")}

setup(
    packages=[*find_packages("DosePrediction", include=["dose_prediction", "dose_prediction.*"]), *RESOURCES],
    package_dir={"": "DosePrediction", **RESOURCES},
)
