"""The invented artists whose songs the scripts compose, three in each of four genres."""

from __future__ import annotations

from artists.classical import CLASSICAL
from artists.electronic import ELECTRONIC
from artists.jazz import JAZZ
from artists.rock import ROCK
from styles import Artist

#: The artists by name. Songs are made for each in turn, so their order matters.
ARTISTS: dict[str, Artist] = {
    artist.name: artist for artist in (*ROCK, *JAZZ, *CLASSICAL, *ELECTRONIC)
}
