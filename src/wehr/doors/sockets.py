"""Unix sockets as the doors open them."""

import os
import shutil
import socket
import stat
from pathlib import Path


def bind_unix(path: Path, mode: int, group: str | int | None) -> socket.socket:
    """A bound unix socket that nobody could connect to before mode and group were right."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777)
    try:
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    try:
        if group is not None:
            shutil.chown(path, group=group)
        path.chmod(mode)
    except BaseException:
        listener.close()
        path.unlink()
        raise
    return listener


def _remove_stale(path: Path) -> None:
    """Remove a socket that nobody listens on.

    Raises:
        OSError: somebody does, or it is no socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} exists and is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise FileExistsError(f"{path} is in use by another process")
