"""/metrics: what is counted, whoever of several workers is asked, and what is shipped for it."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from importlib.metadata import version
from pathlib import Path

import messages
import pytest
from beside import FETCHED
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families
from running import Receiver, receiver, until

from wehr.doors.milter import MilterClient
from wehr.evidence import Session
from wehr.policy.types import Action, Reason
from wehr.service.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
NOW = 1_795_000_000.0
AT_ONCE = 'policy.ladder = "at-once"\npolicy.ladders = { at-once = [{ block = 60 }] }\n'
Figures = dict[str, dict[tuple[str, ...], float]]


def ask(wehr: Receiver, build: str = "15.1.2507.16") -> None:
    """One message of an out-of-date server."""
    text = messages.exchange(build, "ex01.example.com").partition(": ")[2].partition("\nFrom")[0]
    session = Session(client_ip="203.0.113.10", helo="ex01.example.com", recipients=("example.org",))
    with MilterClient(("127.0.0.1", wehr.port), session, timeout=5) as client:
        client.deliver([("Received", " " + text)])


def read(port: int) -> Figures:
    """The figures by name and values of their labels."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_messages_are_counted_by_answer_and_reason(tmp_path: Path) -> None:
    """And servers by what they count as, and doors by what they did."""
    port = free_port()
    extra = f'{AT_ONCE}web.listen = ["127.0.0.1:{port}"]\n'
    with receiver(tmp_path, NOW, "enforce", extra) as wehr:
        ask(wehr)
        ask(wehr)
        until(lambda: read(port)["wehr_carried"] == {("1",): 2.0})
        figures = read(port)

    assert figures["wehr_messages"] == {("block", "blocked", "1"): 2.0}
    assert figures["wehr_door_refused_5xx"][("milter", "1")] == 2.0
    assert figures["wehr_servers_out_of_date"] == {("1",): 1.0}
    assert figures["wehr_servers_known"] == {("1",): 1.0}
    assert figures["wehr_store_away"] == {("1",): 0.0}
    assert set(figures["wehr_info"]) == {("enforce", version("wehr"), "1")}


def test_labels_are_of_closed_sets(tmp_path: Path) -> None:
    """No name, address or build of a stranger becomes a label."""
    port = free_port()
    with receiver(tmp_path, NOW, "enforce", f'{AT_ONCE}web.listen = ["127.0.0.1:{port}"]\n') as wehr:
        ask(wehr)
        figures = read(port)

    allowed = {str(it) for it in (*Action, *Reason)} | {
        "milter",
        "1",
        "true",
        "false",
        "enforce",
        version("wehr"),
    }
    allowed |= {"current", "outdated", "unsupported", "unknown"}
    assert {value for family in figures.values() for labels in family for value in labels} <= allowed


def test_only_named_networks_may_read_them(tmp_path: Path) -> None:
    """Nobody, if none is named."""
    port = free_port()
    extra = f'web.listen = ["127.0.0.1:{port}"]\nweb.metrics_networks = []\n'
    with receiver(tmp_path, NOW, "report", extra), pytest.raises(urllib.error.HTTPError, match="403"):
        read(port)


def test_each_worker_tells_the_figures_of_all(tmp_path: Path) -> None:
    """As the others left them, unless they have ended."""
    with receiver(tmp_path, NOW, "report", "workers = 2\n") as wehr:
        second = Metrics(wehr.service, 2)
        ask(wehr)
        folder = wehr.service.folder.path / "metrics"
        until((folder / "1.json").exists)
        told = {sample[0] for family in second.families() for sample in family.samples}
        (folder / "3.json").symlink_to("taken away meanwhile")
        os.utime(folder / "1.json", (0, 0))
        later = {sample[0] for family in second.families() for sample in family.samples}

    assert ("1",) in told
    assert ("2",) in told
    assert ("1",) not in later


def test_what_is_shipped_names_only_figures_that_there_are(tmp_path: Path) -> None:
    """The alerts and the dashboard alike; what is to be sent is in both."""
    port = free_port()
    with receiver(tmp_path, NOW, "enforce", f'{AT_ONCE}web.listen = ["127.0.0.1:{port}"]\n') as wehr:
        ask(wehr)
        there = set(read(port))
    alerts = (ROOT / "packaging/prometheus/wehr.rules.yml").read_text()
    dashboard = (ROOT / "packaging/grafana/wehr.json").read_text()

    for shipped in (alerts, dashboard):
        named = {name.removesuffix("_total") for name in re.findall(r"\bwehr_[a-z0-9_]+", shipped)}
        assert named <= there
        assert {"wehr_outbox", "wehr_notices_stopped"} <= named


def test_the_dashboard_is_whole() -> None:
    """Each panel has a title, a place of its own and a question."""
    dashboard = json.loads((ROOT / "packaging/grafana/wehr.json").read_text())

    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["title"] and panel["targets"][0]["expr"] for panel in dashboard["panels"])


def test_promtool_finds_the_alerts_right(tmp_path: Path) -> None:
    """They can be read, and come when they should."""
    packages = list((FETCHED / "prometheus").glob("prometheus_*.deb"))
    if not packages:
        pytest.skip("prometheus is not fetched: make system")
    subprocess.run(["dpkg-deb", "-x", packages[0], tmp_path], check=True)
    promtool = tmp_path / "usr/bin/promtool"
    folder = ROOT / "packaging/prometheus"

    for command in (["check", "rules", "wehr.rules.yml"], ["test", "rules", "wehr.test.yml"]):
        done = subprocess.run([promtool, *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
