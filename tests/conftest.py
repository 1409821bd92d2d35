"""For all tests: what hypothesis may take is no measure of mvc on a machine that is busy with something else."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("mvc", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("mvc")
