"""The tasks of a batch job in their container: built by Docker, on a stand-in of Cloud Storage."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from batch_runs import ask, bucket_files, results, scored
from containers import docker, running, sample_image, sample_store
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.stores import open_store


def test_containers_make_the_folder_that_the_command_makes(tmp_path: Path) -> None:
    with ExitStack() as stack:
        built = stack.enter_context(sample_image(tmp_path, "batch"))
        store = stack.enter_context(sample_store(built.address))
        stack.enter_context(acting_in(store.environ))
        root = "/".join(store.url.split("/")[:3])
        source, output = f"{root}/in", f"{root}/out"
        for name, content in bucket_files(4, 0).items():
            open_store(root).replace(f"in/{name}", content)

        arguments = (source, output, "--keep", "id", "--format", "jsonl", "--shard-bytes", "2000")
        environ = {"PILOTLIGHT_STORE": store.url, **store.environ, "CLOUD_RUN_TASK_COUNT": "2"}
        tasks = [
            stack.enter_context(running(built.image, {**environ, "CLOUD_RUN_TASK_INDEX": index}, arguments=arguments))
            for index in "01"
        ]
        assert [docker("wait", task.id).strip() for task in tasks] == ["0", "0"], [task.log for task in tasks]

        manifest = scored(ask(source, tmp_path / "out", keep=("id",), format="jsonl", shard_bytes=2000))
        found = {name: open_store(output).read(name) for name in open_store(output).keys("")}
        del found["_manifest.json"]
        assert found == results(tmp_path / "out")
        assert len(manifest["parts"]) > 4
