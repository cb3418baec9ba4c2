"""How sure a share is; see `evofool.scoring.statistics`."""

from evofool.scoring.statistics import Z95, share, wilson

__all__ = ["Z95", "share", "wilson"]
