"""``wehr demo``: a hundred days in half a minute."""

import asyncio
import signal
import tempfile
import time
from pathlib import Path

import rich_click as click
from rich import box
from rich.live import Live
from rich.progress import track
from rich.table import Table

from wehr.cli.output import BadUse, console
from wehr.cli.report import print_report
from wehr.cli.serve import pages_lines
from wehr.service.config import Config, Log, Web
from wehr.service.demonstration import DAY, Demonstration, Today
from wehr.service.door_settings import Milter
from wehr.service.fleet import FLEET
from wehr.service.listeners import Listeners
from wehr.service.logs import configure
from wehr.service.state_folder import StartError


@click.command("demo")
@click.option(
    "--seconds", type=click.FloatRange(0), default=30.0, show_default=True, help="How long it plays."
)
@click.option(
    "--days", type=click.IntRange(1, 400), default=100, show_default=True, help="Days that it plays."
)
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the state in this new folder.")
@click.option(
    "--web",
    is_flag=False,
    flag_value="127.0.0.1:8894",
    metavar="[HOST:PORT]",
    help="Fill the pages with sixty servers instead, and serve them there.  [default: 127.0.0.1:8894]",
)
def command(seconds: float, days: int, keep: Path | None, web: str | None) -> None:
    """Play 100 days in half a minute: five servers, the real milter door, no mail system needed.

    One server is never patched, one is patched, one paused, one renamed, one up to date. The report ends it.

    With --web there are sixty servers, played as fast as can be, and then the pages to look around in.
    """
    configure(Log(level="error"))
    if keep and keep.exists() and any(keep.iterdir()):
        raise BadUse(f"{keep} is not empty: name a new folder with --keep")
    with tempfile.TemporaryDirectory(prefix="wehr-demo-") as scratch:
        folder = keep or Path(scratch)
        try:
            if web is None:
                demonstration = Demonstration(folder, time.time() - days * DAY, days)
                asyncio.run(_play(demonstration, seconds / days))
                print_report(demonstration.report())
            else:
                asyncio.run(_show(_fleet(folder, days), web))
        except StartError as error:
            raise BadUse(str(error)) from None
    if keep:
        click.echo(f"Ask on with: wehr report --state {keep}")


def _fleet(folder: Path, days: int) -> Demonstration:
    """The last day is today, as far as it has come."""
    now = time.time()
    return Demonstration(folder, now - (days - 1) * DAY, days, FLEET, until=now)


async def _show(demonstration: Demonstration, address: str) -> None:
    """Play, and then serve the pages until a signal comes.

    They are served as ever, log-in and all: so each role can be tried, and no way in is made for this alone.
    """
    try:
        # It takes a while to play: what would fail after it is tried before.
        Listeners(Config(milter=Milter(listen=(), socket=""), web=Web(listen=(address,))), Path()).close()
    except ValueError as error:
        raise BadUse(f"--web: {error}") from None
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    days = demonstration.play()
    for _ in track(range(demonstration.days), "Days played", console=console(), transient=True):
        await anext(days)
        if stop.is_set():
            break
    await days.aclose()
    if stop.is_set():
        return
    async with demonstration.pages(address) as service:
        click.echo("\n".join(pages_lines(service.config, service.folder, service.pages)))
        click.echo("Ready. Ctrl-C ends it.")
        await stop.wait()


async def _play(demonstration: Demonstration, pace: float) -> None:
    """Show each day as it is played, in real time no faster than ``pace`` seconds a day."""
    totals: dict[str, list[int]] = {}
    began = time.monotonic()
    with Live(console=console(), refresh_per_second=10, transient=False) as live:
        async for day, seen in demonstration.play():
            for today in seen:
                sums = totals.setdefault(today.actor.story, [0, 0, 0])
                for index, code in enumerate(("250", "450", "550")):
                    sums[index] += today.answers[code]
            live.update(_table(day, demonstration, seen, totals))
            await asyncio.sleep(max(0.0, began + day * pace - time.monotonic()))


def _table(day: int, demonstration: Demonstration, seen: list[Today], totals: dict[str, list[int]]) -> Table:
    table = Table(
        title=f"Day {day} of {demonstration.days}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        header_style="bold",
    )
    columns = ("server", "story", "build", "stage", "450/550 min/h", "250", "450", "550", "why")
    for name in columns:
        table.add_column(name, justify="right" if name in ("stage", "250", "450", "550") else "left")
    for today in seen:
        accepted, throttled, blocked = totals[today.actor.story]
        style = "red" if today.answers["550"] else "yellow" if today.answers["450"] else "green"
        table.add_row(
            today.name,
            today.actor.story,
            today.build,
            str(today.stage or ""),
            today.minutes,
            str(accepted),
            str(throttled),
            str(blocked),
            today.reason.replace("-", " "),
            style=style,
        )
    refusals = [today.reply for today in seen if today.reply]
    table.caption = refusals[0] if refusals else "Nobody is refused."
    table.caption_justify = "left"
    return table
