"""How an instance of Postfix is wired to Wehr, and how its list of milters should read."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from wehr.service.mta import reach
from wehr.service.mta.places import Doors, Place, preferred, reaching
from wehr.service.mta.postfix.instance import (
    BLIND,
    Asked,
    Instance,
    Service,
    asked,
    line,
    load,
    milters,
    policy_line,
    seconds,
    spaceless,
    unreadable,
)
from wehr.service.mta.types import Finding, Level

_POLICY: Final = re.compile(r"check_policy_service\s+(?:\{((?:[^{}]|\{[^{}]*\})*)\}|([^,\s{}]+))")
_PATIENCE: Final = {"connect": 10, "command": 10, "content": 30}
_OPEN: Final = 'wehr.toml: [milter] listen = ["127.0.0.1:8893"]'
_OPEN_POLICY: Final = 'wehr.toml: [policy_service] listen = ["127.0.0.1:8895"]'


def look(folder: Path, doors: Doors) -> Iterator[Finding]:
    """How the instance of this folder is wired.

    Raises:
        NotThere: there is none.
    """
    return examine(load(folder), doors.milter, doors.policy_service, doors.behind)


def examine(
    instance: Instance, doors: Sequence[Place], policy: Sequence[Place], behind: Place | None = None
) -> Iterator[Finding]:
    """How the instance is wired to the milter door (and the policy service, if that is open).

    An smtpd that stands ``behind`` Wehr's SMTP proxy need not be.
    """
    here = preferred(doors)
    about = instance.name
    if here is None:
        yield Finding(
            Level.ODD,
            about,
            "Wehr's milter door is closed",
            _OPEN,
        )
        return
    proxied = [it for it in instance.services if behind and it.place and it.place.reached_by(behind)]
    lists: list[tuple[Service | None, str, str]] = [
        (service, *_list(instance, service))
        for service in instance.services
        if service.public and service not in proxied
    ]
    for it in proxied:
        yield Finding(Level.OK, about, f"{it.key} takes mail from Wehr's SMTP proxy")
    if not lists and not proxied:
        lists = [(None, "smtpd_milters", instance.settings.get("smtpd_milters", ""))]
    for service, name, value in lists:
        yield from _examine_list(instance, service, name, value, doors)
    for service in instance.services:
        if not service.public and "smtpd_milters" in service.options:
            yield Finding(
                Level.INFO,
                about,
                f"{service.key} is for one's own mail and has milters of its own: left alone",
            )
    yield from _examine_rest(instance, doors, policy)


def _list(instance: Instance, service: Service) -> tuple[str, str]:
    """The list of milters that counts for a service, and what it is called."""
    if "smtpd_milters" in service.options:
        return f"master.cf: {service.key}: -o smtpd_milters", service.options["smtpd_milters"]
    return "smtpd_milters", instance.settings.get("smtpd_milters", "")


def _examine_list(
    instance: Instance, service: Service | None, name: str, value: str, doors: Sequence[Place]
) -> Iterator[Finding]:
    about = f"{instance.name} {service.key}" if service else instance.name
    found = milters(value)
    chroot = service is not None and service.chroot
    ours = [it for it in found if it.place and _leads(instance, it.place, doors, chroot=chroot)]
    remedy = _remedy(instance, name, wired(value, doors, instance))
    if service and BLIND in service.options.get("receive_override_options", ""):
        yield Finding(
            Level.WRONG,
            about,
            "asks no milter at all: receive_override_options=no_milters",
            f"master.cf: {service.key}: take no_milters out of receive_override_options",
        )
        return
    if fault := unreadable(value):
        text = f"Postfix cannot read {name}: {fault}; smtpd may take no mail, and 'postfix check' is silent"
        yield Finding(Level.WRONG, about, text, remedy)
        return
    if not ours:
        hidden = next(
            (it.place for it in found if it.place and it.place.path and among(it.place, doors)), None
        )
        if hidden:
            queue = instance.settings.get("queue_directory", "")
            text = f"runs in a chroot and cannot see {hidden.path}: it looks below {queue}"
            if all(door.path for door in doors):
                remedy = f"{_OPEN}; then run: wehr setup postfix"
        else:
            others = ", ".join(str(it.place) for it in found if it.place)
            text = f"is not wired to Wehr: {name} names {others or 'nobody'}"
        yield Finding(Level.WRONG, about, text, remedy)
        return
    if len(ours) > 1:
        yield Finding(
            Level.WRONG, about, f"asks Wehr {len(ours)} times for each message: {name} names it twice", remedy
        )
        return
    problems = list(_faults(ours[0], instance, remedy, about, chroot=chroot))
    yield from problems
    if not problems:
        yield Finding(Level.OK, about, f"asks Wehr at {ours[0].place}; without it, mail is accepted")
    if found[0] is not ours[0]:
        yield Finding(
            Level.INFO, about, "other milters come before Wehr: put first, it spares them what it refuses"
        )


def _meant(instance: Instance, place: Place, *, chroot: bool) -> Place:
    """Where an smtpd that is told this place connects: a path may be below the queue directory."""
    if not place.path or (place.path.startswith("/") and not chroot):
        return place
    queue = instance.settings.get("queue_directory", "")
    return Place(path=f"{queue}/{place.path.lstrip('/')}")


def _leads(instance: Instance, place: Place, doors: Sequence[Place], *, chroot: bool) -> bool:
    """Whether an smtpd that is told this place ends up at Wehr."""
    return among(_meant(instance, place, chroot=chroot), doors)


def among(place: Place, doors: Sequence[Place]) -> bool:
    """Whether a place leads to one of the doors."""
    return any(reaching((place,), doors))


def _faults(ours: Asked, instance: Instance, remedy: str, about: str, *, chroot: bool) -> Iterator[Finding]:
    """What is wrong in an entry that names Wehr."""
    settings = instance.settings
    action = ours.settings.get("default_action", settings.get("milter_default_action", ""))
    if action.lower() != "accept":
        yield Finding(
            Level.WRONG,
            about,
            f"while Wehr is down, mail is not accepted: milter_default_action is {action!r}",
            remedy,
        )
    slow = {}
    for step, most in _PATIENCE.items():
        given = ours.settings.get(f"{step}_timeout", settings.get(f"milter_{step}_timeout", ""))
        if seconds(given) > most:
            slow[step] = given
    if slow:
        said = ", ".join(f"{step}_timeout is {given}" for step, given in slow.items())
        yield Finding(Level.ODD, about, f"a hung Wehr holds up each message: {said}", remedy)
    if ours.place and ours.place.path:
        who = reach.user(settings.get("mail_owner", ""))
        path = Path(_meant(instance, ours.place, chroot=chroot).path)
        problem = reach.to_socket(path, who) if who and path.exists() else None
        if problem:
            yield Finding(
                Level.WRONG,
                about,
                f"cannot connect: {problem}",
                'wehr.toml: [milter] socket_mode = "0660", socket_group = "postfix"; or use TCP: ' + remedy,
            )


def _examine_rest(instance: Instance, doors: Sequence[Place], policy: Sequence[Place]) -> Iterator[Finding]:
    settings, about = instance.settings, instance.name
    if any(it.place and among(it.place, doors) for it in milters(settings.get("non_smtpd_milters", ""))):
        yield Finding(
            Level.ODD,
            about,
            "asks Wehr about mail of its own programs, which is never judged",
            "main.cf: take Wehr out of non_smtpd_milters",
        )
    if settings.get("smtpd_milter_maps"):
        text = (
            f"smtpd_milter_maps = {settings['smtpd_milter_maps']} decides for whom milters are asked at all"
        )
        yield Finding(Level.INFO, about, text)
    yield from _examine_policy(instance, policy)


def _examine_policy(instance: Instance, policy: Sequence[Place]) -> Iterator[Finding]:
    about, here, known = instance.name, preferred(policy), False
    chroot = any(service.public and service.chroot for service in instance.services)
    for name, value in instance.settings.items():
        if not name.endswith("_restrictions"):
            continue
        for match in _POLICY.finditer(value):
            it = asked(match)
            if it.place is None:
                continue
            seen = _leads(instance, it.place, policy, chroot=chroot)
            if not (seen or among(it.place, policy)):
                continue
            known = True
            if not seen:
                text = f"{name}: smtpd runs in a chroot and cannot see {it.place}; each message waits for it"
                remedy = f"{_OPEN_POLICY}; main.cf: {policy_line(Place('127.0.0.1', 8895))}"
                yield Finding(Level.WRONG, about, text, remedy)
                continue
            default = it.settings.get(
                "default_action", instance.settings.get("smtpd_policy_service_default_action", "")
            )
            if default.upper() != "DUNNO" and here:
                yield Finding(
                    Level.WRONG,
                    about,
                    f"while Wehr is down, {name} answers {default!r}",
                    f"main.cf: {name} = ... {policy_line(here)}",
                )
            else:
                yield Finding(Level.OK, about, f"asks Wehr's policy service at {it.place} ({name})")
    if here and not known:
        yield Finding(
            Level.INFO,
            about,
            "does not ask Wehr's policy service, which is open",
            f"main.cf: smtpd_recipient_restrictions = ... {policy_line(here)}",
        )


def _remedy(instance: Instance, name: str, value: str) -> str:
    if name.startswith("master.cf"):
        return f"{name}={spaceless(value)}; or run: wehr setup postfix --config-dir {instance.folder} --write"
    return f"main.cf: smtpd_milters = {value}"


def wired(value: str, doors: Sequence[Place], instance: Instance) -> str:
    """The list with Wehr in it once, as it should be: where it stood, or else first; others as they are."""
    here = preferred(doors)
    if here is None:
        return value
    chroot = any(it.chroot for it in instance.services)
    kept: list[str] = []
    ours = None
    for it in milters(value):
        if it.stray:
            continue
        if not (it.place and (_leads(instance, it.place, doors, chroot=chroot) or among(it.place, doors))):
            kept.append(it.text)
        elif ours is None:
            sound = not (unreadable(value) or any(_faults(it, instance, "", "", chroot=chroot))) and _leads(
                instance, it.place, doors, chroot=chroot
            )
            ours = it.text if sound else line(here)
            kept.append(ours)
    return ", ".join(kept if ours else [line(here), *kept])
