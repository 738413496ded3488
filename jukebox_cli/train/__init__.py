"""Training: one loop (`loop`), and what it trains (`autoencoder`, `prior`)."""
