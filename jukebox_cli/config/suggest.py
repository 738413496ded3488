"""What presets and models say, as frozen dataclasses, and how YAML is read into them.

A mistake in a file is reported with the file, the line and the key.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from jukebox_cli.interfaces.errors import InputError


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """`did you mean 'x'?` for the closest known word, ignoring case; None when none is close."""
    folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.5)
    return f"did you mean '{folded[close[0]]}'?" if close else None


def unknown_name(what: str, word: str, known: Sequence[str], where: str = "") -> InputError:
    """The error for a word that is not among the known ones."""
    hint = did_you_mean(word, known) or f"known are: {join_names(known) or 'none'}"
    return InputError(f"no {what} '{word}'{where}", hint)


def join_names(names: Sequence[str], most: int = 40) -> str:
    """Names with commas between; of thousands the first."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def lookup_id(
    what: str, word: str, names: Sequence[str], aliases: Mapping[str, str], *, lenient: bool
) -> int:
    """The place of a word among a model's names, from 1 on; `also` has other names for some of
    them. One that is not known is 0, if `lenient`, or else an InputError."""
    known = (*names, *aliases)
    found = find_name(word, known)
    if found is not None:
        return 1 + names.index(aliases.get(found, found))
    if lenient:
        return 0
    raise unknown_name(what, word, known, f" in this model, which knows {len(names)}")


def find_name(word: str, known: Iterable[str]) -> str | None:
    """The known name that a word means, whatever its case; where there is none like it, one that
    differs in its spaces and marks."""
    for alike in (str.casefold, _normalize):
        found = {alike(name): name for name in reversed(list(known))}
        if alike(word) in found:
            return found[alike(word)]
    return None


def _normalize(word: str) -> str:
    """`AC/DC`, `ac_dc` and `Ac Dc` are one name; so are `Beyoncé` and `beyonce`."""
    plain = unicodedata.normalize("NFKD", word.casefold())
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", kept)) or word
