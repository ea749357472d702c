"""What is out of date, on any day: data files, look-up, assessment, importers of public feeds."""

from wehr.catalogue.catalogue import STALE_AFTER, Catalogue
from wehr.catalogue.document import CatalogueError
from wehr.catalogue.load import load

__all__ = ["STALE_AFTER", "Catalogue", "CatalogueError", "load"]
