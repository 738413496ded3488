"""The networks: the VQ-VAE, the priors and what conditions them, loading and extending them."""
