"""`goldenrule serve`: a classifier behind HTTP."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from goldenrule.cli.custom import CustomBackbone, CustomHead, loaded
from goldenrule.cli.options import Numbers, Run, Threads, command

EXAMPLES = """Examples:

  goldenrule serve runs/dogscats     a page on http://127.0.0.1:8000, for this computer alone

  goldenrule serve runs/dogscats --port 0     a free port, which is printed

  curl -F files=@photo.jpg 'http://127.0.0.1:8000/predict?top=3'     ask it

  goldenrule serve runs/dogscats --min-confidence 0.9     below it: status "unsure", no prediction
"""


@command(EXAMPLES)
def serve(
    run: Run,
    host: Annotated[str, typer.Option(help="The address to listen on.", metavar="ADDRESS")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 is a free one.", metavar="N")] = 8000,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(help="A name it is called by too; * is any. Repeatable.", metavar="NAME", show_default=False),
    ] = None,
    min_confidence: Annotated[float, typer.Option(help="Below this probability there is no prediction.")] = 0.0,
    ood: Annotated[
        str,
        typer.Option(
            help="Out-of-distribution images: keep (status ok), flag, or abstain (no prediction).", metavar="WHAT"
        ),
    ] = "flag",
    max_mb: Annotated[int, typer.Option("--max-mb", help="The largest request, in MB.", metavar="N")] = 32,
    max_requests: Annotated[int, typer.Option(help="Answer so many requests at once.", metavar="N")] = 128,
    timeout: Annotated[float, typer.Option(help="Seconds for a request to arrive, and for its answer.")] = 30.0,
    training_images: Annotated[
        str,
        typer.Option(help="Who sees the nearest training images: local (this computer), all, nobody.", metavar="WHO"),
    ] = "local",
    custom_head: CustomHead = "",
    custom_backbone: CustomBackbone = "",
    threads: Threads = None,
) -> Numbers:
    """Serve a classifier: a page for people, POST /predict for programs. Ends with Ctrl-C or SIGTERM."""
    from goldenrule.core.alive import shown
    from goldenrule.core.console import Console, Text
    from goldenrule.deploy.bulk import RowRules
    from goldenrule.deploy.web.serving import Address, serve
    from goldenrule.deploy.web.uploads import Limits

    console = Console()
    warnings = Console(stderr=True)
    address = Address(host=host, port=port, allowed=tuple(allow_host or ()))
    limits = Limits(megabytes=max_mb, requests=max_requests, seconds=timeout)
    if not address.is_local:
        open_to = Text("warning: others can reach this address, and nobody is asked who they are. ", style="yellow")
        open_to.append("Put a proxy before it that does.")
        warnings.print(open_to, soft_wrap=True)

    def say(text: str) -> None:
        warnings.print(Text(text, style="yellow" if text.startswith("warning") else ""), soft_wrap=True)

    def listening(at: str) -> None:
        console.print(
            Text(f"Serving {run}: open {at} in a browser (or: curl -F files=@photo.jpg {at}/predict). Ctrl-C ends it."),
            soft_wrap=True,
        )
        console.file.flush()

    with shown():
        done = serve(
            partial(loaded, run, custom_head, custom_backbone),
            run,
            address=address,
            rules=RowRules(min_confidence=min_confidence, when_ood=ood),  # type: ignore[arg-type]  # checked there
            limits=limits,
            threads=threads,
            training_images=training_images,  # type: ignore[arg-type]  # checked there
            say=say,
            listening=listening,
        )
    console.print(Text(f"Stopped: {done.pictures:,} pictures were answered."))
    return done
