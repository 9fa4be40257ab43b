"""A token bucket that limits requests per second. Pure."""

from __future__ import annotations

from config.durations import SECOND_NS


class Bucket:
    """Tokens that refill at `per_second`, up to `burst`. Pure: the caller gives the time."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._rate = per_second
        self._size = float(burst)
        self._tokens = float(burst)
        self._at: int | None = None

    def take(self, number: int, now_ns: int) -> bool:
        """Take tokens if there are enough; a full bucket gives even more than it holds."""
        self._refill(now_ns)
        if self._tokens < min(number, self._size):
            return False
        # More than it holds leaves a debt for the next ones.
        self._tokens -= number
        return True

    def wait(self, number: int, now_ns: int) -> float:
        """Return the seconds until `number` tokens are available."""
        self._refill(now_ns)
        return max(0.0, (min(number, self._size) - self._tokens) / self._rate)

    def _refill(self, now_ns: int) -> None:
        if self._at is not None and now_ns > self._at:
            made = (now_ns - self._at) / SECOND_NS * self._rate
            self._tokens = min(self._size, self._tokens + made)
        # A clock that is set back changes nothing.
        self._at = now_ns
