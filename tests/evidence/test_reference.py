"""Agreement with the labelled messages, where they are at hand."""

import importlib.util
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
KNOWN = Path(__file__).with_name("disagreements.md")


@pytest.fixture(scope="module")
def report() -> ModuleType:
    """The script behind `make evidence`."""
    spec = importlib.util.spec_from_file_location("evidence_report", ROOT / "bench" / "evidence_report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.reference
def test_the_labels_agree_but_for_the_known_disagreements(report: ModuleType, reference: Path) -> None:
    """99.5 % of hops and handovers agree, none of the cloud's is on-premises, each exception is explained."""
    known = set(re.findall(r"^\| (m[0-9a-f]{12}) \| (\d+|-) \|", KNOWN.read_text(), re.MULTILINE))
    total: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    unexplained = []
    for what, identity, hop, difference in report.compare(reference / "corpus"):
        total[what] += 1
        if difference:
            wrong[what] += 1
            if (identity, "-" if hop is None else str(hop)) not in known:
                unexplained.append((what, identity, hop, difference))
        if what == "software":
            assert "'exchange', label 'exchange-online'" not in difference
    assert not unexplained
    for what in ("software", "version", "by-name", "handover relation"):
        assert wrong[what] <= 0.005 * total[what], what
