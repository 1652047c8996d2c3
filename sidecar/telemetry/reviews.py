"""What the admission webhook counts."""

from collections.abc import Callable
from typing import Final

from sidecar.telemetry.instruments import Count, Family, Histogram, Reading

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Reviews:
    """All metrics of one webhook."""

    def __init__(self, expires_s: Callable[[], float]) -> None:
        """``expires_s``: when the certificate that is served ends, seconds since the epoch."""
        self.decisions = Family(
            "counter", "webhook_reviews_total", ("path", "decision"), "Pods, by what was decided.", Count
        )
        self.seconds = Family(
            "histogram", "webhook_review_seconds", ("path",), "Time to decide.", lambda: Histogram(SECONDS)
        )
        self.reloads = Family(
            "counter",
            "webhook_reloads_total",
            ("what", "result"),
            "Configuration and certificate, read again.",
            Count,
        )
        self.families: list[Family[Count] | Family[Histogram] | Reading] = [
            self.decisions,
            self.seconds,
            self.reloads,
            Reading(
                "gauge",
                "webhook_certificate_expires_seconds",
                (),
                "When the certificate that is served ends, since the epoch.",
                lambda: {(): expires_s()},
            ),
        ]

    def reviewed(self, path: str, decision: str, seconds: float) -> None:
        """One review was answered."""
        self.decisions.of(path, decision).value += 1
        self.seconds.of(path).observe(seconds)

    def reloaded(self, what: str, result: str) -> None:
        """``what`` was read again: loaded or refused."""
        self.reloads.of(what, result).value += 1
