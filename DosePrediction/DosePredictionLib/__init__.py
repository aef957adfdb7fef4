"""The Slicer side of the DosePrediction module: panel, scene and worker process.  Everything that computes a dose is in `dose_prediction`."""
