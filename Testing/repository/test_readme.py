"""What the README tells a user to do and where to look is true."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from dose_prediction import __version__
from dose_prediction.case_files import PLAN_FILE, read_case, write_case_folder
from dose_prediction.command_line import parser
from water_case import water_case

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^dose-prediction (.*)$", README, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one_that_there_is(command):
    assert parser().parse_args(shlex.split(command)).command == command.split()[0]


def test_every_command_that_there_is_stands_in_it():
    named = {command.split()[0] for command in COMMANDS}
    assert named == {"phantom", "predict", "goals", "dvh", "gamma", "compare", "evaluate", "train"}


def test_every_file_and_folder_in_its_map_is_there():
    block = README.split("## Where things are")[1].split("```")[1]
    folders: list[str] = []
    for line in block.strip().splitlines():
        depth, name = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        folders = [*folders[:depth], name]
        assert (ROOT / "/".join(folders)).exists(), "/".join(folders)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/developers.md"])
def test_every_link_to_a_file_leads_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
        assert (ROOT / page).parent.joinpath(target).is_file(), target


def test_every_picture_is_one_that_the_command_takes_and_all_together_are_small():
    taken = set(re.findall(r'user\.take\("(\w+)"', (ROOT / "Testing" / "pictures.py").read_text(encoding="utf-8")))
    assert set(re.findall(r"Screenshots/(\w+)\.png", README)) <= taken
    assert sum(path.stat().st_size for path in (ROOT / "Resources" / "Screenshots").glob("*.png")) <= 1_500_000


def test_the_citation_is_of_this_version():
    assert re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1] == __version__


def test_its_plan_file_is_understood(tmp_path: Path):
    plan = json.loads(README.split("```json")[1].split("```")[0])
    case = water_case()
    write_case_folder(tmp_path / "case", case)
    plan["roles"] = {"Parotid_L": "SpinalCord"}
    (tmp_path / "case" / PLAN_FILE).write_text(json.dumps(plan))
    read = read_case(tmp_path / "case")
    assert [target.role.prescription_gy for target in read.targets] == [70, 56]
    assert len(read.beams) == 9 and read.organs[0].role.standard_name == "SpinalCord"
