"""Fixtures: a Cloud Storage in memory."""

from __future__ import annotations

from stores_fixtures import fake_gcs, patient_fetch

__all__ = ["fake_gcs", "patient_fetch"]
