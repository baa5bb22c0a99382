"""All mutations, in the order of the package's own layers."""

from __future__ import annotations

from mutations import of_asking, of_calibrating, of_channels, of_publishing, of_reaching, of_reading, of_redacting, of_telling, of_verifying

__all__ = ["MUTATIONS"]

MUTATIONS = (
    *of_asking.MUTATIONS,
    *of_calibrating.MUTATIONS,
    *of_reading.MUTATIONS,
    *of_reaching.MUTATIONS,
    *of_telling.MUTATIONS,
    *of_publishing.MUTATIONS,
    *of_redacting.MUTATIONS,
    *of_channels.MUTATIONS,
    *of_verifying.MUTATIONS,
)
