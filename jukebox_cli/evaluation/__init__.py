"""How good a model is, measured on recordings: metrics, judges of sound, and other codecs."""
