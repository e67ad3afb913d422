"""Writes the messages of functions/container/grpc/grpc_inference.proto as Python: grpc_inference_pb2.py and its types.

Usage: python tools/grpc_code.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

from grpc_tools import protoc

from pilotlight_cli.assets import FUNCTIONS

FOLDER = FUNCTIONS / "container" / "grpc"
WRITTEN = ("grpc_inference_pb2.py", "grpc_inference_pb2.pyi")


def generate(folder: Path) -> None:
    """Write the files to a folder. Raise SystemExit with the compiler's exit code."""
    options = [f"--proto_path={FOLDER}", f"--python_out={folder}", f"--pyi_out={folder}"]
    code = protoc.main(["protoc", *options, "grpc_inference.proto"])
    if code:
        raise SystemExit(code)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    generate(FOLDER)
