"""What instances get in `gcp.toml`: sizes that Cloud Run accepts, and the settings that become options of gcloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pilotlight.model.json_document import Node

_UNITS = {"Mi": 1 << 20, "Gi": 1 << 30, "M": 10**6, "G": 10**9}

# From so many vCPUs on: the least and the most memory, in MiB. Above one vCPU there are these numbers alone.
# https://cloud.google.com/run/docs/configuring/services/cpu and .../memory-limits
_SIZES = (
    (0.08, 128, 512),
    (0.5, 128, 1024),
    (1, 128, 4096),
    (2, 128, 8192),
    (4, 2048, 16384),
    (6, 4096, 24576),
    (8, 4096, 32768),
)

# https://cloud.google.com/run/docs/configuring/request-timeout
_LONGEST = 3600


def read_size(memory: Node, cpu: Node, concurrency: Node) -> tuple[str, float, int]:
    """Read what an instance has, and the requests that it gets at once. Raises FormatError for what is refused."""
    cpus = cpu.number()
    whole = [size for size, _, _ in _SIZES if size > 1]
    if not (_SIZES[0][0] <= cpus <= 1 or cpus in whole):
        raise cpu.fail("vCPUs: 0.08 to 1, 2, 4, 6 or 8")
    amount = memory.string(r"[1-9][0-9]*(Mi|Gi|M|G)", "an amount of memory, like 512Mi")
    least, most = next((least, most) for size, least, most in reversed(_SIZES) if size <= cpus)
    if not least <= bytes_of(amount) / _UNITS["Mi"] <= most:
        raise memory.fail(
            f"{_text(least)} to {_text(most)}, because Cloud Run allows no other memory with cpu {cpus:g}"
        )
    requests = concurrency.integer(at_least=1)
    if requests > 1000:
        raise concurrency.fail("at most 1000 requests at once")
    if requests > 1 and cpus < 1:
        raise concurrency.fail("1, because Cloud Run allows more only with a cpu of at least 1")
    return amount, cpus, requests


def bytes_of(amount: str) -> int:
    """Return the bytes of an amount of memory like 512Mi."""
    unit = amount.lstrip("0123456789")
    return int(amount.removesuffix(unit)) * _UNITS[unit]


def read_workers(node: Node, cpu: float) -> int:
    """Read the number of processes, each with the model, that share an instance."""
    workers = node.integer(at_least=1)
    if workers > max(cpu, 1):
        raise node.fail(f"at most one process for each vCPU, and cpu is {cpu:g}")
    return workers


def read_options(fields: Mapping[str, Node]) -> tuple[str, ...]:
    """Return gcloud's options for what is set. What is not set stays as it is on the function."""
    if "vpc_egress" in fields and not fields.get("vpc_connector", Node("")).value:
        raise fields["vpc_egress"].fail("no vpc_egress without a vpc_connector")
    return tuple(OPTIONS[name](fields[name]) for name in OPTIONS if name in fields)


def _connector(node: Node) -> str:
    name = node.string(r"|(projects/[^/,]+/locations/[^/,]+/connectors/)?[a-z][a-z0-9-]{0,24}", "a connector's name")
    return f"--vpc-connector={name}" if name else "--clear-vpc-connector"


def _secrets(node: Node) -> str:
    if not isinstance(node.value, dict):
        raise node.fail("an object")
    pairs = ",".join(
        f"{name}={secret.string('[A-Za-z0-9_-]+:([1-9][0-9]*|latest)', 'a secret and its version, like key:1')}"
        for name, secret in node.fields(optional=tuple(node.value)).items()
    )
    return f"--set-secrets={pairs}" if pairs else "--clear-secrets"


OPTIONS: Mapping[str, Callable[[Node], str]] = {
    "timeout": lambda node: f"--timeout={node.integer(at_least=1, at_most=_LONGEST)}s",
    "ingress": lambda node: f"--ingress-settings={node.one_of('all', 'internal-only', 'internal-and-gclb')}",
    "vpc_connector": _connector,
    "vpc_egress": lambda node: f"--egress-settings={node.one_of('private-ranges-only', 'all')}",
    "secrets": _secrets,
}


def _text(mebibytes: int) -> str:
    return f"{mebibytes}Mi" if mebibytes < 1024 else f"{mebibytes // 1024}Gi"
