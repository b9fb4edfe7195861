"""Profiles of the fuzz tests: a hundred examples by default, 10,000 with --hypothesis-profile=fuzz."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)
settings.register_profile("quick", max_examples=100, deadline=None, suppress_health_check=SLOW)
settings.register_profile("fuzz", max_examples=10_000, deadline=None, suppress_health_check=SLOW)
settings.load_profile("quick")
