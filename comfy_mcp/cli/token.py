"""`comfy-workbench token`: let others in over HTTP, see whom, and lock them out."""

from __future__ import annotations

import time

import anyio
import click
from rich.console import Console
from rich.table import Table

from comfy_mcp.callers import OWN, Right
from comfy_mcp.settings import load_settings
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.tokens import Token

__all__ = ["command"]


@click.group("token")
def command() -> None:
    """Tokens that let others call over HTTP. A running workbench knows of a change within a second."""


@command.command("add")
@click.argument("name")
@click.option("--owner", default="", help=f"Whose jobs it makes and sees; {OWN} owns this machine. [default: NAME]")
@click.option(
    "--right",
    "rights",
    multiple=True,
    type=click.Choice([right.value for right in Right]),
    help="May be repeated. [default: make]",
)
@click.option("--rate", type=click.IntRange(min=0), help="Requests a minute, 0 for any number. [default: as set]")
@click.option("--waiting", type=click.IntRange(min=1), help="Most jobs of its owner, and chats, that may wait.")
def add(name: str, owner: str, rights: tuple[str, ...], rate: int | None, waiting: int | None) -> None:
    """Make a token and print it, this once: what is kept is only good for recognising it.

    make: ask for pictures and texts. graphs: send graphs through ComfyUI's routes. users: say which of many users asks.
    admin: pause backends.

    Each token has jobs of its own. For one more device of yours, which shall see the same jobs, say --owner local; of
    several tokens of one owner, the smallest number that may wait counts.
    """
    allowed = frozenset(Right(right) for right in rights) or frozenset({Right.MAKE})
    anyio.run(_add, Token(name, owner, allowed, rate, waiting))


@command.command("list")
def listed() -> None:
    """The tokens by name, with whose they are and what they may."""
    anyio.run(_list)


@command.command("revoke")
@click.argument("name")
def revoke(name: str) -> None:
    """Lock out who has this token."""
    anyio.run(_revoke, name)


async def _add(token: Token) -> None:
    async with Workbench.open(load_settings(), dispatch=False) as workbench:
        click.echo(await workbench.tokens.add(token))
    click.echo(f"{token.name} makes jobs of {token.whose}. This is the only time that it is shown.", err=True)


async def _list() -> None:
    table = Table()
    for heading in ("token", "owner", "rights", "requests a minute", "jobs waiting", "made"):
        table.add_column(heading)
    async with Workbench.open(load_settings(), dispatch=False) as workbench:
        for token in await workbench.tokens.all():
            rate, waiting = ("as set" if most is None else str(most) for most in (token.rate, token.waiting))
            rate = "any" if rate == "0" else rate
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(token.created))
            table.add_row(token.name, token.owner, ", ".join(sorted(token.rights)), rate, waiting, made)
    Console(width=160).print(table)


async def _revoke(name: str) -> None:
    settings = load_settings()
    async with Workbench.open(settings, dispatch=False) as workbench:
        await workbench.tokens.revoke(name)
        last = settings.token is None and not await workbench.tokens.exist()
    if last:
        words = "No token is left: what runs now lets nobody in; started again on loopback, it asks for none."
        click.echo(words, err=True)
