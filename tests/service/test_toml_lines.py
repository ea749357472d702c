"""Lines of keys in TOML texts."""

import pytest

from wehr.service.toml_lines import line_of

TEXT = """\
host_name = "a"

[policy]
mode = "report"
nested.key = 1

[[policy.tenants]]
name = "one"
[[policy.tenants]]
name = "two"
[policy.tenants.inner]
deep = true
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("host_name",), 1),
        (("policy",), 3),
        (("policy", "mode"), 4),
        (("policy", "nested", "key"), 5),
        (("policy", "tenants", 0, "name"), 8),
        (("policy", "tenants", 1, "name"), 10),
        (("policy", "tenants", 1, "inner", "deep"), 12),
        (("policy", "missing"), 3),
        (("elsewhere",), None),
    ],
)
def test_a_key_is_found_on_its_line(path: tuple[str | int, ...], line: int | None) -> None:
    """Tables, arrays of tables, dotted keys; a missing key gives the table around it."""
    assert line_of(TEXT, path) == line
