"""Rules about numbers among the parameters, which the template's own rules cannot compare."""

from __future__ import annotations

from pilotlight.model.lock import Description
from pilotlight_cli.aws.changes import Values
from pilotlight_cli.pinning.needs import too_small

# Number parameters that must be whole.
_WHOLE_NUMBERS = (
    *("MinProvisioned", "MaxProvisioned", "MemorySize"),
    *("EphemeralStorageMb", "TimeoutSeconds", "MaxBodyBytes", "SilenceHours"),
)

# What a new account may give a function until AWS raises it; no API tells which accounts are new.
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
_NEW_ACCOUNT_MB = 3008


def beyond_rules(values: Values, model: Description) -> list[str]:
    """Return a sentence for each error that the template's rules cannot find, as they compare no numbers."""
    if broken := [name for name in _WHOLE_NUMBERS if not values[name].isdecimal()]:
        return [f"{name} is {values[name]}; expected a whole number" for name in broken]
    fewest, most, timeout = (int(values[name]) for name in ("MinProvisioned", "MaxProvisioned", "TimeoutSeconds"))
    budget = float(values["LatencyBudgetMs"])
    refused = []
    if fewest > most:
        refused.append(
            f"MinProvisioned is {fewest} and MaxProvisioned {most}; expected a maximum of at least the minimum"
        )
    if values["ReservedConcurrency"] and most > int(values["ReservedConcurrency"]):
        refused.append(
            f"MaxProvisioned is {most} and ReservedConcurrency {values['ReservedConcurrency']}; expected a reserved "
            "concurrency of at least the provisioned instances"
        )
    if budget > timeout * 1000:
        refused.append(
            f"LatencyBudgetMs is {budget:g} and TimeoutSeconds {timeout}; requests time out before they exceed the "
            "budget, so the alarm would never fire; expected a budget within the timeout"
        )
    if refusal := too_small(model, "MemorySize", int(values["MemorySize"]) << 20):
        refused.append(refusal)
    return refused


def memory_text(wanted: Values, deployed: Values) -> str:
    """Return a sentence about memory that new accounts refuse; empty for less, or for what is deployed already."""
    memory = int(wanted["MemorySize"])
    if memory <= max(_NEW_ACCOUNT_MB, int(deployed.get("MemorySize", 0))):
        return ""
    return (
        f"MemorySize is {memory}; new AWS accounts refuse more than {_NEW_ACCOUNT_MB} MB, and roll the stack back: ask "
        "AWS support for more, or set a smaller MemorySize in samconfig.toml"
    )
