"""The recogniser table: for each software a line as it stamps it, and what is read."""

# ruff: noqa: E501  (a stamp is one line)
import pytest

from wehr.evidence import format_build, parse_hop
from wehr.evidence.recognisers import HOSTS, RECOGNISERS, SHAPES

WHEN = "; Tue, 3 Nov 2026 10:00:00 +0000"

# (software, version, build, field). A new entry of the table needs a line here.
LINES = [
    ("exchange", "15.1.2507.61", "15.1.2507.61", "from a.example.org (192.0.2.1) by ex1.example.org (192.0.2.2) with Microsoft SMTP Server (version=TLS1_2, cipher=TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384) id 15.1.2507.61"),
    ("exchange", "15.2.2562.17", "15.2.2562.17", "from a (192.0.2.1) by ex1.example.org (192.0.2.2) with ShadowRedundancy id 15.2.2562.17"),
    ("exchange", "15.0.1497.48", "15.0.1497.48", "from a (192.0.2.1) by ex1.example.org (192.0.2.2) with MailboxResubmission by Antispam id 15.0.1497.48"),
    ("exchange", "15.01.2507.061", "15.1.2507.61", "from ex1.example.org ([fe80::1]) by ex1.example.org ([fe80::1%6]) with mapi id 15.01.2507.061"),
    ("exchange", "", None, "from 192.0.2.9 ([192.0.2.9]) by ex03.example.org ([192.0.2.3]) with Microsoft Exchange Server HTTP-DAV "),
    ("exchange", "5.5.2653.13", "5.5.2653.13", "by EXSRV1 with Internet Mail Service (5.5.2653.13) id <ABCDEFGH>"),
    ("exchange", "5.5.2653.13", "5.5.2653.13", "from a (b.example.net [192.0.2.4]) by mail.example.org with SMTP (Microsoft Exchange Internet Mail Service Version 5.5.2653.13) id ABCDEFGH"),
    ("exchange", "4.0.994.63", "4.0.994.63", "by mail.example.org with SMTP (Microsoft Exchange Server Internet Mail Connector Version 4.0.994.63) id <00000000.00000000@mail.example.org>"),
    ("exchange", "4.0.838.14", "4.0.838.14", "by mail.example.org with Microsoft Exchange (IMC 4.0.838.14) id <01BB33D6.1DC9C140@mail.example.org>"),
    ("exchange-online", "15.20.9412.4", "15.20.9412.4", "from a.example.org (192.0.2.1) by AM3PEPF00009BA2.mail.protection.outlook.com (10.167.16.27) with Microsoft SMTP Server (version=TLS1_3, cipher=TLS_AES_256_GCM_SHA384) id 15.20.9412.4 via Frontend Transport"),
    ("exchange-online", "", None, "from A.prod.outlook.com (::1) by B.prod.outlook.com with HTTPS"),
    ("smtpsvc", "6.0.3790.4675", None, "from w ([192.0.2.5]) by mail.example.org with Microsoft SMTPSVC(6.0.3790.4675)"),
    ("exim", "4.96.2", "4.96.2", "from [192.0.2.6] (helo=mail.example.org) by mx.example.net with esmtps (TLS1.3) tls TLS_AES_256_GCM_SHA384 (Exim 4.96.2) (envelope-from <u@example.org>) id 1abcde-000123-4F"),
    ("exim", "4.92", "4.92", "from x by mx.example.netwith local (Exim 4.92) id 1abcde-000123-4F"),
    ("exim", "", None, "from a.example.org ([192.0.2.6]) by mx.example.net with esmtp (Mailer) id 1abcde-000123-4F"),
    ("exim", "", None, "from a.example.org ([192.0.2.6]) by mx.example.net with esmtp (Mailer) id 1abcde-00000abcdef-4FgH"),
    ("sendmail", "8.15.2", "8.15.2", "from a.example.org (a.example.org [192.0.2.7]) by mx.example.net (8.15.2/8.15.2) with ESMTP id 0A1B2C3D012345"),
    ("sendmail", "8.9.3", "8.9.3", "from a ([192.0.2.7]) by mx.example.net (AIX4.3/8.9.3/8.7) with SMTP id AAA12345"),
    ("sendmail", "8.8.8-aspam", "8.8.8", "from a (a.example.org [192.0.2.7]) by mx.example.net (980327.SGI.8.8.8-aspam/980310.SGI-aspam) via ESMTP id AAA12345"),
    ("sendmail", "8.6.12", "8.6.12", "from a.example.org by mx.example.net via ESMTP (950413.SGI.8.6.12/930416.SGI) id AAA12345"),
    ("postfix", "", None, "from a.example.org (a.example.org [192.0.2.8]) by mx.example.net (Postfix) with ESMTPS id 4AbCdE0123z5"),
    ("qmail", "", None, "(qmail 12345 invoked from network)"),
    ("qmail", "", None, "from unknown (HELO a.example.org) (192.0.2.9) by mx.example.net with SMTP"),
    ("qmail", "", None, "from a (HELO b) ([192.0.2.9]) (envelope-sender <u@example.org>) by mx.example.net (qmail-ldap-1.03) with SMTP for <u@example.net>"),
    ("qmail", "", None, "from u@example.org by mx.example.net by uid 502 with qmail-scanner-1.22 (clamdscan: 0.70. Clear:)"),
    ("opensmtpd", "", None, "from localhost (localhost [::1]) by mx.example.net (OpenSMTPD) with ESMTP id 88d0add9"),
    ("domino", "9.0.1FP7", "9.0.1", "from u ([192.0.2.10]) by notes.example.org (IBM Domino Release 9.0.1FP7) with ESMTP id 2026110310000000-100"),
    ("domino", "4.6.1", "4.6.1", "from u ([192.0.2.10]) by notes.example.org (Lotus SMTP MTA v4.6.1 (569.2 2-6-1999)) with SMTP id 00000000.00000000"),
    ("mdaemon", "15.0.0", "15.0.0", "from [192.0.2.11] by mail.example.org (MDaemon PRO v15.0.0) with ESMTPA id md50207311817.msg"),
    ("mdaemon", "6.0.7", "6.0.7", "from u [192.0.2.11] by mail.example.org with SMTP (MDaemon.PRO.v6.0.7.R)"),
    ("kerio", "9.2.8", "9.2.8", "from u ([192.0.2.12]) by mail.example.org (Kerio Connect 9.2.8 patch 1) with ESMTPA"),
    ("smartermail", "16.3.6989", "16.3.6989", "from u [192.0.2.13] by mail.example.org (SmarterMail Enterprise 16.3.6989) with SMTP"),
    ("smartermail", "5.5", "5.5", "from u [192.0.2.13] by mail.example.org with SMTP (SmarterMail Free 5.5)"),
    ("icewarp", "9.4.2", "9.4.2", "from a ([192.0.2.14]) by mail.example.org (IceWarp Merak Mail Server 9.4.2 (2009-05-21)) with ASMTP id WBS77905"),
    ("icewarp", "4.4.1", "4.4.1", "from a ([192.0.2.14]) by mail.example.org (Merak 4.4.1) with SMTP id FGB37006"),
    ("communigate", "6.2.14", "6.2.14", "from [192.0.2.15] (HELO a.example.org) by mail.example.org (CommuniGate Pro SMTP 6.2.14) with ESMTPSA id 157822669"),
    ("groupwise", "", None, "from GW-MTA by gw.example.org with Novell_GroupWise"),
    ("zimbra", "", None, "from localhost (LHLO zimbra.example.org) (127.0.0.1) by zimbra.example.org with LMTP"),
    ("haraka", "3.1.1", "3.1.1", "from a.example.org (a.example.org [192.0.2.16]) by mx.example.net (Haraka/3.1.1) with ESMTPS id AAAA-BBBB.1"),
    ("haraka", "2.8.28", "2.8.28", "from a.example.org (a.example.org [192.0.2.16]) by mx.example.net with ESMTPS (Haraka/2.8.28) id AAAA"),
    ("stalwart", "", None, "from a.example.org (a.example.org [192.0.2.17]) by mx.example.net (Stalwart SMTP) with ESMTPS id 1234"),
    ("stalwart", "0.11.8", "0.11.8", "from a.example.org by mx.example.net with ESMTPS (Stalwart SMTP v0.11.8) id 1234"),
    ("proofpoint", "", None, "from a (b [192.0.2.18]) by mx0a.example.org (PPS) with ESMTPS id 45p7a80np8-1"),
    ("proofpoint", "", None, "from a (b [192.0.2.18]) by mx1.example.org (PPE Hosted ESMTP Server) with ESMTPS id 45p7a80np8"),
    ("proofpoint", "", None, "from a by mx0a-00012345.pphosted.com with ESMTP id 45p7a80np8-1"),
    ("proofpoint", "", None, "from a by m0012345.ppops.net with ESMTP id 45p7a80np8-1"),
    ("mimecast", "", None, "from a (b [192.0.2.19]) by relay.mimecast.com with ESMTP id uk-mta-487-t6ZwxmE8NJqT4kAtSzW6Dw-1"),
    ("mimecast", "", None, "from a (b [192.0.2.19]) by mail.example.org with ESMTP id us-mta-487-t6ZwxmE8NJqT4kAtSzW6Dw-1"),
    ("barracuda", "", None, "from a (b [192.0.2.20]) by bar.example.org (Spam & Virus Firewall) with ESMTP id AA"),
    ("barracuda", "", None, "from a (b [192.0.2.20]) by bar.example.org (Barracuda Spam Firewall) with ESMTP id AA"),
    ("barracuda", "", None, "from a by d1.barracudanetworks.com with ESMTP id AA"),
    ("google", "", None, "from a (b. [192.0.2.21]) by mx.google.com with ESMTPS id 78si9946802iot.191.2026.11.03.10.00.00"),
    ("google", "", None, "from a ([192.0.2.21]) by smtp.gmail.com with ESMTPSA id d9443c01a7336sm238406.59"),
    ("yahoo", "", None, "from [192.0.2.22] by n24.grp.scd.yahoo.com with NNFMP"),
    ("yahoo", "", None, "from a by sonic303.consmr.mail.ne1.yahoo.com with HTTP"),
    ("amazonses", "", None, "from a by b.smtp-out.amazonses.com with ESMTP id AA"),
    ("messagelabs", "", None, "from [192.0.2.23] by server-9.bemta-3.messagelabs.com id 11/22-33333-44444"),
    ("hornetsecurity", "", None, "from a by mx-gate1.hornetsecurity.com with ESMTP"),
    ("forcepoint", "", None, "from a (unknown [192.0.2.24]) by Forcepoint Email with ESMTPS id 29B9AAB646C0"),
    ("websense", "", None, "from a (unknown [192.0.2.24]) by Websense Email Security Gateway with ESMTPS id 29B9AAB646C0"),
    ("zmailer", "", None, 'from a.example.org ([192.0.2.25]:47128 "EHLO a.example.org" rhost-flags-OK-OK-OK-OK) by vger.example.net with ESMTP id S1727828AbgGWLSY'),
    ("ironport", "", None, "from a.example.org (HELO b.example.org) ([192.0.2.26]) by esa1.example.net with ESMTP/TLS/AES256-SHA"),
    ("imail", "7.15", "7.15", "from a [192.0.2.27] by mail.example.org with ESMTP (SMTPD32-7.15) id AA1A122A009A"),
    ("fetchmail", "6.3.26", "6.3.26", "from pop.example.org [192.0.2.28] by localhost with POP3 (fetchmail-6.3.26)"),
    ("hmailserver", "", None, "from a ([127.0.0.1]) by HOST with hMailServer "),
    ("mailenable", "", None, "from User ([192.0.2.29]) by mail.example.org with MailEnable ESMTPA"),
    ("mailmarshal", "6,7,2,8378", None, "from a (Not Verified[192.0.2.30]) by mm.example.org with MailMarshal (v6,7,2,8378) id <B4cc753e40000>"),
    ("trustwave-seg", "8,2,6,11305", None, "from a (Not Verified[192.0.2.30]) by seg.example.org with Trustwave SEG (v8,2,6,11305) id <B4>"),
    ("ecartis", "1.0.0", "1.0.0", "with ECARTIS (v1.0.0; list l)"),
    ("nemesis", "", None, "from a ([192.0.2.31]) by mrelayeu.example.net (mreue012 [192.0.2.32]) with ESMTPSA (Nemesis) id 1MBSJT-1jDRX736Xn-00D1ki"),
    ("amavis", "", None, "from mx.example.net ([127.0.0.1]) by localhost (mx.example.net [127.0.0.1]) (amavisd-new, port 10024) with ESMTP id dnY6iOObGOoH"),
    ("qpsmtpd", "0.43rc1", "0.43", "from a (HELO b) (192.0.2.33) by mx.example.net (qpsmtpd/0.43rc1) with ESMTP"),
    ("powermta", "4.5r8", "4.5", "from a (192.0.2.34) by mta.example.org (PowerMTA(TM) v4.5r8) id h1ovcs31pnoj"),
    ("mercury", "1.44", "1.44", "from SpoolDir by srv0.example.org (Mercury 1.44)"),
    ("netscape", "4.15", "4.15", "from a ([192.0.2.35]) by mail.example.org (Netscape Messaging Server v4.15) with ESMTP id H09HPE01.MS6"),
    ("iplanet", "5.2", "5.2", "from a by mail.example.org (iPlanet Messaging Server 5.2 HotFix 1.25) with ESMTP id 0H"),
    ("sun-messaging", "6.2", "6.2", "from a by mail.example.org (Sun Java System Messaging Server 6.2-9.08) with ESMTP id 0H"),
    ("oracle-messaging", "8.1.0", "8.1.0", "from a by mail.example.org (Oracle Communications Messaging Server 8.1.0) with ESMTP id 0H"),
    ("symantec", "", None, "from a ( [192.0.2.36]) by smg.example.org (Symantec Messaging Gateway) with SMTP id EA.E8.08390.06EAF166"),
    ("trend-micro", "", None, "from a (unknown [192.0.2.37]) by ts1.example.org (Trend Micro Email Security) with ESMTPS id AA"),
    ("sophos", "", None, "from a (b [192.0.2.38]) by sea.example.org (Email Security Appliance) with SMTP id 2E2457E07EC_5479F8B"),
    ("knox-portal", "", None, "from a (unknown [192.0.2.39]) by k1.example.org (KnoxPortal) with ESMTPA id 20240710062217"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("software", "version", "build", "line"), LINES, ids=[f"{n}-{entry[0]}" for n, entry in enumerate(LINES)]
)
def test_each_software_is_told_by_its_stamp(
    software: str, version: str, build: str | None, line: str
) -> None:
    """Software, version as stamped, and build of each fixture line are read."""
    hop = parse_hop(f"{line}{WHEN}".encode())
    assert (hop.software, hop.version) == (software, version)
    assert (hop.build and format_build(hop.build)) == build


def test_each_entry_of_the_tables_has_a_line() -> None:
    """No recogniser, shape or host stands in the tables without a fixture line of its own."""
    lines = [line.encode() for *_, line in LINES]
    assert {entry[0] for entry in LINES} >= {entry.software for entry in (*RECOGNISERS, *SHAPES)} | set(
        HOSTS.values()
    )
    for entry in RECOGNISERS:
        assert any(entry.marker in line for line in lines), entry.marker
    for domain in HOSTS:
        assert any(domain in line.lower() for line in lines), domain
