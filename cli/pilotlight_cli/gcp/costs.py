"""The monthly cost of minimum instances that serve no requests.

Prices of Cloud Run in dollars for CPU allocated during requests only, as functions have it, in the first tier of
regions; the second tier costs more. Source: https://cloud.google.com/run/pricing.
"""

from __future__ import annotations

from pilotlight_cli.gcp.settings import GcpSettings

HOURS = 730  # a month

# Per vCPU-second and per GiB-second of an idle minimum instance.
CPU = 0.0000025
MEMORY = 0.0000025

_BYTES = {"Mi": 2**20, "Gi": 2**30, "M": 10**6, "G": 10**9}


def idle(cpu: float, memory: str, instances: int) -> float:
    """Return the dollars a month for idle minimum instances. `memory` is in Google Cloud's notation: `512Mi`."""
    unit = memory.lstrip("0123456789")
    gib = int(memory.removesuffix(unit)) * _BYTES[unit] / 2**30
    return instances * HOURS * 3600 * (cpu * CPU + gib * MEMORY)


def cost_text(settings: GcpSettings) -> str:
    """Return a text on what the minimum instances cost; empty without any."""
    kept = settings.min_instances
    if not kept:
        return ""
    price = idle(settings.cpu, settings.memory, kept)
    return (
        f"{kept} minimum instance(s) with {settings.memory} and {settings.cpu:g} vCPU cost ${price:,.2f} a month at "
        "the prices of Cloud Run's first tier of regions, and twice that while a rollout runs two revisions. Requests "
        "and their compute time are billed in addition"
    )
