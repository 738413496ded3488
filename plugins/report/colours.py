"""The colour map of spectrograms: magma, librosa's default for them."""

from __future__ import annotations

# Magma by Stefan van der Walt and Nathaniel Smith, from matplotlib, CC0
# (https://bids.github.io/colormap/). Equal steps look equally different, in grey and to the
# colour-blind too. It is copied here so that matplotlib is not needed. Made with
#   python -c "import matplotlib as m; print(*(m.colors.to_hex(c)[1:]
#     for c in m.colormaps['magma'].resampled(64).colors))"
#: 64 colours from black over violet and orange to pale yellow, each three bytes of sRGB.
MAGMA = bytes.fromhex("""
    000004 020109 030312 06051a 0a0822 0e0b2b 130d34 180f3d 1d1147 221150 29115a 2f1163 36106b
    3d0f71 440f76 4a1079 52137c 59157e 5f187f 651a80 6b1d81 721f81 782281 7e2482 842681 8b2981
    912b81 982d80 9e2f7f a5317e ab337c b2357b ba3878 c03a76 c73d73 cd4071 d3436e d9466b df4a68
    e44f64 e95462 ed5a5f f1605d f4675c f66e5c f8765c fa7d5e fb8560 fc8e64 fd9668 fe9d6c fea571
    feac76 feb47b febb81 fec287 feca8d fed194 fed89a fde0a1 fde7a9 fceeb0 fcf6b8 fcfdbf
""")
