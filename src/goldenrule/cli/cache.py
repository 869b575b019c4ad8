"""`goldenrule cache`: the features that are kept."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from goldenrule.cli.options import Command, Group, Numbers, command

app = typer.Typer(
    cls=Group,
    help="Show, limit and clear the feature cache.\n\nExamples:\n\n  goldenrule cache\n\n"
    "  goldenrule cache limit 20GB     the least recently used are removed\n\n"
    "  goldenrule cache clear 3f2a     one cache, by the beginning of its name\n\n"
    "  goldenrule cache clear --all\n\n"
    "  goldenrule cache clear --leftovers     what killed processes left unfinished",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
)


@command()
def cache(context: typer.Context) -> Numbers:
    """Show, limit and clear the feature cache."""
    return _show() if context.invoked_subcommand is None else {}


@command()
def clear(
    names: Annotated[
        list[str] | None, typer.Argument(help="Beginnings of the names of feature caches.", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Clear every feature cache.")] = False,
    leftovers: Annotated[
        bool, typer.Option("--leftovers", help="Remove what killed processes left unfinished in the cache.")
    ] = False,
) -> Numbers:
    """Remove feature caches; what they held is computed again when it is needed."""
    from goldenrule.core.console import Console
    from goldenrule.core.errors import OptionError
    from goldenrule.core.findings import plural
    from goldenrule.core.memory import readable_bytes
    from goldenrule.features import cache as caches
    from goldenrule.storage.cache_folder import clear_leftovers

    console = Console()
    if leftovers:
        if names or everything:
            raise OptionError("--leftovers removes no feature caches: give it alone.")
        count, size = clear_leftovers()
        console.print(f"{plural(count, 'unfinished leftover')} removed, {readable_bytes(size)} freed.", highlight=False)
        return {"removed": count, "bytes": size}
    if bool(names) == everything:
        raise OptionError(
            "Name the feature caches to clear (goldenrule cache shows them), or give --all or --leftovers."
        )
    removed = caches.clear(None if everything else names)
    size = sum(one["bytes"] for one in removed)
    console.print(f"{plural(len(removed), 'feature cache')} cleared, {readable_bytes(size)} freed.", highlight=False)
    return {"removed": len(removed), "bytes": size}


@command()
def limit(
    size: Annotated[
        str,
        typer.Argument(help="The most that all feature caches may take: 20GB, 500MB, or none.", show_default=False),
    ],
) -> Numbers:
    """Limit what all feature caches take together."""
    from goldenrule.core.console import Console
    from goldenrule.core.findings import plural
    from goldenrule.core.memory import readable_bytes
    from goldenrule.features import cache as caches

    caches.set_limit(parse_bytes(size))
    removed = caches.enforce_limit()
    freed = f" Removed for it: {plural(len(removed), 'feature cache')}." if removed else ""
    most = caches.limit()
    allowed = readable_bytes(most) if most else "what they need"
    Console().print(f"The feature caches may take {allowed}.{freed}", highlight=False)
    return {"limit": most, "removed": len(removed)}


def parse_bytes(text: str) -> int | None:
    """Read a size for people; "none" is None.

    >>> parse_bytes("1.5GB"), parse_bytes("none")
    (1500000000, None)
    """
    from goldenrule.core.errors import OptionError

    if text.lower() in ("none", "no", "off"):
        return None
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise OptionError(f"{text!r} is no size; wanted something like 20GB, 500MB or none.")
    powers = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
    if text.strip().isdecimal():
        raise OptionError(f"{text} of what? Give the unit: {text}GB, or {text}MB.")
    return int(float(match[1]) * 1000 ** powers[match[2].lower()])


def _show() -> Numbers:
    import datetime

    from rich import box
    from rich.table import Table

    from goldenrule.core.console import Console
    from goldenrule.core.findings import plural
    from goldenrule.core.memory import readable_bytes
    from goldenrule.features import cache as caches
    from goldenrule.models.catalog import canonical_name
    from goldenrule.storage.cache_folder import cache_leftovers
    from goldenrule.storage.unfinished import size_of

    stored = caches.stored()
    console = Console()
    table = Table(box=box.SIMPLE_HEAD, title=f"Features in {caches.banks_folder()}", title_justify="left")
    for name in ("name", "network, px", "view", "engine", "rows", "size", "last used"):
        table.add_column(name, justify="right" if name in ("rows", "size") else "left")
    for one in stored:
        key = one["key"]
        if not key:
            name, size = one["name"][:8], readable_bytes(one["bytes"])
            table.add_row(name, "its key is damaged: the next row mends it", "", "", f"{one['rows']:,}", size, "")
            continue
        view = key["view"]
        shown = "plain" if view["kind"] == "plain" else f"{view['by']['name']} {view['index']}"
        used = datetime.datetime.fromtimestamp(one["used"]).strftime("%m-%d %H:%M")
        engine = key["engine"]["precision"]
        size = key["preprocessing"]["size"]
        table.add_row(
            one["name"][:8],
            f"{canonical_name(key['network'])} {size}" + (", early layers" if key["tap"] == "boundary" else ""),
            shown,
            engine,
            f"{one['rows']:,}",
            readable_bytes(one["bytes"]),
            used,
        )
    console.print(table)
    most = caches.limit()
    total = readable_bytes(sum(one["bytes"] for one in stored))
    if left := cache_leftovers():
        console.print(
            f"{plural(len(left), 'unfinished leftover')} of killed processes, "
            f"{readable_bytes(sum(map(size_of, left)))}: goldenrule cache clear --leftovers."
        )
    console.print(
        f"{total} in all"
        + (f", at most {readable_bytes(most)}." if most else ". No limit is set: goldenrule cache limit 20GB.")
    )
    return {"folder": str(caches.banks_folder()), "caches": stored, "limit": most}


app.callback(invoke_without_command=True)(cache)
app.command(cls=Command)(clear)
app.command(cls=Command)(limit)
