"""Builds the container image of build/gcp, the package for Google Cloud.

Usage: python tools/container.py [BASE]

BASE is the image that it is built on, where it shall not be the one that functions/gcp/container/Dockerfile names.
"""

from __future__ import annotations

import os
import sys

from pilotlight.errors import PilotlightError
from pilotlight_cli.gcp.container import build_image, image_name

_HARDENED = "--read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges"


def main(base: str = "") -> None:
    """Build it and say how it is run."""
    try:
        image = image_name()
        build_image(image, base=base, environ=os.environ)
    except PilotlightError as error:
        sys.exit(f"no image: {error}")
    print(f"{image} is in Docker. With a folder that is a model store, it runs by")
    print(f"  docker run {_HARDENED} \\")
    print("    --volume /path/to/store:/store:ro --env PILOTLIGHT_STORE=file:///store --publish 8080:8080 " + image)


if __name__ == "__main__":
    main(*sys.argv[1:])
