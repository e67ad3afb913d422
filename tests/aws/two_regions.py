"""A fetch from S3 as it is in two regions: each has its host's name, its server and its certificate.

Run in a network and with a table of hosts of its own (`unshare`), in which the names of AWS's hosts are this machine's.
Prints what was warned of, how the fetch failed where it did, and in which regions' names each server was asked.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from doubles import CONTENT, description
from fakes.fake_s3 import FakeS3
from pilotlight.errors import PilotlightError
from pilotlight.fetch.model_files import ModelFiles
from s3_store import S3Store
from servers import certificates

KEY = "team/example/3/model.onnx"


def host(region: str) -> str:
    """Where the bucket is asked for."""
    return f"models.s3.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}"


def main(folder: Path, home: str, forged: str) -> None:
    """Fetch from a bucket in `home` while the environment says us-east-1. `forged`: with an untrusted certificate."""
    regions = ("us-east-1", home)
    hosts = folder / "hosts"
    hosts.write_text("".join(f"127.0.0.{number} {host(region)}\n" for number, region in enumerate(regions, 2)))
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    fakes: list[FakeS3] = []
    with ExitStack() as stack:
        trusted = b""
        for number, region in enumerate(regions, 2):
            (folder / region).mkdir()
            context, certificate = certificates.make(folder / region, region, [host(region)])
            trusted += b"" if region == forged else certificate.read_bytes()
            fakes.append(stack.enter_context(FakeS3(context, (f"127.0.0.{number}", 443))))
            fakes[-1].buckets["models"].region = home
        fakes[-1].put(KEY, CONTENT)
        bundle = folder / "bundle.pem"
        bundle.write_bytes(trusted)
        environ = {**fakes[0].environ(), "AWS_CA_BUNDLE": str(bundle)}
        del environ["AWS_ENDPOINT_URL_S3"]
        os.environ.update(environ)
        store = S3Store("s3://models/team", environ, warn=print)
        try:
            ModelFiles(store, description(), folder / "model", time.monotonic).fetch(60.0, lambda _: None)
        except PilotlightError as error:
            print(f"{type(error).__name__}: {error}")
        for fake, region in zip(fakes, regions, strict=True):
            print(region, *fake.regions)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
