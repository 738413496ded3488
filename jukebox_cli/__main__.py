"""`python -m jukebox_cli` is `jukebox`."""

from jukebox_cli.cli import main

if __name__ == "__main__":
    main()
