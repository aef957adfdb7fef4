"""Fixtures for all tests."""

from slicer_bench.fixtures import bench

__all__ = ["bench"]
