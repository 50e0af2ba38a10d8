"""Frames: against tables of RFC 6455's rules, against every split of the stream, and against wsproto."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import FrameProtocol, ParseFailed

from bintrio._protocol.frames import (
    RAW_LIMIT,
    CloseCode,
    FrameDecoder,
    Message,
    Opcode,
    apply_mask,
    close_payload,
    encode_frame,
    mask_keys,
    parse_close,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = b"\x01\x80\xff\x07"
LIMIT = 1 << 20


def decoder(*, masked: bool = False, limit: int = LIMIT) -> FrameDecoder:
    return FrameDecoder(masked=masked, max_message_size=limit)


def decode(*pieces: bytes, masked: bool = False, limit: int = LIMIT) -> tuple[list[Message], CloseCode | None]:
    """The messages in the pieces, and the code of the violation that ended them."""
    fed = decoder(masked=masked, limit=limit)
    messages = [message for piece in pieces for message in fed.feed(piece)]
    return messages, fed.violation.code if fed.violation else None


def text(payload: bytes) -> Message:
    return Message(Opcode.TEXT, payload)


# Encoding


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x82\x00"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_header_has_the_shortest_length(size: int, header: bytes) -> None:
    payload = b"x" * size
    assert encode_frame(Opcode.BINARY, payload) == header + payload


def test_the_examples_of_the_rfc() -> None:
    # RFC 6455, section 5.7
    assert encode_frame(Opcode.TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert encode_frame(Opcode.TEXT, b"Hello", bytes.fromhex("37fa213d")) == bytes.fromhex("818537fa213d7f9f4d5158")
    assert encode_frame(Opcode.TEXT, b"Hel", fin=False) == bytes.fromhex("010348656c")
    assert encode_frame(Opcode.CONTINUATION, b"lo") == bytes.fromhex("80026c6f")


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masking_is_the_rfc_s_and_its_own_inverse(payload: bytes, mask: bytes) -> None:
    masked = apply_mask(payload, mask)
    assert masked == bytes(octet ^ mask[index % 4] for index, octet in enumerate(payload))
    assert apply_mask(masked, mask) == payload


def test_mask_keys_are_fresh_across_batches() -> None:
    keys = mask_keys()
    taken = [next(keys) for _ in range(3000)]
    assert {len(key) for key in taken} == {4}
    # Of 3,000 random 32-bit keys, about one pair in a thousand runs is equal; ten pairs never are.
    assert len(set(taken)) > 2990


def test_a_close_reason_is_cut_between_characters() -> None:
    payload = close_payload(1000, "ü" * 100)
    assert len(payload) == 124
    assert parse_close(payload) == (1000, "ü" * 61)


def test_a_close_frame_may_be_empty() -> None:
    assert parse_close(b"") == (None, "")
    assert parse_close(b"\x03\xe9bye") == (1001, "bye")


# Decoding: what is allowed


def frame(opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return encode_frame(opcode, payload, fin=fin)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("mask", [None, MASK])
def test_round_trip(size: int, mask: bytes | None) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
    encoded = encode_frame(Opcode.BINARY, payload, mask)
    assert decode(encoded, masked=mask is not None) == ([Message(Opcode.BINARY, payload)], None)


def test_fragments_become_one_message_and_control_frames_may_come_between() -> None:
    stream = (
        frame(Opcode.TEXT, b"\xe2\x82", fin=False)
        + frame(Opcode.PING, b"now")
        + frame(Opcode.CONTINUATION, b"", fin=False)
        + frame(Opcode.CONTINUATION, b"\xac", fin=False)
        + frame(Opcode.CONTINUATION)
        + frame(Opcode.BINARY, b"\xff", fin=False)
        + frame(Opcode.CONTINUATION, b"\xfe")
        + frame(Opcode.TEXT, b"next")
    )
    expected = [
        Message(Opcode.PING, b"now"),
        text("€".encode()),
        Message(Opcode.BINARY, b"\xff\xfe"),
        text(b"next"),
    ]
    assert decode(stream) == (expected, None)


def test_a_short_beginning_of_a_message_is_no_short_message() -> None:
    # All bytes are ASCII, those of the headers too: they could be taken for text.
    stream = (
        frame(Opcode.TEXT, b"ab", fin=False)
        + frame(Opcode.CONTINUATION, b"c" * 256, fin=False)
        + frame(Opcode.CONTINUATION, b"d")
    )
    assert decode(stream) == ([text(b"ab" + b"c" * 256 + b"d")], None)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 4999])
def test_close_codes_that_may_be_sent(code: int) -> None:
    payload = code.to_bytes(2, "big") + "grüße".encode()
    assert decode(frame(Opcode.CLOSE, payload)) == ([Message(Opcode.CLOSE, payload)], None)


def test_nothing_is_decoded_after_a_close_frame() -> None:
    fed = decoder()
    assert fed.feed(frame(Opcode.TEXT, b"a") + frame(Opcode.CLOSE) + b"\xff\xff\xff") == [
        text(b"a"),
        Message(Opcode.CLOSE, b""),
    ]
    assert fed.feed(frame(Opcode.TEXT, b"b")) == []
    assert fed.violation is None


def test_between_messages_or_in_one() -> None:
    fed = decoder()
    states = [fed.is_between_messages]
    for piece in (b"\x81", b"\x01", b"a", b"\x01\x01a", b"\x80\x00"):
        fed.feed(piece)
        states.append(fed.is_between_messages)
    assert states == [True, False, False, True, False, True]


# Decoding: what is not


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        pytest.param(b"\xc1\x00", CloseCode.PROTOCOL_ERROR, id="reserved bit 1"),
        pytest.param(b"\xa1\x00", CloseCode.PROTOCOL_ERROR, id="reserved bit 2"),
        pytest.param(b"\x91\x00", CloseCode.PROTOCOL_ERROR, id="reserved bit 3"),
        pytest.param(b"\x83\x00", CloseCode.PROTOCOL_ERROR, id="unknown data opcode"),
        pytest.param(b"\x8f\x00", CloseCode.PROTOCOL_ERROR, id="unknown control opcode"),
        pytest.param(b"\x81\x80", CloseCode.PROTOCOL_ERROR, id="masked by a server"),
        pytest.param(b"\x09\x00", CloseCode.PROTOCOL_ERROR, id="fragmented ping"),
        pytest.param(b"\x89\x7e", CloseCode.PROTOCOL_ERROR, id="long ping"),
        pytest.param(b"\x80\x00", CloseCode.PROTOCOL_ERROR, id="continuation of nothing"),
        pytest.param(b"\x01\x00\x81\x00", CloseCode.PROTOCOL_ERROR, id="whole text within fragments"),
        pytest.param(b"\x01\x00\x02\x00", CloseCode.PROTOCOL_ERROR, id="fragment of another message"),
        pytest.param(b"\x81\x7e\x00\x7d", CloseCode.PROTOCOL_ERROR, id="16-bit length too long a form"),
        pytest.param(b"\x81\x7f" + (0xFFFF).to_bytes(8, "big"), CloseCode.PROTOCOL_ERROR, id="64-bit too long a form"),
        pytest.param(b"\x81\x7f\x80" + b"\x00" * 7, CloseCode.PROTOCOL_ERROR, id="length of 2**63"),
        pytest.param(b"\x81\x7f\x7f" + b"\xff" * 7, CloseCode.TOO_BIG, id="length of 2**63 - 1"),
        pytest.param(b"\x81\x7f\x40" + b"\x00" * 7, CloseCode.TOO_BIG, id="length of 2**62"),
        pytest.param(b"\x88\x01\x03", CloseCode.PROTOCOL_ERROR, id="half a close code"),
        pytest.param(b"\x88\x02\x03\xec", CloseCode.PROTOCOL_ERROR, id="close code 1004"),
        pytest.param(b"\x88\x02\x03\xed", CloseCode.PROTOCOL_ERROR, id="close code 1005"),
        pytest.param(b"\x88\x02\x03\xee", CloseCode.PROTOCOL_ERROR, id="close code 1006"),
        pytest.param(b"\x88\x02\x03\xf7", CloseCode.PROTOCOL_ERROR, id="close code 1015"),
        pytest.param(b"\x88\x02\x0b\xb7", CloseCode.PROTOCOL_ERROR, id="close code 2999"),
        pytest.param(b"\x88\x02\x13\x88", CloseCode.PROTOCOL_ERROR, id="close code 5000"),
        pytest.param(b"\x88\x03\x03\xe8\xff", CloseCode.INVALID_DATA, id="close reason not UTF-8"),
        pytest.param(b"\x81\x01\xff", CloseCode.INVALID_DATA, id="text not UTF-8"),
        pytest.param(b"\x81\x02\xe2\x82", CloseCode.INVALID_DATA, id="text ends within a character"),
        pytest.param(b"\x81\x03\xed\xa0\x80", CloseCode.INVALID_DATA, id="surrogate"),
        pytest.param(b"\x01\x01\xff", CloseCode.INVALID_DATA, id="first fragment not UTF-8"),
        pytest.param(b"\x01\x01\xe2\x80\x00", CloseCode.INVALID_DATA, id="last fragment ends within a character"),
        pytest.param(b"\x81\x7f" + (LIMIT + 1).to_bytes(8, "big"), CloseCode.TOO_BIG, id="too long by its header"),
        pytest.param(b"\x01\x01a\x80\x7f" + LIMIT.to_bytes(8, "big"), CloseCode.TOO_BIG, id="too long together"),
    ],
)
def test_violations_after_whole_messages(stream: bytes, code: CloseCode) -> None:
    before = frame(Opcode.TEXT, b"before")
    assert decode(before + stream + b"ignored") == ([text(b"before")], code)
    assert decode(*(bytes([octet]) for octet in before + stream)) == ([text(b"before")], code)


@pytest.mark.parametrize(("head", "opcode"), [(b"\x83", "0x3"), (b"\x8f", "0xf")])
def test_an_opcode_that_is_not_known_is_told(head: bytes, opcode: str) -> None:
    fed = decoder()
    fed.feed(head + b"\x00")
    assert fed.violation is not None
    assert fed.violation.reason == f"unknown opcode {opcode}"


def test_control_frames_of_a_client_have_at_most_125_bytes_too() -> None:
    fed = decoder(masked=True)
    fed.feed(bytes([0x80 | Opcode.PING, 0x80 | 126, 0, 126]))
    assert fed.violation is not None
    assert fed.violation.reason == "control frame over 125 bytes"


def test_a_client_must_mask() -> None:
    assert decode(frame(Opcode.TEXT, b"a"), masked=True) == ([], CloseCode.PROTOCOL_ERROR)


def test_a_violation_keeps_a_bounded_part_of_what_came() -> None:
    fed = decoder()
    fed.feed(frame(Opcode.TEXT, b"fine") + b"\x81\x7e\x08\x00" + b"\xff" * 2048)
    assert fed.violation is not None
    assert fed.violation.raw == b"\x81\x7e\x08\x00" + b"\xff" * (RAW_LIMIT - 4)
    assert fed.violation.reason == "text that is not UTF-8"


def test_the_longest_message_allowed_is_allowed() -> None:
    assert decode(frame(Opcode.BINARY, b"x" * 1000), limit=1000) == ([Message(Opcode.BINARY, b"x" * 1000)], None)
    assert decode(frame(Opcode.PING, b"x" * 100), limit=10) == ([Message(Opcode.PING, b"x" * 100)], None)


# Any split of the stream gives the same


fragments = st.lists(st.binary(max_size=200), min_size=1, max_size=4)
controls = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))


def whole_message(opcode: Opcode, parts: list[bytes]) -> list[bytes]:
    opcodes = [opcode, *[Opcode.CONTINUATION] * (len(parts) - 1)]
    return [
        encode_frame(each, part, fin=index == len(parts) - 1)
        for index, (each, part) in enumerate(zip(opcodes, parts, strict=True))
    ]


binary_frames = fragments.map(lambda parts: whole_message(Opcode.BINARY, parts))
text_frames = st.text(max_size=200).map(
    lambda characters: whole_message(
        Opcode.TEXT, [characters.encode()[start : start + 50] for start in range(0, len(characters) + 1, 50)]
    )
)
control_frames = controls.map(lambda control: [encode_frame(*control)])
garbage = st.binary(min_size=1, max_size=30).map(lambda octets: [octets])
streams = st.lists(st.one_of(binary_frames, text_frames, control_frames, garbage), max_size=6).map(
    lambda parts: b"".join(piece for part in parts for piece in part)
)


def split(stream: bytes, cuts: Iterable[int]) -> list[bytes]:
    ends = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    return [stream[start:end] for start, end in pairwise(ends)]


@given(streams, st.lists(st.integers(0, 5000), max_size=12))
def test_any_split_of_the_stream_gives_the_same(stream: bytes, cuts: list[int]) -> None:
    whole = decode(stream, limit=500)
    assert decode(*split(stream, cuts), limit=500) == whole
    assert decode(*split(stream, range(len(stream))), limit=500) == whole


@given(st.binary(max_size=400), st.lists(st.integers(0, 400), max_size=5))
def test_no_bytes_make_the_decoder_fail_otherwise_than_by_a_violation(stream: bytes, cuts: list[int]) -> None:
    for masked in (False, True):
        assert decode(*split(stream, cuts), masked=masked) == decode(stream, masked=masked)


texts = st.one_of(
    st.tuples(st.just(b"\x81"), st.sampled_from([0, 1, 2, 3, 125, 126, 127, 500, 501, 65_535, 65_536])).map(
        lambda drawn: (drawn[0], b"x" * drawn[1])
    ),
    st.tuples(st.sampled_from([b"\x81", b"\x82", b"\x01", b"\x80", b"\x89", b"\xc1"]), st.binary(max_size=4)),
)


@given(st.lists(texts, max_size=8), st.booleans(), st.integers(-5, 0))
def test_what_is_common_is_decoded_by_the_same_rules(parts: list[tuple[bytes, bytes]], long: bool, end: int) -> None:
    # A masked frame never takes the short way; with a key of zeros it carries the same bytes.
    def stream(mask: bytes | None) -> bytes:
        return b"".join(first + encode_frame(0, payload, mask)[1:] for first, payload in parts)

    limit = LIMIT if long else 500
    whole = decode(stream(None), limit=limit)
    assert whole == decode(stream(bytes(4)), masked=True, limit=limit)
    cut, violation = decode(stream(None)[:end], limit=limit)
    assert cut == whole[0][: len(cut)]
    assert violation in (None, whole[1])


# wsproto as an independent judge


@given(st.binary(max_size=70_000), st.booleans())
def test_wsproto_reads_what_is_encoded(payload: bytes, fin: bool) -> None:
    client = Connection(ConnectionType.SERVER)
    client.receive_data(encode_frame(Opcode.BINARY, payload, next(mask_keys()), fin=fin))
    events = [event for event in client.events() if isinstance(event, BytesMessage)]
    assert b"".join(bytes(event.data) for event in events) == payload
    assert not events or events[-1].message_finished is fin


def read_by_wsproto(stream: bytes) -> tuple[list[Message], CloseCode | None]:
    judge = FrameProtocol(client=True, extensions=[])
    judge.receive_bytes(stream)
    messages: list[Message] = []
    data = b""
    started = Opcode.TEXT
    try:
        for received in judge.received_frames():
            opcode = Opcode(received.opcode)
            if isinstance(received.payload, tuple):  # code and reason of a close frame
                messages.append(Message(opcode, b""))
                break
            payload = received.payload.encode() if isinstance(received.payload, str) else bytes(received.payload)
            if opcode in (Opcode.PING, Opcode.PONG):
                messages.append(Message(opcode, payload))
                continue
            started, data = opcode, data + payload
            if received.message_finished:
                messages.append(Message(started, data))
                data = b""
    except ParseFailed as failure:
        return messages, CloseCode(failure.code)
    return messages, None


@given(streams)
def test_wsproto_decodes_the_same_messages(stream: bytes) -> None:
    ours, violation = decode(stream)
    theirs, failure = read_by_wsproto(stream)
    ours = [Message(Opcode.CLOSE, b"") if message.opcode is Opcode.CLOSE else message for message in ours]
    # Neither need notice a violation by the same byte: wsproto reads text before its frame is whole.
    assert ours[: len(theirs)] == theirs[: len(ours)]
    if violation is None and failure is None:
        assert ours == theirs


def test_what_wsproto_sends_is_decoded() -> None:
    server = Connection(ConnectionType.SERVER)
    stream = b"".join(
        (
            server.send(TextMessage(data="grüße")),
            server.send(Ping(payload=b"1")),
            server.send(BytesMessage(data=b"\x00" * 70_000)),
            server.send(Pong(payload=b"2")),
            server.send(CloseConnection(code=1001, reason="restart")),
        )
    )
    messages, violation = decode(stream)
    assert violation is None
    assert messages[:2] == [text("grüße".encode()), Message(Opcode.PING, b"1")]
    assert messages[2:4] == [Message(Opcode.BINARY, b"\x00" * 70_000), Message(Opcode.PONG, b"2")]
    assert parse_close(messages[4].payload) == (1001, "restart")


# Sizes


def test_a_huge_message_in_many_pieces() -> None:
    payload = bytes(range(256)) * (17 << 12)
    stream = frame(Opcode.BINARY, payload) + frame(Opcode.TEXT, b"next")
    pieces = split(stream, range(0, len(stream), 65_536))
    assert decode(*pieces, limit=1 << 26) == ([Message(Opcode.BINARY, payload), text(b"next")], None)


def test_ten_thousand_messages_in_one_piece() -> None:
    payloads = [b"%d" % number for number in range(10_000)]
    stream = b"".join(frame(Opcode.TEXT, payload) for payload in payloads)
    assert decode(stream) == ([text(payload) for payload in payloads], None)
