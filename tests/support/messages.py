"""Header blocks as real systems write them, with example names: for a checkout without the reference data."""

from datetime import UTC, datetime
from email.utils import format_datetime

WHEN = datetime(2026, 10, 12, 9, 0, tzinfo=UTC)

CLIENT = "[192.0.2.77]"


def exchange(build: str, host: str = "ex01.example.com", *, mapi: str = "") -> str:
    """What a mailbox server writes: its transport, and with ``mapi`` its store driver."""
    when = format_datetime(WHEN)
    lines = (
        f"Received: from {host} (10.1.2.3) by {host} (10.1.2.3)\n"
        " with Microsoft SMTP Server (version=TLS1_2,\n"
        f" cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id {build}; {when}\n"
    )
    if mapi:
        lines += f"Received: from {host} ([fe80::1]) by {host}\n ([fe80::1%5]) with mapi id {mapi}; {when}\n"
    return lines + _rest(host)


def exchange_online() -> str:
    """Two hops of Exchange Online."""
    when = format_datetime(WHEN)
    return (
        "Received: from AB1PR01MB0001.eurprd01.prod.outlook.com (2001:db8:1::1)\n"
        " by AB1PR01MB0002.eurprd01.prod.outlook.com (2001:db8:1::2) with Microsoft SMTP\n"
        " Server (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id\n"
        f" 15.20.9999.10; {when}\n"
        "Received: from AB1PR01MB0001.eurprd01.prod.outlook.com\n"
        " ([fe80::1]) by AB1PR01MB0001.eurprd01.prod.outlook.com\n"
        f" ([fe80::1%3]) with mapi id 15.20.9999.010; {when}\n"
    ) + _rest("AB1PR01MB0001.eurprd01.prod.outlook.com")


def behind_relay(build: str, relay: str = "relay.example.com") -> str:
    """An out-of-date Exchange whose mail leaves through a Postfix of its own side."""
    when = format_datetime(WHEN)
    return (
        f"Received: from ex01.example.com (ex01.example.com [10.1.2.3])\n"
        f"\tby {relay} (Postfix) with ESMTPS id 4Xy1Zz2Abc\n"
        f"\tfor <postmaster@example.org>; {when}\n"
    ) + exchange(build)


def postfix() -> str:
    """A Postfix that took the message from a user's program."""
    return (
        f"Received: from laptop.example.com (unknown {CLIENT})\n"
        "\tby mail.example.com (Postfix) with ESMTPSA id 3206A5CBBA\n"
        f"\tfor <postmaster@example.org>; {format_datetime(WHEN)}\n"
    ) + _rest("mail.example.com")


def exim(version: str = "4.92") -> str:
    """An Exim that says its version."""
    return (
        f"Received: from {CLIENT} (helo=laptop.example.com)\n"
        f"\tby mail.example.com with esmtpsa (TLS1.2) tls TLS_AES_128_GCM_SHA256 (Exim {version})\n"
        f"\t(envelope-from <postmaster@example.com>) id 1vdttt-001fkH-AH; {format_datetime(WHEN)}\n"
    ) + _rest("mail.example.com")


def unknown() -> str:
    """A system that nobody knows, with a queue id and a number that look like builds."""
    return (
        "Received: from laptop (10.0.0.9) by mail.example.com with SMTP id 15.1.2507.16;\n"
        f" {format_datetime(WHEN)}\n"
    ) + _rest("mail.example.com")


def untraced() -> str:
    """No Received field at all."""
    return _rest("mail.example.com")


def _rest(host: str) -> str:
    return (
        "From: <postmaster@example.com>\n"
        "To: <postmaster@example.org>\n"
        "Subject: a message of the tests\n"
        f"Message-ID: <1@{host}>\n"
        f"Date: {format_datetime(WHEN)}\n"
    )
