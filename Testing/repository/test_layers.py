"""Each layer imports only what is below it, and Slicer's side never touches torch."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

MODULE = Path(__file__).resolve().parents[2] / "DosePrediction"
CORE = MODULE / "dose_prediction"
SLICER_SIDE = ("slicer", "qt", "ctk", "vtk", "DosePredictionLib", "DosePrediction")

# From the bottom up: a part may import from its own line and those above it in this list.  What is not named here (the command line, the worker, the
# report, ...) is the top.
LAYERS = (
    ("case", "cohort", "output_files", "resources", "device", "progress", "model_files", "error_sentences", "option_types"),
    ("nrrd_header", "volumes", "contours", "region", "anatomies"),
    ("segmentation_files", "openkbp", "dicom"),
    ("case_files", "dose_files", "phantom", "dosimetry", "physics"),
    ("model",),
    ("prediction", "prediction_cache", "guidance", "trade_offs", "calibration", "familiarity"),
    ("training",),
)
TOP = len(LAYERS)


def module_name(path: Path) -> str:
    parts = path.relative_to(MODULE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(CORE.rglob("*.py"))}
SLICER_FILES = sorted([*MODULE.glob("*.py"), *(MODULE / "DosePredictionLib").rglob("*.py")])


@cache
def imports(path: Path, only_at_load: bool = False) -> frozenset[str]:
    """Every module that a file imports; `only_at_load` leaves out imports inside functions and those for type checkers."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if only_at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names if f"{node.module}.{alias.name}" in MODULES)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return frozenset(found)


def layer_of(name: str) -> int:
    part = name.split(".")[1] if "." in name else ""
    return next((level for level, parts in enumerate(LAYERS) if part in parts), TOP if part else 0)


def loaded_with(name: str) -> set[str]:
    """The core's modules that are loaded with one of them, packages on the way included."""
    loaded: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in loaded or current not in MODULES:
            continue
        loaded.add(current)
        waiting += [current.rpartition(".")[0], *imports(MODULES[current], only_at_load=True)]
    return loaded


@pytest.mark.parametrize("name", MODULES)
def test_the_core_knows_nothing_of_slicer(name):
    assert not {found for found in imports(MODULES[name]) if found.partition(".")[0] in SLICER_SIDE}


@pytest.mark.parametrize("name", MODULES)
def test_a_layer_imports_none_above_it(name):
    above = {found for found in imports(MODULES[name]) if found.startswith("dose_prediction.") and layer_of(found) > layer_of(name)}
    assert not above, f"{name} imports from above: {sorted(above)}"


@pytest.mark.parametrize("path", SLICER_FILES, ids=lambda path: path.name)
def test_slicers_side_loads_torch_nowhere(path):
    found = imports(path)
    assert not {name for name in found if name.partition(".")[0] in ("torch", "safetensors")}
    for name in found & MODULES.keys():
        for loaded in loaded_with(name):
            heavy = {found for found in imports(MODULES[loaded], only_at_load=True) if found.partition(".")[0] in ("torch", "matplotlib")}
            assert not heavy, f"{path.name} loads {sorted(heavy)} through {name} and {loaded}"


@pytest.mark.parametrize("name", ["dose_prediction.command_line", "dose_prediction.worker"])
def test_commands_start_without_torch_and_matplotlib(name):
    for loaded in loaded_with(name):
        assert not {found for found in imports(MODULES[loaded], only_at_load=True) if found.partition(".")[0] in ("torch", "matplotlib")}, loaded
