"""An accepted proposal as a catalogue file, one for each software."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from wehr.catalogue.document import SCHEMA
from wehr.catalogue.facts import Provenance
from wehr.catalogue.importers.proposal import NewBuild, NewExploit, NewFix, Proposal
from wehr.evidence.build import format_build

_SOURCES = {
    "cve": "CVE record (CVEProject/cvelistV5)",
    "csaf": "MSRC, CSAF 2.0 advisory",
    "cvrf": "MSRC, CVRF document",
    "kev": "CISA, Known Exploited Vulnerabilities",
    "bound": "Basis of the date: the day on which the hole was published, by which the build was out",
}


def render(
    proposal: Proposal,
    provenance: Sequence[Provenance],
    software_of: Mapping[str, str],
    vouched: date | None = None,
) -> dict[str, str]:
    """The overlays that a proposal makes: software -> text of its file. Pure; the same input, the same text.

    Args:
        proposal: what is to be added.
        provenance: where it comes from.
        software_of: product name -> software; CVE -> software for what is exploited.
        vouched: the day up to which somebody vouches that the catalogue is complete with this.
    """
    families = (["exchange"] if vouched else []) + [
        *(software_of[one.product] for one in proposal.builds),
        *(one.software for one in proposal.fixes),
        *(software_of[one.cve] for one in proposal.exploits),
    ]
    return {
        software: _render(
            software,
            Proposal(
                tuple(one for one in proposal.builds if software_of[one.product] == software),
                tuple(one for one in proposal.fixes if one.software == software),
                tuple(one for one in proposal.exploits if software_of[one.cve] == software),
            ),
            provenance,
            vouched,
        )
        for software in dict.fromkeys(families)
    }


def _render(software: str, part: Proposal, provenance: Sequence[Provenance], vouched: date | None) -> str:
    lines = ["# Imported by `wehr catalogue import`; correct or remove as you see fit.", f"schema = {SCHEMA}"]
    lines += [f"date = {vouched}"] if vouched else []
    lines.append(f"software = {_quoted(software)}")
    lines += _table("fixes", map(_fix_row, part.fixes))
    lines += _table("exploited", map(_exploit_row, part.exploits))
    lines += ["", "[sources]", *(f"import-{tag} = {_quoted(text)}" for tag, text in _SOURCES.items())]
    lines += _section("published", [f"{one.cve} = {one.published}" for one in part.fixes if one.published])
    lines += _section(
        "introduced",
        [f'{one.cve} = "{format_build(one.introduced)}"' for one in part.fixes if one.introduced],
    )
    for product in dict.fromkeys(one.product for one in part.builds):
        lines += ["", "[[product]]", f"name = {_quoted(product)}"]
        lines += _table("builds", [_build_row(one) for one in part.builds if one.product == product])[1:]
    for one in provenance:
        lines += ["", "[[provenance]]", f"source = {_quoted(one.source)}", f'sha256 = "{one.sha256}"']
        lines += [f"read = {one.read}", f"document = {_quoted(one.document)}"]
        lines += [f"dated = {one.dated}"] if one.dated else []
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML string; what is not printable ASCII, a backslash or a quote becomes a question mark."""
    return '"' + re.sub(r'[^ -~]|["\\\\]', "?", text) + '"'


def _fix_row(one: NewFix) -> tuple[str, ...]:
    return one.cve, ",".join(map(format_build, one.builds)), "-", f"import-{one.source}"


def _exploit_row(one: NewExploit) -> tuple[str, ...]:
    return one.cve, str(one.listed), "known" if one.ransomware else "-", f"import-{one.source}"


def _build_row(one: NewBuild) -> tuple[str, ...]:
    name = f"SU-{one.released}"
    return format_build(one.build), name, str(one.released), "-", f"import-{one.source},import-bound"


def _table(name: str, rows: Iterable[tuple[str, ...]]) -> list[str]:
    rows = list(rows)
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["", f"{name} = '''", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows), "'''"]


def _section(name: str, lines: list[str]) -> list[str]:
    return ["", f"[{name}]", *lines] if lines else []
