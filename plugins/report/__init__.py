"""A run as one page that anyone can open, hear and make again.

`facts` reads what a run holds and `recipe` how to make it again; `lyrics`, `sound` and `pictures`
make what is heard and seen; `page` puts it together.
"""

from __future__ import annotations
