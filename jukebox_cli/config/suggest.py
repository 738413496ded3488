"""Names that a person misspelt, and what they probably meant."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from jukebox_cli.interfaces.errors import InputError


def did_you_mean(word: str, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """`did you mean 'x'?` for the closest known word, ignoring case; None if none is close.

    cutoff: how close, from 0 for any word to 1 for the same.
    """
    folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=cutoff)
    return f"did you mean '{folded[close[0]]}'?" if close else None


def unknown_name(what: str, word: str, known: Sequence[str], where: str = "") -> InputError:
    """The error for a word that is not among the known ones: `no WHAT 'WORD'WHERE`."""
    hint = did_you_mean(word, known) or f"known are: {join_names(known) or 'none'}"
    return InputError(f"no {what} '{word}'{where}", hint)


def join_names(names: Sequence[str], max_shown: int = 40) -> str:
    """Names separated by commas; after the first `max_shown`, how many more there are."""
    more = f" and {len(names) - max_shown:,} more" if len(names) > max_shown else ""
    return ", ".join(names[:max_shown]) + more


def lookup_id(
    what: str, word: str, names: Sequence[str], aliases: Mapping[str, str], *, lenient: bool
) -> int:
    """The id of a word in a vocabulary: its index among `names`, counted from 1.

    aliases: other names for some of `names`.
    lenient: whether an unknown word is 0 instead of an InputError.
    """
    known = (*names, *aliases)
    found = find_name(word, known)
    if found is not None:
        return 1 + names.index(aliases.get(found, found))
    if lenient:
        return 0
    raise unknown_name(what, word, known, f" in this model, which knows {len(names)}")


def find_name(word: str, known: Iterable[str]) -> str | None:
    """The known name that equals a word apart from case, or else apart from case, spaces,
    punctuation and accents; None if there is none."""
    names = list(known)
    for normalize in (str.casefold, _normalize):
        by_form = {normalize(name): name for name in reversed(names)}
        if normalize(word) in by_form:
            return by_form[normalize(word)]
    return None


def _normalize(word: str) -> str:
    """A word without case, punctuation and accents: the same for `AC/DC`, `ac_dc` and `Ac Dc`, and
    for `Beyoncé` and `beyonce`."""
    decomposed = unicodedata.normalize("NFKD", word.casefold())
    unaccented = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(re.findall(r"[^\W_]+", unaccented)) or word
