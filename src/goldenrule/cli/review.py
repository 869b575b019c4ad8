"""`goldenrule review`: the labels of a run, looked at again in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from goldenrule.cli.options import FinishedRun, Numbers, Threads, command

if TYPE_CHECKING:
    from goldenrule.tasks.cleaning.suspects import Suspects

SHOWN = 3
EXAMPLES = """Examples:

  goldenrule review runs/photos     a page on this computer: one key a decision; Ctrl-C ends it

  goldenrule review runs/photos --port 8001     from afar: ssh -L 8001:localhost:8001, then open its address here

Decisions: runs/photos/review/journal.csv. Images are never touched. Then:

  goldenrule fit photos --journal runs/photos/review/journal.csv     fit with the decisions applied

  goldenrule labels runs/photos --apply cleaned.csv                  or a table, or a copy of the images
"""


@command(EXAMPLES)
def review(
    run: FinishedRun,
    port: Annotated[int, typer.Option(help="The port; 0 is a free one.", metavar="N")] = 0,
    threads: Threads = None,
) -> Numbers:
    """Review suspected labels, copies, leaks, mistakes and odd images in the browser; refit the head beside."""
    from goldenrule.analysis.review_queue import counted
    from goldenrule.core.alive import shown
    from goldenrule.core.console import Console, Text
    from goldenrule.core.findings import plural
    from goldenrule.core.progress import Bars
    from goldenrule.deploy.review.review_process import review_run, show_in_browser
    from goldenrule.runs.review_journal import journal_of
    from goldenrule.storage.files import in_shell

    console = Console()

    def listening(address: str, suspects: Suspects, stale: frozenset[str]) -> None:
        for text in notes(suspects, stale):
            console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)
        what = counted(suspects.cards) or "nothing is suspect"
        console.print(Text(f"To review: {plural(len(suspects.cards), 'card')} ({what})."), soft_wrap=True)
        console.print(Text(f"Open {address}   Ctrl-C ends it; every decision is saved."), soft_wrap=True)
        console.file.flush()
        show_in_browser(address)

    with shown():
        done = review_run(run, port=port, threads=threads, progress=Bars(), listening=listening)
    counts = ", ".join(f"{count:,} {verdict}" for verdict, count in done.decisions.items())
    console.print(
        Text(
            f"Decided: {done.decided:,} of {plural(done.cards, 'card')}" + (f" (images: {counts})." if counts else ".")
        )
    )
    if done.decisions:
        journal = in_shell(journal_of(run))
        console.print(Text(f"Journal: {journal}"), soft_wrap=True)
        again = f"goldenrule fit {in_shell(done.images)} --journal {journal}"
        console.print(Text(f"Next:    your fit again with the decisions: {again}"), soft_wrap=True)
    return done


def notes(suspects: Suspects, stale: frozenset[str]) -> list[str]:
    """Return what is missing from a review."""
    from goldenrule.core.findings import plural

    found = []
    if suspects.left_out:
        names = ", ".join(suspects.left_out[:SHOWN]) + (", ..." if suspects.left_out[SHOWN:] else "")
        found.append(f"{plural(len(suspects.left_out), 'labelled image')} could not be read: {names}.")
    if stale:
        names = ", ".join(sorted(stale)[:SHOWN]) + (", ..." if len(stale) > SHOWN else "")
        found.append(
            f"{plural(len(stale), 'earlier decision')} {'is' if len(stale) == 1 else 'are'} about images that were "
            f"changed since, and do not count: {names}."
        )
    return found
