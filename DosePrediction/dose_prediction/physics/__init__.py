"""The physics prior: electron density, ray tracing, pencil-beam dose and a quick fluence plan for any list of beams."""
