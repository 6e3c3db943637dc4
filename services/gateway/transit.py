"""How long a stream's frames are under way, relative to the fastest: what a jitter buffer must wait for."""

LONGEST_MS = 200
# A frame in 200 may come late.
_COVERED = 0.995
_BUCKET_US = 5_000
_BUCKETS = LONGEST_MS * 1000 // _BUCKET_US + 1
# What was seen halves in weight in 7 s. A rising weight for the new costs less than a falling one for the old.
_GROWTH = 1.002
_HEAVIEST = 1e6
# Four frames of 20-25 ms: a call begins with a delay that suits most networks.
_PRIOR_BUCKET, _PRIOR_WEIGHT = 4, 4.0
_WINDOW = 500  # frames
_REVIEW = 25  # frames


class Transit:
    """Transit is a frame's arrival less its place in the stream, in microseconds (RFC 3550 A.8); only differences
    count. `base_us` is the least of the last 500-1,000 frames, so a sender whose clock is slow is followed.
    """

    def __init__(self, shortest_us: int, longest_us: int, margin_us: int) -> None:
        self.base_us = 0
        self.covered_us = 0
        """Beyond the base: nearly all frames come within it."""
        self.target_us = 0
        """That and the margin, from `shortest_us` to `longest_us`."""
        self._shortest_us, self._longest_us, self._margin_us = shortest_us, longest_us, margin_us
        self._least_us = 0
        self._window_left = _WINDOW
        self._seen = [0.0] * _BUCKETS
        self._seen[_PRIOR_BUCKET] = _PRIOR_WEIGHT
        self._weight = 1.0
        self._review_left = _REVIEW
        self._review()

    def anchor(self, transit_us: int) -> None:
        """The stream begins, or goes on after a pause or by another count: what was seen of its jitter is kept."""
        self.base_us = self._least_us = transit_us
        self._window_left = _WINDOW

    def observe(self, transit_us: int) -> None:
        """A frame. Quick up, as each frame that is too slow asks for it; slow down, as the old weighs less."""
        if transit_us < self._least_us:
            self._least_us = transit_us
            if transit_us < self.base_us:
                self.base_us = transit_us
        self._window_left -= 1
        if not self._window_left:
            self._rebase()
        late_us = transit_us - self.base_us
        bucket = late_us // _BUCKET_US
        self._seen[bucket if 0 <= bucket < _BUCKETS else _BUCKETS - 1] += self._weight
        self._weight *= _GROWTH
        self._review_left -= 1
        if not self._review_left or late_us > self.covered_us:
            self._review()

    def _rebase(self) -> None:
        rise = (self._least_us - self.base_us) // _BUCKET_US
        self.base_us, self._least_us = self._least_us, 1 << 62
        self._window_left = _WINDOW
        # What was seen is now seen from the new base: a longer way is no jitter.
        if rise > 0:
            gone = min(rise, _BUCKETS - 1)
            self._seen = [sum(self._seen[: gone + 1]), *self._seen[gone + 1 :], *([0.0] * gone)]

    def _review(self) -> None:
        self._review_left = _REVIEW
        if self._weight > _HEAVIEST:
            self._seen = [one / self._weight for one in self._seen]
            self._weight = 1.0
        left = sum(self._seen) * (1 - _COVERED)
        bucket = _BUCKETS - 1
        while bucket and self._seen[bucket] <= left:
            left -= self._seen[bucket]
            bucket -= 1
        self.covered_us = (bucket + 1) * _BUCKET_US
        self.target_us = max(self._shortest_us, min(self.covered_us + self._margin_us, self._longest_us))
