"""Mail systems that Debian lets nobody install beside Postfix, each in a view of the machine of its own.

``tests/system-packages.sh`` fetches the packages. Here each program gets a mount namespace in which they lie
over the machine's own files, at the paths and with the users that they were built for. Nothing of it is
seen outside, and all of it is gone when the program ends.
"""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

FETCHED = Path(__file__).resolve().parent.parent.parent / "build" / "debian"

# The view: one layer for what is unpacked and written, below it the machine as it is. The test's own
# folder shines through, for there the test and the program meet.
_VIEW = """
set -e
packages=$1 shared=$2 users=$3
shift 3
view=$shared/view
mkdir -p "$view"
mount -t tmpfs -o mode=0755 view "$view"
mkdir "$view/over" "$view/work" "$view/root"
for folder in bin sbin lib lib64; do
  [ ! -L "/$folder" ] || ln -s "usr/$folder" "$view/over/$folder"
done
mkdir -p "$view/over/usr/bin" "$view/over/usr/sbin" "$view/over/usr/lib" "$view/over/usr/lib64"
for package in "$packages"/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -x --keep-directory-symlink -C "$view/over"
done
mount -t overlay overlay -o "lowerdir=/,upperdir=$view/over,workdir=$view/work" "$view/root"
cd "$view/root"
number=64000
for user in $users; do
  echo "$user:x:$number:$number::/nonexistent:/usr/sbin/nologin" >> etc/passwd
  echo "$user:x:$number:" >> etc/group
  number=$((number + 1))
done
# No look-up leaves the machine, and none waits.
hostname mx.example.org
echo "127.0.0.1 mx.example.org localhost" > etc/hosts
echo "hosts: files" > etc/nsswitch.conf
echo "nameserver 127.0.0.1" > etc/resolv.conf
mount --rbind /dev dev
mount --rbind /proc proc
mount --bind "$shared" ".$shared"
exec chroot . "$@"
"""


@cache
def _can_view() -> bool:
    mount = ["unshare", "--mount", "--uts", "mount", "-t", "tmpfs", "probe", "/mnt"]
    return os.geteuid() == 0 and not subprocess.run(mount, check=False, capture_output=True).returncode


def require(package: str) -> None:
    """Skip the test where the mail system of this package cannot be run."""
    if not (FETCHED / package / "complete").exists():
        pytest.skip(f"{package} is not fetched: make system")
    if not _can_view():
        pytest.skip(f"{package} needs a mount namespace, which this user cannot have")


def command(package: str, shared: Path, users: Sequence[str], argv: Sequence[str]) -> list[str]:
    """How to run a program of a package.

    ``shared`` is the one folder in which others see what it writes, and where it finds their unix sockets.
    """
    view = ("unshare", "--mount", "--uts", "--propagation", "private", "sh", "-c", _VIEW, "view")
    return [*view, str(FETCHED / package), str(shared), " ".join(users), *argv]


@contextlib.contextmanager
def daemon(
    argv: Sequence[str], folder: Path, address: tuple[str, int], greeting: bytes = b"220 "
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a mail system in the foreground until the end; it is ready once it greets on ``address``."""
    output = folder / "output"
    with (
        output.open("wb") as out,
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        ) as process,
    ):
        try:
            _wait_for(process, address, greeting, output)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
            with contextlib.suppress(ProcessLookupError):  # what it may have left of itself
                os.killpg(process.pid, 9)


def _wait_for(
    process: subprocess.Popen[bytes], address: tuple[str, int], greeting: bytes, output: Path
) -> None:
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(address, 1) as probe:
            probe.settimeout(20)
            if probe.recv(len(greeting)) == greeting:
                probe.sendall(b"QUIT\r\n")
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not listen: {output.read_text(errors='replace')[-2000:]}")
