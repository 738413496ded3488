"""Jukebox (Dhariwal et al. 2020) as a command line: music as raw audio, three levels of tokens."""

__version__ = "0.1.0"
