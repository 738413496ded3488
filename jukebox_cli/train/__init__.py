"""Training: one loop (`trainer`) for the networks of a model (`vqvae`, `prior`)."""
