"""Sphinx: the pages are Markdown (MyST), the theme is furo; warnings are errors in CI."""

from wehr import __version__

project = "Wehr"
copyright = "the Wehr maintainers"  # noqa: A001
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
html_theme = "furo"
html_title = "Wehr"
exclude_patterns = ["_build"]
# The README is included as the first page; what it links to outside this folder is not part of the pages.
suppress_warnings = ["myst.xref_missing"]
