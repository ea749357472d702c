"""The least a pymilter program can do: ``pymilter_empty.py ADDRESS``, as libmilter has addresses."""

import sys

import Milter


class Empty(Milter.Base):
    """Every event is sent and answered, as for a filter that overrides the callbacks."""

    def connect(self, name, family, address):  # noqa: D102
        return Milter.CONTINUE

    def hello(self, name):  # noqa: D102
        return Milter.CONTINUE

    def envfrom(self, path, *args):  # noqa: D102
        return Milter.CONTINUE

    def envrcpt(self, path, *args):  # noqa: D102
        return Milter.CONTINUE

    def data(self):  # noqa: D102
        return Milter.CONTINUE

    def header(self, name, value):  # noqa: D102
        return Milter.CONTINUE

    def eoh(self):  # noqa: D102
        return Milter.CONTINUE

    def body(self, chunk):  # noqa: D102
        return Milter.CONTINUE

    def eom(self):  # noqa: D102
        return Milter.CONTINUE

    def close(self):  # noqa: D102
        return Milter.CONTINUE


if __name__ == "__main__":
    Milter.factory = Empty
    Milter.runmilter("empty", sys.argv[1], timeout=600)
