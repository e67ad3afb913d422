"""Commands for the API keys of a stack: create, list, revoke."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from pilotlight_cli import console
from pilotlight_cli.commands.options import AsJson

if TYPE_CHECKING:
    from pilotlight_cli.aws.keys import ApiKey

Stack = Annotated[str, typer.Option("--stack", help="The name of the stack.", show_default=False)]

app = typer.Typer(no_args_is_help=True, help="Manage the API keys of a stack with Authorization api-key.")


@app.command("create")
def create(
    stack: Stack,
    label: Annotated[str, typer.Option("--label", metavar="TEXT", help="The owner or purpose of the key.")] = "",
    expires: Annotated[
        datetime | None,
        typer.Option(
            "--expires",
            metavar="DATE",
            formats=["%Y-%m-%d"],
            help="The last day (UTC) on which the key works: YYYY-MM-DD.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Create a key and print it once: only the SHA-256 of its secret is stored."""
    from pilotlight_cli.aws import keys
    from pilotlight_cli.aws.calls import client

    keys.path(stack)
    last_day, now = expires.date() if expires else None, datetime.now(UTC)
    keys.check_key(label, last_day, now)
    keys.check_stack(client("cloudformation"), stack)
    made, key = keys.create(client("ssm"), stack, label=label, expires=last_day, now=now)
    if json:
        console.print_json({"stack": stack, **_document(made), "key": key})
        return
    until = f", works until {last_day}" if last_day else ""
    console.say(f"Created {made.id} for {stack}{until}. The key, for the header x-api-key, is not shown again:")
    console.output().print(key, soft_wrap=True)


@app.command("list")
def list_(stack: Stack, json: AsJson = False) -> None:
    """List a stack's keys, without their secrets."""
    from pilotlight_cli.aws import keys
    from pilotlight_cli.aws.calls import client

    keys.path(stack)
    listed, today = keys.list_keys(client("ssm"), stack), datetime.now(UTC).date()
    unreadable = [key for key in listed if key.problem]
    if json:
        console.print_json({"stack": stack, "keys": [_document(key) for key in listed]})
    elif listed:
        rows = [(key.id, key.created[:16].replace("T", " "), _expiry(key, today), key.label) for key in listed]
        console.output().print(console.table(("id", "created", "expires", "label"), rows))
    else:
        console.note(f"{stack} has no keys; 'pilotlight keys create --stack {stack}' creates one")
    for key in unreadable:
        console.error(f"{keys.path(stack)}/{key.id}: {key.problem}")
    if unreadable:
        raise typer.Exit(1)


@app.command("revoke")
def revoke(
    key_id: Annotated[
        str, typer.Argument(metavar="ID", help="The part of the key before the dot.", show_default=False)
    ],
    stack: Stack,
    json: AsJson = False,
) -> None:
    """Revoke a key. Caches may accept it for two more minutes."""
    from pilotlight_cli.aws import keys
    from pilotlight_cli.aws.calls import client

    keys.path(stack)
    keys.revoke(client("ssm"), stack, key_id)
    if json:
        console.print_json({"stack": stack, "id": key_id, "revoked": True})
    else:
        console.output().print(
            f"Revoked {key_id} of {stack}; caches may accept it for two more minutes", soft_wrap=True
        )


def _document(key: ApiKey) -> dict[str, object]:
    if key.problem:
        return {"id": key.id, "problem": key.problem}
    expires = key.expires.isoformat() if key.expires else None
    return {"id": key.id, "label": key.label, "created_at": key.created, "expires": expires}


def _expiry(key: ApiKey, today: date) -> str | Text:
    if key.problem:
        return Text("unreadable", "red")
    if key.expires is None:
        return "never"
    return Text(f"{key.expires} (expired)", "yellow") if key.expires < today else key.expires.isoformat()
