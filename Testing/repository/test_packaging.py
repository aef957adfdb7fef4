"""What is shipped is what is there: CMake's lists, the wheel, the catalogue entries, sizes."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "DosePrediction"
MOST_BYTES = 25 * 2**20
MOST_BYTES_TOGETHER = 100 * 2**20  # the Extensions Index takes no larger repository


def tracked_files() -> list[Path]:
    """The files of the repository; of an unpacked archive, everything but what building and running leaves."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    left = {".venv", "demo", "build", "dist", "__pycache__", ".git"}
    return [path for path in ROOT.rglob("*") if path.is_file() and not left.intersection(path.relative_to(ROOT).parts)]


def cmake_list(name: str) -> list[str]:
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    body = re.search(rf"set\({name}\s(.*?)\)", text, re.DOTALL)
    assert body is not None, f"DosePrediction/CMakeLists.txt sets no {name}"
    return body[1].split()


def in_module(suffixes_in: set[str] | None = None, suffixes_out: frozenset[str] = frozenset()) -> list[str]:
    names = []
    for path in tracked_files():
        if path.is_relative_to(MODULE) and path.name != "CMakeLists.txt":
            suffix = path.suffix
            if (suffixes_in is None or suffix in suffixes_in) and suffix not in suffixes_out:
                names.append(path.relative_to(MODULE).as_posix())
    return sorted(names)


def test_cmake_lists_every_python_file():
    assert sorted(cmake_list("MODULE_PYTHON_SCRIPTS")) == in_module({".py"})


def test_cmake_lists_every_icon_panel_and_data_file():
    assert sorted(cmake_list("MODULE_PYTHON_RESOURCES")) == in_module(suffixes_out=frozenset({".py", ".md"}))


def test_no_file_is_larger_than_25_mb_and_all_together_than_100_mb():
    sizes = {path: path.stat().st_size for path in tracked_files()}
    assert not {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > MOST_BYTES}
    assert sum(sizes.values()) < MOST_BYTES_TOGETHER


def test_cmake_and_the_catalogue_entries_say_the_same():
    cmake = dict(re.findall(r'set\(EXTENSION_(\w+) "(.*?)"\)', (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")))
    lines = [line for line in (ROOT / "DosePrediction.s4ext").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    s4ext = dict(line.split(" ", 1) for line in lines)
    index = json.loads((ROOT / "DosePrediction.json").read_text(encoding="utf-8"))
    assert cmake["HOMEPAGE"] == s4ext["homepage"] == s4ext["scmurl"] == index["scm_url"]
    assert cmake["DEPENDS"].split() == s4ext["depends"].split() == index["build_dependencies"]
    assert cmake["DESCRIPTION"] == s4ext["description"]
    assert cmake["ICONURL"] == s4ext["iconurl"]
    assert cmake["SCREENSHOTURLS"] == s4ext["screenshoturls"]
    assert s4ext["category"] == index["category"] == "Radiotherapy"
    assert s4ext["scmrevision"] == index["scm_revision"]


def test_icon_and_screenshots_are_where_their_addresses_say():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.findall(r"https://raw\.githubusercontent\.com/\w+/\w+/main/(\S+?)[\s\"]", text)
    assert len(found) >= 2
    for name in found:
        assert (ROOT / name).is_file(), f"{name} is missing"


@pytest.mark.parametrize("name", ["Resources/DosePrediction.png", "DosePrediction/Resources/Icons/DosePrediction.png"])
def test_icons_are_128_pixels_square(name):
    header = (ROOT / name).read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", header[16:24]) == (128, 128)


def test_a_built_wheel_holds_the_core_the_goals_the_model_and_the_command(tmp_path: Path):
    source = tmp_path / "source"
    for path in tracked_files():
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    build = "from setuptools import build_meta; print(build_meta.build_wheel(r'{}'))".format(tmp_path / "wheel")
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    assert "dose-prediction = dose_prediction.command_line:main" in entry_points
    for name in in_module(suffixes_out=frozenset({".md"})):
        if name.startswith("dose_prediction/"):
            assert name in names
        elif name.startswith(("Resources/Goals/", "Resources/Models/")):
            assert f"dose_prediction/resources/{name.removeprefix('Resources/')}" in names
    assert not [name for name in names if "DosePredictionLib" in name]


def test_an_installed_wheel_finds_its_goals(tmp_path: Path):
    """The package unpacked somewhere else, as pip leaves it, with the goals inside it."""
    shutil.copytree(MODULE / "dose_prediction", tmp_path / "dose_prediction", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(MODULE / "Resources" / "Goals", tmp_path / "dose_prediction" / "resources" / "Goals")
    check = "from dose_prediction.resources import resource_path; print(resource_path('Goals/HeadAndNeck.json'))"
    found = subprocess.run([sys.executable, "-c", check], cwd=tmp_path, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(tmp_path)})
    assert Path(found.stdout.strip()) == tmp_path / "dose_prediction" / "resources" / "Goals" / "HeadAndNeck.json"
    assert Path(found.stdout.strip()).is_file()
