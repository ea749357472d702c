"""What is legal but odd in the table of the notices."""

import pytest

from wehr.catalogue import load
from wehr.service.advice import advise
from wehr.service.config import ConfigError, parse

WRITING = 'sender = "a@receiver.test"\nsubmission.host = "127.0.0.1"\n'


def told(text: str) -> list[str]:
    """The keys that advice is given on."""
    return [str(one.path[-1]) for one in advise(parse(text, "x"), load(), 0.0) if "policy" not in one.path]


def test_a_tenant_that_does_not_exist_and_what_is_missing() -> None:
    """Each with its key; nothing where all is set, or nothing is."""
    assert told('[notices]\ntenants = ["default", "x"]\n' + WRITING) == ["1", "bounces", "status_url"]
    fine = 'status_url = "https://r.test"\n[notices]\ntenants = ["default"]\nbounces = "b@r.test"\n' + WRITING
    assert told(fine) == []
    assert told("") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('tenants = ["default"]', "submission.host"),
        ('sender = "nobody"', "not an address"),
        ('contacts = [{ to = ["a@b.test"] }]', "domains or networks"),
        ('submission = { host = "a", user = "u" }', "password_file"),
        ('submission = { host = "a", user = "u", password_file = "p", tls = "none" }', "TLS"),
        ('webhooks = [{ url = "http://a.test/", secret_file = "s" }]', "https"),
    ],
)
def test_what_cannot_work_is_an_error_at_the_start(text: str, why: str) -> None:
    """With file and line, not silence later."""
    with pytest.raises(ConfigError, match=why):
        parse(f"[notices]\n{text}\n", "x")
