"""What a model needs, as its publisher measured it, in the words of those who configure memory."""

from __future__ import annotations

from pilotlight.model.lock import Description
from pilotlight.start.machine import least_memory

_MB = 1 << 20

# To configure, of the measured peak: requests need memory too, and other machines differ. Clouds sell 128 MB at least.
_TO_CONFIGURE = 1.25
_STEP = 64
_LEAST = 128

# Lambda gives an init on demand so many milliseconds, and repeats it within the first request's time after that.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
_INIT = 10_000


def to_configure(model: Description, *, disk_is_memory: bool = False) -> int:
    """Return the MB of memory to configure for a model with measured needs; 0 for another."""
    if model.needs is None:
        return 0
    files = sum(file.size for file in model.files) / _MB if disk_is_memory else 0
    return max(_LEAST, -int(-(model.needs.memory_mb * _TO_CONFIGURE + files) // _STEP) * _STEP)


def needs_text(model: Description) -> str:
    """Return what a start took, or an empty string."""
    return f"{model.needs.memory_mb} MB, {model.needs.load_ms / 1000:.1f} s to load" if model.needs else ""


def slow_start(model: Description) -> str:
    """Return a sentence about a load that is longer than Lambda's init on demand, or an empty string."""
    if model.needs is None or model.needs.load_ms <= _INIT:
        return ""
    return (
        f"{model.name}:{model.version} took {model.needs.load_ms / 1000:.1f} s to load, and Lambda ends an init on "
        f"demand after {_INIT // 1000} s: set StartMode to provisioned or snapstart in samconfig.toml, or make the "
        "model smaller with 'pilotlight optimize'"
    )


def too_small(model: Description, setting: str, size: int, *, disk_is_memory: bool = False) -> str:
    """Return a sentence about a setting of so many bytes in which the model cannot start, or an empty string."""
    files = sum(file.size for file in model.files) if disk_is_memory else 0
    if model.needs is None or size >= least_memory(model) + files:
        return ""
    beside = f", beside {-(-files // _MB)} MB of files in memory" if files else ""
    return (
        f"{setting} is {size // _MB} MB, and a start of {model.name}:{model.version} took {model.needs.memory_mb} MB "
        f"when it was published{beside}; set at least {to_configure(model, disk_is_memory=disk_is_memory)} MB"
    )
