"""Feeds and subscribers: order, overflow, and who hears of outages and gaps."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from bintrio._client.observation import Observation
from bintrio._client.subscriptions import Feed, Inbox, Subscriber
from bintrio._protocol.signing import HmacKey
from bintrio._protocol.succession import Gap, Interrupted, UserDataEvent
from bintrio.api.events import BalanceUpdate, Event
from bintrio.errors import SubscriberTooSlow
from tests.protocol.test_succession import Plain


def event(number: int, *, event_time: int = 0) -> BalanceUpdate:
    return BalanceUpdate(event_time=event_time, asset="BTC", delta=number, clear_time=number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def feed() -> Feed:
    return Feed(HmacKey("api", "secret"), Plain(), Observation("test"))


async def everything(inbox: Inbox) -> list[UserDataEvent]:
    inbox.end()
    return [event async for event in Subscriber(inbox)]


async def test_events_come_in_order_to_everyone_who_listens() -> None:
    source, first, second = feed(), Inbox(10), Inbox(10)
    source.subscribed(1, 0)
    source.add(first)
    source.publish(event(1), 1, 0)
    source.add(second)
    source.publish(event(2), 1, 0)
    assert Subscriber(first).waiting == 2
    assert await everything(first) == [event(1), event(2)]
    assert await everything(second) == [event(2)]


async def test_g3_g11_a_subscriber_that_never_reads_is_cut_off_and_the_others_are_not() -> None:
    source, slow, quick = feed(), Inbox(2), Inbox(10)
    source.subscribed(1, 0)
    source.add(slow)
    source.add(quick)
    for number in range(5):
        source.publish(event(number), 1, 0)
    assert [await anext(Subscriber(slow)), await anext(Subscriber(slow))] == [event(0), event(1)]
    with pytest.raises(SubscriberTooSlow, match="buffer of 2 events") as caught:
        await anext(Subscriber(slow))
    assert caught.value.buffer == 2
    assert len(await everything(quick)) == 5


async def test_a_subscriber_waits_for_the_next_event(autojump_clock: trio.testing.MockClock) -> None:
    source, subscriber = feed(), Inbox(1)
    source.subscribed(1, 0)
    source.add(subscriber)
    async with trio.open_nursery() as nursery:

        async def publish_later() -> None:
            await trio.sleep(1)
            source.publish(event(1), 1, 0)

        nursery.start_soon(publish_later)
        assert await anext(Subscriber(subscriber)) == event(1)
    assert trio.current_time() == 1


async def test_cancelling_a_subscriber_that_waits_loses_no_event() -> None:
    source, subscriber = feed(), Inbox(2)
    source.subscribed(1, 0)
    source.add(subscriber)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Subscriber(subscriber).__anext__)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    source.publish(event(1), 1, 0)
    assert await anext(Subscriber(subscriber)) == event(1)


async def test_a_gap_is_told_when_the_next_connection_carries_the_feed() -> None:
    source, subscriber = feed(), Inbox(10)
    source.add(subscriber)
    source.subscribed(1, 100)
    assert source.is_carried_by(1)
    source.lost(1, 200, 210, "cut")
    assert not source.is_carried
    source.subscribed(2, 300)
    assert await everything(subscriber) == [Gap(start=100, end=300, reason="cut")]


async def test_g5_who_misses_something_by_an_outage_is_told_when_it_begins_and_when_it_is_over() -> None:
    source, first, second = feed(), Inbox(10), Inbox(10)
    source.add(first)
    source.tell_outage()
    source.subscribed(1, 100)
    source.lost(1, 200, 210, "cut")
    source.add(second)
    source.tell_outage()
    source.subscribed(2, 300)
    source.publish(event(1), 2, 310)
    assert await everything(first) == [
        Interrupted(at=100, reason="cut"),
        Gap(start=100, end=300, reason="cut"),
        event(1),
    ]
    assert await everything(second) == [event(1)]


async def test_g5_who_came_after_a_loss_misses_nothing_by_it_and_by_a_later_one_does() -> None:
    calendar = Plain()
    source, first, second = Feed(HmacKey("api", "secret"), calendar, Observation("test")), Inbox(10), Inbox(10)
    source.add(first)
    source.subscribed(1, 100)
    source.lost(1, 200, 210, "cut")
    source.subscribed(2, 300)
    source.add(second)
    source.lost(2, 400, 400, "again")
    source.subscribed(3, 500)
    calendar.error = 7
    assert source.doubts == 2
    source.clock_was_measured(source.doubts)
    assert source.doubts == 0
    again = [Gap(start=300, end=500, reason="again"), Gap(start=293, end=507, reason="again")]
    cut = [Gap(start=100, end=300, reason="cut"), Gap(start=93, end=307, reason="cut")]
    assert await everything(first) == [cut[0], again[0], cut[1], again[1]]
    assert await everything(second) == again


@pytest.mark.parametrize("is_told", [False, True])
async def test_g5_a_wider_gap_of_an_earlier_loss_does_not_say_that_an_outage_is_over(is_told: bool) -> None:
    calendar = Plain()
    source, first, second = Feed(HmacKey("api", "secret"), calendar, Observation("test")), Inbox(10), Inbox(10)
    source.add(first)
    source.subscribed(1, 100)
    source.lost(1, 200, 210, "cut")
    source.subscribed(2, 300)
    source.add(second)
    source.lost(2, 400, 400, "again")
    # Else it is told later than that gap, if it lasts.
    if is_told:
        source.tell_outage()
    calendar.error = 7
    source.clock_was_measured(source.doubts)
    source.subscribed(3, 500)
    outage = [Interrupted(at=300, reason="again")] if is_told else []
    cut = [Gap(start=100, end=300, reason="cut"), Gap(start=93, end=307, reason="cut")]
    over = [Gap(start=293, end=507, reason="again")]
    assert await everything(first) == [cut[0], *outage, cut[1], *outage, *over]
    assert await everything(second) == [*outage, *over]


async def test_who_left_during_an_outage_and_whose_buffer_is_full_hear_of_it_no_more() -> None:
    source, left, full, stays = feed(), Inbox(10), Inbox(1), Inbox(10)
    for subscriber in (left, full, stays):
        source.add(subscriber)
    source.subscribed(1, 100)
    source.lost(1, 200, 210, "cut")
    source.remove(left)
    source.tell_outage()
    source.subscribed(2, 300)
    assert not Subscriber(left).waiting
    assert isinstance(await anext(Subscriber(full)), Interrupted)
    with pytest.raises(SubscriberTooSlow):
        await anext(Subscriber(full))
    assert Subscriber(stays).waiting == 2


async def test_a_feed_that_was_given_up_in_order_leaves_no_gap() -> None:
    source, subscriber = feed(), Inbox(10)
    source.add(subscriber)
    source.subscribed(1, 100)
    source.subscribed(2, 150)
    source.unsubscribing(1, 190)
    source.transferred(1, 200, 200)
    assert await everything(subscriber) == []
    source.unsubscribed(2, 300)
    assert not source.is_carried


async def test_a_feed_ends_for_everyone_with_the_error() -> None:
    source, subscriber = feed(), Inbox(10)
    source.subscribed(1, 0)
    source.add(subscriber)
    source.publish(event(1), 1, 0)
    source.end(ValueError("refused"))
    assert await anext(Subscriber(subscriber)) == event(1)
    with pytest.raises(ValueError, match="refused"):
        await anext(Subscriber(subscriber))
    assert not source.is_heard


async def test_who_listens_is_known() -> None:
    source, first, second = feed(), Inbox(1), Inbox(1)
    assert not source.is_heard
    source.add(first)
    source.add(second)
    assert not source.remove(first)
    assert source.remove(second)
    assert source.remove(second)


async def test_reprs_state_what_is() -> None:
    source, subscriber = feed(), Inbox(3)
    source.add(subscriber)
    source.subscribed(7, 0)
    known: Event = event(1)
    source.publish(known, 7, 0)
    assert repr(source) == "<Feed, 1 subscribers, carried by connections [7]>"
    assert repr(Subscriber(subscriber)) == "<Subscriber, 1 of 3 events waiting>"


async def test_whoever_comes_when_nobody_listened_hears_of_no_gap() -> None:
    source, subscriber = feed(), Inbox(10)
    source.subscribed(1, 0)
    source.lost(1, 10, 20, "cut")
    source.add(subscriber)
    source.subscribed(2, 30)
    assert await everything(subscriber) == []


async def test_g3_g11_a_subscriber_with_a_full_buffer_lets_others_have_their_turn() -> None:
    subscriber = Inbox(10_000)
    for number in range(10_000):
        subscriber.put_nowait(event(number))
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_turns)
        assert len(await everything(subscriber)) == 10_000
        nursery.cancel_scope.cancel()
    assert 10 < turns < 1_000


async def test_g6_a_cancelled_step_takes_no_event() -> None:
    subscriber = Inbox(10)
    subscriber.put_nowait(event(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(Subscriber(subscriber))
    assert scope.cancelled_caught
    assert await anext(Subscriber(subscriber)) == event(1)


def test_a_subscriber_takes_no_events_and_is_true_though_none_waits() -> None:
    subscriber = Subscriber(Inbox(10))
    assert bool(subscriber)
    assert [name for name in dir(subscriber) if not name.startswith("_")] == ["buffer", "waiting"]
    assert (subscriber.buffer, subscriber.waiting) == (10, 0)
