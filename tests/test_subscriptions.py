"""Feeds and subscribers: order, overflow, repeats and gaps."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from bintrio._signing import HmacKey
from bintrio._subscriptions import Feed, Gap, Overlap, Subscriber, UserDataEvent
from bintrio.api.events import BalanceUpdate, Event, UnknownEvent
from bintrio.errors import SubscriberTooSlow


def event(number: int, *, event_time: int = 0) -> BalanceUpdate:
    return BalanceUpdate(event_time=event_time, asset="BTC", delta=number, clear_time=number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def feed() -> Feed:
    return Feed(HmacKey("api", "secret"), lateness=60_000)


async def everything(subscriber: Subscriber) -> list[UserDataEvent]:
    subscriber.end()
    return [event async for event in subscriber]


async def test_events_come_in_order_to_everyone_who_listens() -> None:
    source, first, second = feed(), Subscriber(10), Subscriber(10)
    source.add(first)
    source.publish(event(1), 1, 0)
    source.add(second)
    source.publish(event(2), 1, 0)
    assert len(first) == 2
    assert await everything(first) == [event(1), event(2)]
    assert await everything(second) == [event(2)]


async def test_g3_a_subscriber_that_never_reads_is_cut_off_and_the_others_are_not() -> None:
    source, slow, quick = feed(), Subscriber(2), Subscriber(10)
    source.add(slow)
    source.add(quick)
    for number in range(5):
        source.publish(event(number), 1, 0)
    assert [await anext(slow), await anext(slow)] == [event(0), event(1)]
    with pytest.raises(SubscriberTooSlow, match="buffer of 2 events") as caught:
        await anext(slow)
    assert caught.value.buffer == 2
    assert len(await everything(quick)) == 5


async def test_a_subscriber_waits_for_the_next_event(autojump_clock: trio.testing.MockClock) -> None:
    source, subscriber = feed(), Subscriber(1)
    source.add(subscriber)
    async with trio.open_nursery() as nursery:

        async def publish_later() -> None:
            await trio.sleep(1)
            source.publish(event(1), 1, 0)

        nursery.start_soon(publish_later)
        assert await anext(subscriber) == event(1)
    assert trio.current_time() == 1


async def test_cancelling_a_subscriber_that_waits_loses_no_event() -> None:
    source, subscriber = feed(), Subscriber(2)
    source.add(subscriber)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(subscriber.__anext__)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    source.publish(event(1), 1, 0)
    assert await anext(subscriber) == event(1)


async def test_g5_repeats_are_dropped_from_before_the_second_connection_carries_until_it_cannot_be_late() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.add(subscriber)
    source.coming(1)
    source.carried(1, 0)
    source.publish(event(0), 1, 0)
    source.publish(event(0), 1, 0)  # said twice by the exchange, for there is but one connection
    source.coming(2)
    source.publish(event(1, event_time=5), 1, 0)
    source.carried(2, 0)
    source.publish(event(1, event_time=6), 2, 0)
    source.publish(event(2), 2, 0)
    source.publish(event(2), 1, 0)
    source.released(1, 1_000)
    source.publish(event(3), 2, 61_000)
    assert source.repeats == 2
    source.publish(event(2), 2, 61_001)
    source.publish(event(2), 2, 61_001)
    assert source.repeats == 2
    assert len(await everything(subscriber)) == 7


async def test_g5_a_second_connection_that_never_came_is_not_waited_for_long() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.add(subscriber)
    source.carried(1, 0)
    source.coming(2)
    source.publish(event(1), 1, 0)
    source.released(2, 1_000)
    source.coming(3)
    source.publish(event(1), 1, 70_000)
    source.released(3, 70_000)
    source.publish(event(1), 1, 130_001)
    assert source.repeats == 0
    assert source._overlap is None
    assert len(await everything(subscriber)) == 3


async def test_g5_of_three_connections_two_are_left_that_may_repeat_each_other() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.add(subscriber)
    for connection in (1, 2, 3):
        source.coming(connection)
        source.carried(connection, 0)
    source.released(1, 0)
    source.publish(event(1), 2, 10**9)
    source.publish(event(1), 3, 10**9)
    assert source.repeats == 1
    assert len(await everything(subscriber)) == 1


async def test_g5_unknown_events_are_told_apart_by_their_json() -> None:
    overlap = Overlap(60_000)
    first = UnknownEvent(event_type="new", raw=b'{"e":"new","E":1,"x":1}')
    later = UnknownEvent(event_type="new", raw=b'{"x":1,"e":"new","E":2}')
    other = UnknownEvent(event_type="new", raw=b'{"x":2,"e":"new","E":2}')
    assert not overlap.is_repeat(1, first.identity(), 0)
    assert overlap.is_repeat(2, later.identity(), 0)
    assert not overlap.is_repeat(2, other.identity(), 0)


@given(st.lists(st.integers(0, 3)), st.lists(st.booleans()))
def test_g5_two_connections_in_any_interleaving_bring_every_event_once(numbers: list[int], turns: list[bool]) -> None:
    """Each connection brings the same events in the same order, an event may occur twice, neither is always ahead."""
    overlap = Overlap(60_000)
    position = {1: 0, 2: 0}
    delivered: list[int] = []
    for connection in [*(1 if turn else 2 for turn in turns), *[1] * len(numbers), *[2] * len(numbers)]:
        if position[connection] < len(numbers):
            number = numbers[position[connection]]
            position[connection] += 1
            if not overlap.is_repeat(connection, number, 0):
                delivered.append(number)
    assert sorted(delivered) == sorted(numbers)


async def test_a_gap_is_told_when_the_next_connection_carries_the_feed() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.add(subscriber)
    source.carried(1, 100)
    assert source.is_carried_by(1)
    source.interrupted(1, 200, 210, "cut")
    source.interrupted(1, 220, 220, "a second cut before anything was repaired")
    assert not source.is_carried_by(1)
    source.carried(2, 300)
    assert await everything(subscriber) == [Gap(start=200, end=300, reason="cut")]


async def test_a_gap_is_told_at_once_when_another_connection_carries_the_feed() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.add(subscriber)
    source.carried(1, 100)
    source.carried(2, 150)
    source.interrupted(1, 200, 210, "cut")
    assert await everything(subscriber) == [Gap(start=200, end=210, reason="cut")]


async def test_a_feed_that_was_given_up_in_order_leaves_no_gap() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.add(subscriber)
    source.carried(1, 100)
    source.carried(2, 150)
    source.released(1, 200)
    assert await everything(subscriber) == []


async def test_a_gap_is_told_when_the_last_connection_left_in_order_but_nobody_went_on() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.add(subscriber)
    source.carried(1, 100)
    source.carried(2, 150)
    source.interrupted(2, 160, 170, "cut")
    assert source.is_carried
    source.handed_over(1, 180)
    source.carried(3, 300)
    first, second = await everything(subscriber)
    assert first == Gap(start=160, end=170, reason="cut")
    assert isinstance(second, Gap)
    assert (second.start, second.end) == (180, 300)


async def test_a_feed_ends_for_everyone_with_the_error() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.add(subscriber)
    source.publish(event(1), 1, 0)
    source.end(ValueError("refused"))
    assert await anext(subscriber) == event(1)
    with pytest.raises(ValueError, match="refused"):
        await anext(subscriber)
    assert not source.is_heard


async def test_who_listens_is_known() -> None:
    source, first, second = feed(), Subscriber(1), Subscriber(1)
    assert not source.is_heard
    source.add(first)
    source.add(second)
    assert not source.remove(first)
    assert source.remove(second)
    assert source.remove(second)


async def test_reprs_state_what_is() -> None:
    source, subscriber = feed(), Subscriber(3)
    source.add(subscriber)
    source.carried(7, 0)
    known: Event = event(1)
    source.publish(known, 7, 0)
    assert repr(source) == "<Feed, 1 subscribers, carried by connections [7]>"
    assert repr(subscriber) == "<Subscriber, 1 of 3 events waiting>"


async def test_whoever_comes_when_nobody_listened_hears_of_no_gap() -> None:
    source, subscriber = feed(), Subscriber(10)
    source.carried(1, 0)
    source.interrupted(1, 10, 20, "cut")
    source.add(subscriber)
    source.carried(2, 30)
    assert await everything(subscriber) == []


def test_g5_repeats_are_remembered_for_as_long_as_they_may_come_and_no_longer() -> None:
    overlap = Overlap(1_000)
    for now in range(100_000):
        assert not overlap.is_repeat(1, now, now)
        if now >= 1_000:
            assert overlap.is_repeat(2, now - 1_000, now)
    assert len(overlap._young) + len(overlap._old) <= 3_003


def test_g5_repeats_are_forgotten_at_once_after_a_pause() -> None:
    overlap = Overlap(1_000)
    assert not overlap.is_repeat(1, "event", 0)
    assert not overlap.is_repeat(2, "event", 5_000)


async def test_g3_a_subscriber_with_a_full_buffer_lets_others_have_their_turn() -> None:
    subscriber = Subscriber(10_000)
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
    subscriber = Subscriber(10)
    subscriber.put_nowait(event(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await anext(subscriber)
    assert scope.cancelled_caught
    assert await anext(subscriber) == event(1)
