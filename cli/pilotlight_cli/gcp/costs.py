"""What instances that are kept ready cost a month while nobody calls, before requests and the time that they run.

Prices of Cloud Run in dollars, with processors given during requests alone, which is what a function has, from
https://cloud.google.com/run/pricing. They are those of its first tier of regions; the second is dearer.
"""

from __future__ import annotations

from pilotlight_cli.gcp.settings import GcpSettings

HOURS = 730  # a month

# For each vCPU and second, and for each GiB and second, of an instance that is kept ready and has no request.
CPU = 0.0000025
MEMORY = 0.0000025

_BYTES = {"Mi": 2**20, "Gi": 2**30, "M": 10**6, "G": 10**9}


def idle(cpu: float, memory: str, instances: int) -> float:
    """Instances that are kept ready, a month. Memory as Google Cloud writes it: `512Mi`."""
    unit = memory.lstrip("0123456789")
    gib = int(memory.removesuffix(unit)) * _BYTES[unit] / 2**30
    return instances * HOURS * 3600 * (cpu * CPU + gib * MEMORY)


def cost_text(settings: GcpSettings) -> str:
    """Sentences on what the settings ask for; empty for nothing."""
    kept = settings.min_instances
    if not kept:
        return ""
    price = idle(settings.cpu, settings.memory, kept)
    return (
        f"{kept} instance(s) of {settings.memory} and {settings.cpu:g} vCPU are kept ready, which costs ${price:,.2f} "
        "a month at the prices of Cloud Run's first tier of regions, and as much again while a rollout has two "
        "revisions at work. Requests and the time that they run come on top"
    )
