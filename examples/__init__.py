"""Examples to start from; `jukebox examples copy` copies one out of the installed package."""
