"""The change that wires an instance of Postfix: its own ``postconf`` edits copies of the files."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from wehr.service.mta.change import CannotChange, Change, Plan, by_hand, read_text
from wehr.service.mta.door import place_of
from wehr.service.mta.places import Place
from wehr.service.mta.postfix.examine import among, examine, wired
from wehr.service.mta.postfix.instance import Instance, load, milters, spaceless
from wehr.service.mta.programs import run, where

_DEFAULT: Final = Path("/etc/postfix")


def plan(folder: Path | None, doors: Sequence[Place]) -> Plan:
    """What wires the instance; no changes if it is wired well.

    Raises:
        CannotChange: it cannot be done this way; the text says what to do by hand.
        NotThere: there is no Postfix.
    """
    folder = folder or _DEFAULT
    instance, here = load(folder), place_of("milter", doors)
    if int(instance.settings.get("mail_version", "0").partition(".")[0] or 0) < 3:
        raise CannotChange(
            f"Postfix before 3.0 has no settings for a single milter; in main.cf put {here.postfix} first in "
            "smtpd_milters, and set milter_default_action = accept"
        )
    if here.path and any(service.chroot for service in instance.services):
        raise CannotChange(
            f"smtpd runs in a chroot and cannot see {here.path}; open a TCP address beside it, in wehr.toml: "
            '[milter] listen = ["127.0.0.1:8893"]'
        )
    edits = _edits(instance, doors)
    if not edits:
        by_hand(examine(instance, doors, ()))
    changes = _edited(folder, edits) if edits else ()
    postfix = where("postfix") or "postfix"
    command = (postfix, *(("-c", str(folder)) if folder != _DEFAULT else ()))
    return Plan(changes, lambda: run([*command, "check"]), (*command, "reload"))


def _edits(instance: Instance, doors: Sequence[Place]) -> list[tuple[str, str]]:
    """The option of postconf that sets a list anew, and what it is given."""
    edits = []
    public = [service for service in instance.services if service.public]
    own = [service for service in public if "smtpd_milters" in service.options]
    value = instance.settings.get("smtpd_milters", "")
    if (len(own) < len(public) or not public) and not _same(wired(value, doors, instance), value):
        raw = run([where("postconf") or "", "-c", str(instance.folder), "-h", "smtpd_milters"]).out.strip()
        edits.append(("-e", f"smtpd_milters = {_kept(raw, value, doors, instance)}"))
    for service in own:
        value = service.options["smtpd_milters"]
        new = wired(value, doors, instance)
        if not _same(new, value):
            # postconf takes no blanks here; a comma does as well.
            edits.append(("-P", f"{service.key}/smtpd_milters={spaceless(new)}"))
    return edits


def _kept(raw: str, value: str, doors: Sequence[Place], instance: Instance) -> str:
    """The list anew, with what it names by ``$name`` left so."""
    hidden = "$" in raw and any(it.place and among(it.place, doors) for it in milters(value))
    if "${" in raw or hidden:
        raise CannotChange(f"smtpd_milters = {raw} is made of other parameters; mend it by hand: {value!r}")
    return wired(raw, doors, instance)


def _same(one: str, other: str) -> bool:
    return spaceless(one) == spaceless(other)


def _edited(folder: Path, edits: Sequence[tuple[str, str]]) -> tuple[Change, ...]:
    """What postconf makes of the files: it edits copies of them."""
    postconf = where("postconf") or "postconf"
    names = ("main.cf", "master.cf")
    with tempfile.TemporaryDirectory(prefix="wehr-setup-") as scratch:
        for name in names:
            shutil.copyfile(folder / name, Path(scratch, name))
        for option, text in edits:
            done = run([postconf, "-c", scratch, option, text])
            if done.code:
                raise CannotChange(f"postconf cannot set {text!r}: {done.said}")
        pairs = [(folder / name, read_text(folder / name), read_text(Path(scratch, name))) for name in names]
    return tuple(Change(file, before, after) for file, before, after in pairs if before != after)
