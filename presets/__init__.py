"""Built-in presets, found by name: `jukebox preset list`."""
