"""Where the tokens of each level lie in the audio: all conversions between samples and tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenGrid:
    """The grid that the tokens of all levels lie on.

    Every hop length is a multiple of the one below it, and audio is padded with silence to a whole
    number of top-level tokens, so a token of a level covers a whole number of tokens of the level
    below.

    hop_lengths: audio samples per token, level 0 (the finest) first.
    """

    hop_lengths: tuple[int, ...]

    @property
    def num_levels(self) -> int:
        return len(self.hop_lengths)

    @property
    def top_level(self) -> int:
        return len(self.hop_lengths) - 1

    @property
    def top_hop_length(self) -> int:
        return self.hop_lengths[-1]

    def ratio(self, level: int) -> int:
        """Tokens of `level` per token of the level above; 1 at the top level."""
        if level == self.top_level:
            return 1
        return self.hop_lengths[level + 1] // self.hop_lengths[level]

    def tokens_per_top_token(self, level: int) -> int:
        return self.top_hop_length // self.hop_lengths[level]

    def num_tokens(self, level: int, num_samples: int) -> int:
        """Tokens of `level` that cover `num_samples`, rounded up to whole top-level tokens."""
        return -(-num_samples // self.top_hop_length) * self.tokens_per_top_token(level)

    def num_whole_tokens(self, level: int, num_samples: int) -> int:
        """Tokens of the top-level tokens that `num_samples` fill wholly, but of one at least.

        The token after them, if there is one, is partly of the silence that audio is padded with.
        """
        num_top_tokens = max(1, num_samples // self.top_hop_length)
        return num_top_tokens * self.tokens_per_top_token(level)

    def num_samples(self, level: int, num_tokens: int) -> int:
        """Samples that `num_tokens` tokens of `level` cover."""
        return num_tokens * self.hop_lengths[level]

    def ceil_samples(self, num_samples: int) -> int:
        """`num_samples` rounded up to whole top-level tokens."""
        return -(-num_samples // self.top_hop_length) * self.top_hop_length

    def floor_samples(self, num_samples: int) -> int:
        """`num_samples` rounded down to whole top-level tokens."""
        return num_samples // self.top_hop_length * self.top_hop_length

    def upper_range(self, level: int, start: int, end: int) -> tuple[int, int]:
        """The tokens of the level above that lie over tokens `start` to `end` of `level`.

        `start` and `end` must be multiples of `ratio(level)`.
        """
        return start // self.ratio(level), end // self.ratio(level)
