"""ONNX Runtime's refusals as sentences: without the paths and signatures of its own source, with what to do.

Imported only where something failed.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pilotlight.errors import ModelError

_CODE = re.compile(r"\[ONNXRuntimeError\] : \d+ : (\w+) : ")
_LOADING = re.compile(r"Load model from .*? failed:", re.DOTALL)
# A place in the source: a path and a signature, or a file's name and a function's.
_PATH = re.compile(r"/\S*\.(?:cc|cpp|h|hpp):\d+ ")
_NAME = re.compile(r"\b\w+\.(?:cc|cpp|h|hpp):\d+ \w+ ")
_SIGNATURE = re.compile(r"[\w:<>~,&*\s{}]*(?=\()")
_QUALIFIER = re.compile(r"\s*(?:const\b|noexcept\b|\[with [^\]]*\]|::(?:<lambda\(\)>|operator\(\)|[\w~]+))")

_LONGEST = 4000  # a name in a message has any length

Explain = Callable[["re.Match[str]", str], str]


def _newer_ir(match: re.Match[str], version: str) -> str:
    return (
        f"has IR version {match['found']}, but onnxruntime {version} supports IR versions up to {match['supported']}; "
        f"export it with an older onnx, or set model.ir_version = {match['supported']} and save it again"
    )


def _newer_opset(match: re.Match[str], version: str) -> str:
    found, supported, domain = match["found"], match["supported"], match["domain"]
    change = f"export it for opset {supported}, or convert it with onnx.version_converter"
    if domain != "ai.onnx":  # which is all that the version converter knows
        change = f"export it for opset {supported} of that domain: target_opset={{'{domain}': {supported}}} in skl2onnx"
    return f"has opset {found} of {domain}, but onnxruntime {version} supports opsets up to {supported}; {change}"


def _twice(match: re.Match[str], _version: str) -> str:
    return f"has two inputs, or values in its graph, named {match['name']!r}; export it with a name for each"


def _ort_version(match: re.Match[str], version: str) -> str:
    return (
        f"has version {match['found']} of ONNX Runtime's own format, which onnxruntime {version} does not read; make "
        "it again from the ONNX model: pilotlight optimize --one-file MODEL.onnx OUTDIR"
    )


def _damaged(_match: re.Match[str], _version: str) -> str:
    return "is a model in ONNX Runtime's own format that is truncated or damaged; copy or make it again"


def _operator(match: re.Match[str], version: str) -> str:
    domain = match.groupdict().get("domain") or ""
    of = f" of the domain {domain}" if domain else ""
    return (
        f"uses the operator {match['name']}{of}, which onnxruntime {version} does not have; export the model without "
        "it: custom operators are not served"
    )


def _no_kernel(match: re.Match[str], version: str) -> str:
    return (
        f"uses the operator {match['name']} of version {match['since']} with types that onnxruntime {version} does not "
        "run on a processor; cast its inputs to FLOAT, or export the model for another opset"
    )


# What a refusal says, and the sentence for it, which follows the file's name.
_KNOWN: tuple[tuple[re.Pattern[str], Explain], ...] = (
    (
        re.compile(r"Unsupported model IR version: (?P<found>\d+), max supported IR version: (?P<supported>\d+)"),
        _newer_ir,
    ),
    (
        re.compile(
            r"Opset (?P<found>\d+) is under development.* domain (?P<domain>\S+) is till opset (?P<supported>\d+)",
            re.DOTALL,
        ),
        _newer_opset,
    ),
    (re.compile(r"Fatal error: (?:(?P<domain>[^\s:]*):)?(?P<name>\w+)\(-?\d+\) is not a registered"), _operator),
    (re.compile(r'In Node, \(".*?", \w*, "(?P<domain>[^"]*)".* No Op registered for (?P<name>\w+)'), _operator),
    (re.compile(r"Duplicate definition(?:-site for| of name) \((?P<name>.*?)\)"), _twice),
    (re.compile(r"ORT format model \(?version \[?(?P<found>\d+)"), _ort_version),
    (re.compile(r"ORT model verification failed|Invalid ORT format model"), _damaged),
    (re.compile(r"(?:find an implementation|find kernel) for (?P<name>\w+)\((?P<since>\d+)\)"), _no_kernel),
)


class OnnxRuntimeError(Exception):
    """What ONNX Runtime said about a run, cleaned."""


def load_error(name: str, error: Exception, version: str) -> ModelError:
    """Return the error for a model file that ONNX Runtime of this version does not load."""
    for pattern, explain in _KNOWN:
        if match := pattern.search(str(error)):
            return ModelError(f"{name} {explain(match, version)}")
    return ModelError(f"onnxruntime {version} cannot load {name}: {cleaned(str(error))}")


def cleaned(message: str) -> str:
    """Return a message on one line, with its code, without places in the source and the file's path."""
    text = _LOADING.sub("", _CODE.sub(r"\1: ", message[:_LONGEST]))
    while match := _PATH.search(text):
        text = text[: match.start()] + _after_signature(text[match.end() :])
    return " ".join(_NAME.sub("", text).split())


def _after_signature(text: str) -> str:
    """Return what follows a function's signature; all of the text where there is none."""
    match = _SIGNATURE.match(text)
    if match is None:
        return text
    end = _balanced(text, match.end())
    while qualifier := _QUALIFIER.match(text, end):
        end = qualifier.end()
        if text[end : end + 1] == "(":
            end = _balanced(text, end)
    return text[end:].lstrip()


def _balanced(text: str, start: int) -> int:
    """Return the position after the parenthesis that closes the one at `start`."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] == "(") - (text[position] == ")")
        if depth == 0:
            return position + 1
    return start
