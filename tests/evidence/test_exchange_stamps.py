"""Every textual shape of Microsoft's stamps, Exchange 4.0 to SE, and what must never be taken for one."""

# ruff: noqa: E501  (a stamp is one line)
import pytest

from wehr.evidence import parse_hop

TLS = "(version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384)"
FROM = "from gw.example.org (192.0.2.1) by ex1.example.org (192.0.2.2)"
MAPI = "from ex1.example.org ([192.0.2.1]) by ex1.example.org ([fe80::b177:a243%31])"
DATE = "; Tue, 3 Nov 2026 10:00:00 +0000"

ON_PREMISES = [
    (f"{FROM} with Microsoft SMTP Server {TLS} id 15.1.2507.61{DATE}", (15, 1, 2507, 61)),
    (f"{FROM} with Microsoft SMTP Server {TLS} id 15.2.2562.17 via Frontend Transport{DATE}", (15, 2, 2562, 17)),
    (f"{FROM} with Microsoft SMTP Server {TLS} id 15.1.1713.5 via Mailbox Transport{DATE}", (15, 1, 1713, 5)),
    (f"{FROM} with Microsoft SMTP Server (TLS) id 15.0.1497.48{DATE}", (15, 0, 1497, 48)),
    (f"{FROM} with Microsoft SMTP Server ( TLS) id 14.1.339.1{DATE}", (14, 1, 339, 1)),
    (f"{FROM} with Microsoft SMTP Server id 8.3.264.0{DATE}", (8, 3, 264, 0)),
    (f"{FROM} with Microsoft SMTP Server id 14.01.0421.002{DATE}", (14, 1, 421, 2)),
    (f"{FROM} with Microsoft SMTP Server (version=TLS1_2, cipher=X + Transport Decrypted) id 15.2.986.5{DATE}", (15, 2, 986, 5)),
    (f"from Pickup by ex1.example.org with Microsoft SMTP Server id 15.1.2507.17{DATE}", (15, 1, 2507, 17)),
    (f"from [192.0.2.7] (192.0.2.7) by ex1 (2001:db8::30:62) with Microsoft SMTP Server {TLS} id 15.1.1713.5{DATE}", (15, 1, 1713, 5)),
    (f"from (192.0.2.7) by ex1.example.org (192.0.2.2) with Microsoft SMTP Server id 14.3.235.1{DATE}", (14, 3, 235, 1)),
    (f"from ex1.corp.local ((192.0.2.154)) by ex1.corp.local ((192.0.2.154)) with ShadowRedundancy id 15.0.1473.3{DATE}", (15, 0, 1473, 3)),
    (f"from **** (***) with Microsoft SMTP Server {TLS} id 15.1.2375.34{DATE}", (15, 1, 2375, 34)),
    (f"{MAPI} with mapi id 15.01.2507.061{DATE}", (15, 1, 2507, 61)),
    (f"{MAPI} with mapi id 14.03.0123.003{DATE}", (14, 3, 123, 3)),
    (f"from a.corp.local ([XXX]) by a.corp.local ([XXX]) with mapi id 14.01.0355.002{DATE}", (14, 1, 355, 2)),
    (f"{MAPI} with mapi{DATE}", None),
    (f"{FROM} with Microsoft SMTP Server (TLS{DATE}", None),
    (f"from 192.0.2.9 ([192.0.2.9]) by ex3.example.org ([192.0.2.3]) via Exchange Front-End Server web.example.org ([192.0.2.4]) with Microsoft Exchange Server HTTP-DAV {DATE}", None),
    ("by EX55 with Internet Mail Service (5.5.2650.21) id <DGPMMRFR>; 3 Nov 1999 10:00:00 -0800", (5, 5, 2650, 21)),
    ("by EX55 with Internet Mail Service (5.5.2653.19 ) id <DGPMMRFR>; 3 Nov 1999 10:00:00 -0800", (5, 5, 2653, 19)),
    ("by EX55 with Internet Mail Service ( 5.5.2654.52) id <DGPMMRFR>; 3 Nov 1999 10:00:00 -0800", (5, 5, 2654, 52)),
    ("from 101.example.net by mail.example.org with SMTP (Microsoft Exchange Internet Mail Service Version 5.0.1460.8) id LC0C0S53; 3 Nov 1999 10:00:00 -0800", (5, 0, 1460, 8)),
]  # fmt: skip


@pytest.mark.parametrize(("field", "build"), ON_PREMISES)
def test_an_on_premises_stamp_shows_its_build(field: str, build: tuple[int, ...] | None) -> None:
    """Each shape is Exchange's, with the build it shows, padded or not, or none."""
    hop = parse_hop(field.encode())
    assert (hop.software, hop.build) == ("exchange", build)


@pytest.mark.parametrize("fold", ["\n\t", "\r\n ", "\n        ", " \t "])
@pytest.mark.parametrize(("field", "build"), ON_PREMISES)
def test_folding_anywhere_changes_nothing(field: str, build: tuple[int, ...] | None, fold: str) -> None:
    """A field folded at every blank reads like the unfolded one, even inside the product's name."""
    assert parse_hop(field.replace(" ", fold).encode()) == parse_hop(field.encode())


CLOUD_HOSTS = [
    "AM3PEPF00009BA2.mail.protection.outlook.com", "DX0P273MB2166.AREP273.PROD.OUTLOOK.COM",
    "BL2FFO11HUB055.protection.gbl", "CH0PR13CA0002.outlook.office365.com", "TX2EHSMHS026.bigfish.com",
    "AM0PR01CA0081.eurprd01.prod.exchangelabs.com", "x.mgd.msft.net", "y.partner.outlook.cn", "z.prod.outlook.com.",
]  # fmt: skip


@pytest.mark.parametrize("host", CLOUD_HOSTS)
@pytest.mark.parametrize("number", ["14.0.482.39", "15.0.929.12", "15.1.947.12", "15.20.9412.4"])
def test_the_host_tells_exchange_online_whatever_the_number(host: str, number: str) -> None:
    """Exchange Online's older numbers are those of on-premises builds: no such hop is ever on-premises."""
    line = f"from a.example.org (192.0.2.1) by {host} (192.0.2.2) with Microsoft SMTP Server {TLS} id {number}{DATE}"
    assert parse_hop(line.encode()).software == "exchange-online"


@pytest.mark.parametrize("host", ["outlook.com.example.org", "myoutlook.com", "office365.example.org"])
def test_a_name_that_only_looks_like_the_clouds_is_not(host: str) -> None:
    """Only hosts below Microsoft's own domains are Exchange Online."""
    assert (
        parse_hop(f"from a by {host} with Microsoft SMTP Server id 15.1.2507.61{DATE}".encode()).software
        == "exchange"
    )


def test_numbers_of_15_20_and_up_are_the_clouds() -> None:
    """A number that no on-premises build has is Exchange Online's under any host name."""
    assert (
        parse_hop(f"{FROM} with Microsoft SMTP Server {TLS} id 15.20.8272.0{DATE}".encode()).software
        == "exchange-online"
    )


NO_BUILD = [
    "from a ([192.0.2.1]) by w with Microsoft SMTPSVC(8.5.9600.16384)",
    "from a ([192.0.2.1]) by w with Microsoft SMTPSVC (5.0.2195.5329)",
    "from mail pickup service by w with Microsoft SMTPSVC",
    "(apparently) from w ([192.0.2.1]) by w with Microsoft SMTPSVC(5.5.1877.537.53)",
    "from mapi (app02[null]) by mapi (Zmail) with MAPI id mid32",
    "by ucs (kopano-spooler) with MAPI",
    "from a (15.1.225.42) by b (15.1.225.43) with ESMTP id 15.1.225.44",
    "from 15.1.225.42 by 15.1.225.43 with SMTP",
    "from a ([15.1.2507.61]) by b (Postfix) with ESMTP id 151250761",
    f"{FROM} with Microsoft SMTP Server (TLS) id 192.168.1.1",
    f"{FROM} with Microsoft SMTP Server (TLS) id 10.0.0.1",
    f"{MAPI} with mapi id Sun, 06 Jul 2025 15:27:53",
    f"{FROM} with Microsoft SMTP Server (TLS) id 4AbCdE0123z5",
    f"{FROM} with Microsoft SMTP Server (TLS) id 15.1.2507",
    f"{FROM} with Microsoft SMTP Server (TLS) id 15.1.2507.61.7",
    "from a (with Microsoft SMTP Server id 15.1.2507.61 [192.0.2.1]) by b (Unknown) with ESMTP id X",
    'from a ([192.0.2.1]:25 "EHLO with mapi id 15.1.2507.61") by b with ESMTP id S1',
    "from a by b with ESMTP id X; with Microsoft SMTP Server id 15.1.2507.61",
]


@pytest.mark.parametrize("line", NO_BUILD)
def test_no_build_from_anything_else(line: str) -> None:
    """Windows numbers, queue ids, addresses, dates, and words of the client or behind the date are no builds."""
    hop = parse_hop(f"{line}{DATE}".encode())
    assert hop.build is None or hop.software == "unknown"
    assert hop.software != "exchange" or hop.build is None
