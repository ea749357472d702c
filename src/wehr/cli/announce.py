"""``wehr announce``: a planned change of policy as a page, as texts, and as a list of whom it touches."""

import sys
from pathlib import Path
from typing import Any

import rich_click as click
from jinja2 import TemplateError

from wehr.cli.config import read
from wehr.cli.output import BadUse, print_json, print_table
from wehr.cli.stored import Stored, opened, store_options
from wehr.ledger.planning import (
    HORIZON,
    Changes,
    Touched,
    compare,
    counted,
    lead_days,
    planned_basis,
    table,
    touched,
)
from wehr.notices.letters import page
from wehr.notices.office import Office, open_office
from wehr.notices.render import Rendered
from wehr.notices.settings import LANGUAGES
from wehr.policy.ladder import DAY, steps
from wehr.service.state_folder import default_state

_SERVERS = 1_000_000


@click.command("announce")
@click.option(
    "--plan", type=click.Path(path_type=Path), required=True, help="The configuration as it is to be."
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the page, the texts and the list.")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=HORIZON, show_default=True, help="How far to look ahead."
)
@click.option(
    "--lead-days",
    type=click.IntRange(0, 3650),
    default=30,
    show_default=True,
    help="Days that servers are to have before they are treated more harshly; fewer give exit code 1.",
)
@store_options
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def command(
    *,
    plan: Path,
    out: Path | None,
    days: int,
    lead_days: int,
    file: Path | None,
    state: Path | None,
    as_json: bool,
) -> None:
    """Tell of a planned change of policy: a page, a text in each language, and whom it will touch.

    Compares the configuration in force with the one of --plan for every server that was seen lately, as if
    each went on showing its build. Nothing is sent, and nothing comes into force.
    """
    planned = read(plan).policy
    with opened(file, state) as stored:
        changes = compare(stored.basis.policy, planned)
        if not changes:
            raise BadUse(f"{plan} alters nothing that concerns servers' administrators")
        rows = stored.store.servers(
            seen_since=stored.basis.now - stored.basis.policy.silent_days * DAY, limit=_SERVERS
        )
        found = sorted(
            touched(rows, stored.basis, planned_basis(stored.basis, planned), days),
            key=lambda it: (it.first_day, it.server),
        )
        texts = _texts(stored, state, changes, found)
    lead = _lead(found, stored)
    if out is not None:
        _write(out, texts, found)
    if as_json:
        print_json({"lead_days": lead, "servers": found, "texts": {it.language: it.text for it in texts}})
    else:
        _print(texts, found, lead, out)
    if lead is not None and lead < lead_days:
        click.echo(f"warning: harsher on the first server in {lead} days, sooner than {lead_days}", err=True)
        sys.exit(1)


def _lead(found: list[Touched], stored: Stored) -> int | None:
    return lead_days(found, stored.basis.today)


def _texts(stored: Stored, state: Path | None, changes: Changes, found: list[Touched]) -> list[Rendered]:
    config = stored.config
    office = open_office(
        config.notices,
        (state or default_state()).absolute(),
        host=config.name,
        status_url=config.status_url,
        contact=config.contact,
        now=stored.basis.now,
    )
    values = _facts(office, changes, found, config.contact)
    try:
        return [office.templates.text("announcement", language, values) for language in LANGUAGES]
    except TemplateError as error:
        raise BadUse(f"a template is wrong: {error}") from None


def _facts(office: Office, changes: Changes, found: list[Touched], contact: str) -> dict[str, Any]:
    ladder = steps(changes.ladder) if changes.ladder else ()
    harsher = [it for it in found if it.harsher_from]
    whose = {office.book.whom(it.server, it.client_name, "", it.network).organisation for it in harsher}
    return {
        "operator": office.writer.operator,
        "host": office.writer.host,
        "contact": contact or office.writer.reply_to,
        "changes": changes,
        "first_day": min((it.harsher_from for it in harsher if it.harsher_from), default=None),
        "servers": len(harsher),
        "organisations": len(whose),
        "steps": [
            {
                "first": int(step.start // DAY) + 1,
                "last": int(step.end // DAY) if step.end else None,
                "throttle": step.throttle,
                "block": step.block,
            }
            for step in ladder
        ],
    }


def _write(out: Path, texts: list[Rendered], found: list[Touched]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "announcement.html").write_text(page(texts), "utf-8")
        for text in texts:
            (out / f"announcement.{text.language}.txt").write_text(f"{text.subject}\n\n{text.text}", "utf-8")
        (out / "servers.csv").write_text(table(found), "utf-8")
    except OSError as error:
        raise BadUse(f"{out}: cannot be written: {error.strerror}") from None


def _print(texts: list[Rendered], found: list[Touched], lead: int | None, out: Path | None) -> None:
    for text in texts:
        click.echo(f"{text.subject}\n\n{text.text}")
    if found:
        print_table(
            "Servers that it will touch",
            ("harsher from", "refused from", "milder from", "server", "network", "build", "why"),
            (
                (it.harsher_from, it.refused_from, it.milder_from, it.server, it.network, it.build, it.why)
                for it in found
            ),
        )
    harsher, milder = counted(found)
    when = "" if lead is None else f", the first of them in {lead} days"
    where = f"; written to {out}" if out else ""
    click.echo(f"{harsher} servers are treated more harshly{when}; {milder} more mildly{where}.")
