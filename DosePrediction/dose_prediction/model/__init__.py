"""ADDiff-Dose: a conditional diffusion model of the dose, given the physics prior (after arXiv 2508.02043).

`autoencoder` compresses the CT; `condition` turns a case into the network's inputs; `condition_encoder` digests them once a case; `denoiser`
predicts the clean dose from a noisy one; `diffusion` holds noise levels, preconditioning and sampler; `network` joins the parts; `bundle` reads
and writes released models.
"""
