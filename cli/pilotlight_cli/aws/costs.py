"""What a start mode costs a month while nobody calls, before requests and the time that they run.

Prices of us-east-1 in dollars, from https://aws.amazon.com/lambda/pricing/; most regions are at or near them.
"""

from __future__ import annotations

from collections.abc import Mapping

HOURS = 730  # a month

# For each GB of memory and second, of an instance that is kept ready.
READY = {"x86_64": 0.0000041667, "arm64": 0.0000033334}

# For each GB of memory and second, of a version whose snapshot is kept; and for each GB, of a start from it.
SNAPSHOT = 0.0000015046
RESTORE = 0.0001397998


def ready(memory_mb: int, architecture: str, instances: int) -> float:
    """Instances that are kept ready, a month."""
    return instances * _gb_seconds(memory_mb) * READY[architecture]


def snapshots(memory_mb: int, versions: int) -> float:
    """Versions whose snapshots are kept, a month."""
    return versions * _gb_seconds(memory_mb) * SNAPSHOT


def restores(memory_mb: int, starts: int) -> float:
    """That many starts from a snapshot."""
    return starts * memory_mb / 1024 * RESTORE


def cost_text(values: Mapping[str, str], kept: int) -> str:
    """Sentences on what the parameters ask for; `kept` versions have a snapshot already. Empty for nothing."""
    return ". ".join(filter(None, (_start_mode(values), _snapshots(values, kept))))


def _start_mode(values: Mapping[str, str]) -> str:
    memory, architecture = int(values["MemorySize"]), values["Architecture"]
    if values["StartMode"] != "provisioned":
        return ""
    fewest, most = int(values["MinProvisioned"]), int(values["MaxProvisioned"])
    least, greatest = (f"${ready(memory, architecture, count):,.2f}" for count in (fewest, most))
    count, price = (f"{fewest}", least) if fewest == most else (f"{fewest} to {most}", f"{least} to {greatest}")
    return (
        f"provisioned: {count} instance(s) of {memory} MB ({architecture}) are kept ready, which costs {price} a month "
        "at the prices of us-east-1. Requests and the time that they run come on top"
    )


def _snapshots(values: Mapping[str, str], kept: int) -> str:
    """The snapshots of versions are billed as long as these are there, also after another start mode was chosen."""
    memory = int(values["MemorySize"])
    if values["StartMode"] == "snapstart":
        one, thousand, there = snapshots(memory, 1), restores(memory, 1000), kept + 1
        return (
            f"snapstart: the snapshot of each version of {memory} MB costs ${one:,.2f} a month at the prices of "
            f"us-east-1, ${snapshots(memory, there):,.2f} for the {there} that may be there ('pilotlight prune aws' "
            f"deletes old ones), and 1,000 starts cost ${thousand:,.2f}. Requests and the time that they run come on "
            "top"
        )
    if kept:
        return (
            f"{kept} old version(s) keep their snapshots, about ${snapshots(memory, kept):,.2f} a month, until "
            "'pilotlight prune aws' deletes them"
        )
    return ""


def _gb_seconds(memory_mb: int) -> float:
    return memory_mb / 1024 * HOURS * 3600
