"""A network between Wehr and its database that the test can cut, slow down and mend."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator


class Network:
    """``up``, ``down`` (connections refused), ``cut`` (silence), or ``slow`` by ``delay`` seconds."""

    def __init__(self, target: int) -> None:
        self.state = "up"
        self.delay = 10.0
        self._target = target
        self._pairs: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, state: str) -> None:
        """Change what happens from now on; ``down`` ends the connections that there are."""
        self.state = state
        if state == "down":
            self.close_pairs()

    def close_pairs(self) -> None:
        """End all connections."""
        for one in self._pairs:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def close(self) -> None:
        """End everything."""
        self.state = "down"
        self._listener.close()
        self.close_pairs()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.state == "down":
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self._pairs += [client, server]
            for source, sink, late in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass_on, args=(source, sink, late), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, late: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if late and self.state == "slow":
                    time.sleep(self.delay)
                while self.state == "cut":
                    time.sleep(0.02)
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        source.close()


@contextlib.contextmanager
def network(target: int) -> Iterator[Network]:
    """A network in front of a loopback port."""
    one = Network(target)
    try:
        yield one
    finally:
        one.close()
