"""How often a server may be asked: slots per host, pauses, and waits that grow."""

import random
import threading
import time
from collections.abc import Callable

BACK_OFF = 1.0  # seconds before the second attempt; doubles with each
LONGEST_WAIT = 60.0
# A server that asks for a longer pause than this ends the run instead.
LONGEST_RETRY_AFTER = 300.0


def back_off(attempt: int) -> float:
    """Seconds to wait after the attempt-th failure (from 1), with jitter."""
    longest = min(LONGEST_WAIT, BACK_OFF * 2 ** (attempt - 1))
    # Without jitter, photos that failed together would come back together.
    return longest * random.uniform(0.5, 1)


class Pace:
    """Gives out the moments at which each host may be asked; for many threads."""

    def __init__(self, rate: float, sleep: Callable[[float], object]) -> None:
        """rate: requests a second and host. sleep(seconds): true to end all."""
        self._gap = 1 / rate
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        self._paused: dict[str, float] = {}

    def turn(self, host: str) -> bool:
        """Returns when it is the caller's turn to ask `host`; False: do not ask."""
        with self._lock:
            at = max(time.monotonic(), self._next.get(host, 0.0))
            self._next[host] = at + self._gap
        while True:
            wait = max(at, self._paused.get(host, 0.0)) - time.monotonic()
            if wait <= 0:
                return True
            if self._sleep(wait):
                return False

    def pause(self, host: str, seconds: float) -> bool:
        """Nobody asks `host` for so long; False if it was paused already."""
        now = time.monotonic()
        with self._lock:
            was_paused = self._paused.get(host, 0.0) > now
            until = max(self._paused.get(host, 0.0), now + seconds)
            self._paused[host] = until
            # And afterwards one by one, not all that waited at once.
            self._next[host] = max(self._next.get(host, 0.0), until)
        return not was_paused
