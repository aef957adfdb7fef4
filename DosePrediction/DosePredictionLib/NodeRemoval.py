"""Nodes taken out of the scene together with their places in the subject hierarchy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer

# What a node has for itself alone.
BELONGING_ROLES = ("display", "storage")


def referred(node: Any, role: str) -> list[Any]:
    """The nodes that `node` refers to in a role."""
    return [node.GetNthNodeReference(role, number) for number in range(node.GetNumberOfNodeReferences(role))]


def remove_nodes(nodes: Iterable[Any]) -> None:
    """Remove the nodes with their items, displays and storages; None, and what is no longer in the scene, are passed over."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    for node in nodes:
        if node is None or not slicer.mrmlScene.IsNodePresent(node):
            continue
        item = hierarchy.GetItemByDataNode(node)
        if item:
            hierarchy.RemoveItem(item, False, False)
        belongings = [part for role in BELONGING_ROLES for part in referred(node, role)]
        slicer.mrmlScene.RemoveNode(node)
        for part in belongings:
            if part is not None:
                slicer.mrmlScene.RemoveNode(part)
