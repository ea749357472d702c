"""Reading catalogue files. The only module of this room, but for ``importers/source.py``, that does I/O."""

from collections.abc import Sequence
from pathlib import Path

from wehr.catalogue.catalogue import Catalogue
from wehr.catalogue.document import MAX_BYTES, CatalogueError, Document, parse_document

BUILT_IN = Path(__file__).parent / "data"


def load(folder: Path | None = None, overlays: Sequence[Path] = ()) -> Catalogue:
    """Read a folder of catalogue files (the built-in one by default) and lay overlays over it.

    An overlay is a file, or a folder whose ``*.toml`` are taken in the order of their names; a folder that is
    not there holds nothing.

    Raises:
        CatalogueError: a file is unreadable or wrong; the text names file, line or key, and remedy.
    """
    return Catalogue.of(read(folder, overlays))


def read(folder: Path | None = None, overlays: Sequence[Path] = ()) -> tuple[Document, ...]:
    """The same files, parsed only.

    Raises:
        CatalogueError: as in :func:`load`.
    """
    folder = BUILT_IN if folder is None else folder
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise CatalogueError(f"{folder}: no catalogue files (*.toml) there; name the folder that holds them")
    for overlay in overlays:
        files += sorted(overlay.glob("*.toml")) if overlay.is_dir() else [overlay] if overlay.exists() else []
    return tuple(_read(file) for file in files)


def _read(file: Path) -> Document:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise CatalogueError(f"{file}: over {MAX_BYTES} bytes; that is no catalogue file")
        return parse_document(raw.decode(), str(file))
    except OSError as error:
        raise CatalogueError(f"{file}: {error.strerror}; make it readable or remove it") from None
    except UnicodeDecodeError:
        raise CatalogueError(f"{file}: not UTF-8; save it as UTF-8") from None
