"""Nodes that are killed: nothing is lost, and nothing is sent twice."""

import asyncio
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import notice_node
import pytest
from notice_stories import Mailbox, carry, look, mailbox, seen

from wehr.ledger import Store
from wehr.ledger.outbox import Kind, Outbox, State
from wehr.notices.office import plan_notices

NODE = Path(notice_node.__file__)


def node(url: str, box: Mailbox, *at: int) -> "subprocess.Popen[bytes]":
    """Start one; with a number it kills itself at that step."""
    command = [sys.executable, str(NODE), url, str(box.port), *map(str, at)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def copies(box: Mailbox) -> Counter[str]:
    """How often each message was taken."""
    return Counter(str(message["Message-ID"]).strip("<>") for message in box.messages)


def test_a_node_killed_at_every_step_sends_one_message(sqlite: Store) -> None:
    """After the note in the store and before the answer nobody can tell: a person decides. Else it is one."""
    store, url, steps = sqlite, sqlite.name, 0
    while True:
        steps += 1
        with mailbox() as box:
            carry(store, [seen(f"mail.org{steps}.com", ip=f"10.1.{steps}.1")])
            plan_notices(look(store, 2), Outbox(store))
            killed = node(url, box, steps).wait(60)
            asyncio.run(notice_node.deliver(url, box.port, "second", 2 * notice_node.LEASE))
            (item,) = Outbox(store).items(kind=Kind.NOTICE, limit=1)
            taken = copies(box)
        if item.state is State.SENT:
            assert taken == {item.message_id: 1}
        else:
            # Before the dot's write there is none, after it one; in neither case a second.
            assert item.state is State.DOUBTFUL
            assert taken.total() <= 1
        if not killed:
            break
    assert steps > 10
    states = Counter(item.state for item in Outbox(store).items(kind=Kind.NOTICE))
    # After the note, before and after the write of the dot, before the answer is noted.
    assert 0 < states[State.DOUBTFUL] <= 4
    assert states[State.SENT] == steps - states[State.DOUBTFUL]


def test_a_fleet_of_three_killed_at_random_sends_each_message_once(store: Store, store_url: str) -> None:
    """Twenty notices, three nodes, one of them killed again and again."""
    chance = random.Random(8)  # noqa: S311
    carry(store, [seen(f"m.org{it}.com", ip=f"10.2.{it}.1") for it in range(20)])
    outbox = Outbox(store)
    plan_notices(look(store, 2), outbox)
    with mailbox() as box:
        running = [node(store_url, box) for _ in range(3)]
        for _ in range(4):
            time.sleep(0.3 + chance.random())  # processes are killed in real time
            victim = chance.randrange(3)
            running[victim].kill()
            running[victim].wait(30)
            running[victim] = node(store_url, box)
        for one in running:
            assert one.wait(90) == 0
        taken = copies(box)
    items = outbox.items(kind=Kind.NOTICE)
    assert len(items) == 20
    assert max(taken.values()) == 1
    for item in items:
        assert item.state in (State.SENT, State.DOUBTFUL)
        if item.state is State.SENT:
            assert taken[item.message_id] == 1


def test_three_couriers_at_once_send_each_message_once(store: Store, store_url: str) -> None:
    """Claims decide, whoever comes first."""
    carry(store, [seen(f"m.org{it}.com", ip=f"10.2.{it}.1") for it in range(20)])
    plan_notices(look(store, 2), Outbox(store))
    with mailbox() as box:
        threads = [
            threading.Thread(
                target=lambda name=f"n{it}": asyncio.run(notice_node.deliver(store_url, box.port, name))
            )
            for it in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        taken = copies(box)

    assert len(taken) == 20
    assert set(taken.values()) == {1}
    assert {item.state for item in Outbox(store).items()} == {State.SENT}


def test_two_nodes_that_plan_at_once_plan_one(store: Store, store_url: str) -> None:
    """What both find due is in the outbox once."""
    from wehr.ledger import open_store

    carry(store, [seen()])
    rounds = look(store, 2)

    def plan_again() -> None:
        with open_store(store_url) as other:
            plan_notices(rounds, Outbox(other))

    threads = [threading.Thread(target=plan_again) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(Outbox(store).items(kind=Kind.NOTICE)) == 1


pytestmark = [pytest.mark.xdist_group("killed"), pytest.mark.timeout(600)]  # it starts many processes
