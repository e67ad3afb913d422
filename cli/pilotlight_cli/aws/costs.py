"""The monthly cost of a start mode without any requests.

Prices of us-east-1 in dollars, from https://aws.amazon.com/lambda/pricing/; most regions have similar ones.
"""

from __future__ import annotations

from collections.abc import Mapping

HOURS = 730  # a month

# Per GB-second of a provisioned instance.
READY = {"x86_64": 0.0000041667, "arm64": 0.0000033334}

# Per GB-second of a version with a snapshot, and per GB of a start from it.
SNAPSHOT = 0.0000015046
RESTORE = 0.0001397998


def ready(memory_mb: int, architecture: str, instances: int) -> float:
    """Return the monthly cost of provisioned instances, in dollars."""
    return instances * _gb_seconds(memory_mb) * READY[architecture]


def snapshots(memory_mb: int, versions: int) -> float:
    """Return the monthly cost of versions with a snapshot, in dollars."""
    return versions * _gb_seconds(memory_mb) * SNAPSHOT


def restores(memory_mb: int, starts: int) -> float:
    """Return the cost of that many starts from a snapshot, in dollars."""
    return starts * memory_mb / 1024 * RESTORE


def cost_text(values: Mapping[str, str], kept: int) -> str:
    """Return sentences on the cost of the parameters, or an empty string. `kept` versions already have a snapshot."""
    return ". ".join(filter(None, (_start_mode(values), _snapshots(values, kept))))


def _start_mode(values: Mapping[str, str]) -> str:
    memory, architecture = int(values["MemorySize"]), values["Architecture"]
    if values["StartMode"] != "provisioned":
        return ""
    fewest, most = int(values["MinProvisioned"]), int(values["MaxProvisioned"])
    least, greatest = (f"${ready(memory, architecture, count):,.2f}" for count in (fewest, most))
    count, price = (f"{fewest}", least) if fewest == most else (f"{fewest} to {most}", f"{least} to {greatest}")
    return (
        f"provisioned: {count} instance(s) of {memory} MB ({architecture}) cost {price} a month "
        "at the prices of us-east-1, without requests and their duration"
    )


def _snapshots(values: Mapping[str, str], kept: int) -> str:
    """Lambda bills a version's snapshot until the version is deleted, also after a change of the start mode."""
    memory = int(values["MemorySize"])
    if values["StartMode"] == "snapstart":
        one, thousand, count = snapshots(memory, 1), restores(memory, 1000), kept + 1
        return (
            f"snapstart: the snapshot of each version of {memory} MB costs ${one:,.2f} a month at the prices of "
            f"us-east-1, ${snapshots(memory, count):,.2f} for up to {count} version(s) ('pilotlight prune aws' deletes "
            f"old ones), and 1,000 starts cost ${thousand:,.2f}, without requests and their duration"
        )
    if kept:
        return (
            f"{kept} old version(s) keep their snapshots, about ${snapshots(memory, kept):,.2f} a month, until "
            "'pilotlight prune aws' deletes them"
        )
    return ""


def _gb_seconds(memory_mb: int) -> float:
    return memory_mb / 1024 * HOURS * 3600
