"""WebSocket frames as functions over bytes, for both ends (RFC 6455).

Outward, `encode_frame` makes one whole frame. Inward, a `FrameDecoder` is fed bytes as they arrive, in pieces of any
size, and yields whole messages: control frames as they come, data frames once the last fragment is there.

**What ends a connection.** The first rule that the peer breaks stops the decoder. Everything whole before it is
still yielded, then `FrameDecoder.violation` says what was broken, and the code to close with: 1002 for the shape of
a frame, 1007 for text that is not UTF-8, 1009 for a message that is too long. The rules are checked as early as the
bytes allow: an over-long message is refused by its header, before its payload has been received or stored; text in
fragments is checked fragment by fragment. Text within one frame is checked when the frame is whole.

**Cost.** The common case is a buffer of many short, unmasked, unfragmented text frames: each is one slice of the
buffer and one check for ASCII, in a loop of its own that leaves everything else to the general rules. Pieces of an
unfinished frame are kept in a list, and joined only when there are enough bytes to go on, so a message costs its
length however it was split.

Left out: extensions. None is ever offered, so every reserved bit is a violation.
"""

from __future__ import annotations

import codecs
import os
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import partial
from itertools import chain
from typing import Final, NamedTuple

import msgspec


class Opcode(IntEnum):
    """What a frame is (section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(IntEnum):
    """Why a connection was closed: the codes used here (section 7.4.1)."""

    NORMAL = 1000
    PROTOCOL_ERROR = 1002
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009


# A struct, since one is made for each message: a NamedTuple takes five times as long.
class Message(msgspec.Struct, frozen=True, gc=False):
    """A whole message, or a control frame.

    Attributes:
        opcode: TEXT, BINARY, CLOSE, PING or PONG.
        payload: its bytes, unmasked; valid UTF-8 if the opcode is TEXT.
    """

    opcode: Opcode
    payload: bytes


class Violation(NamedTuple):
    """What the peer did wrong.

    Attributes:
        code: the code to close with.
        reason: the broken rule, in words fit for a close frame.
        raw: the bytes at fault, from the start of their frame; at most `RAW_LIMIT` of them.
    """

    code: CloseCode
    reason: str
    raw: bytes = b""


RAW_LIMIT: Final = 1024
"""Bytes of a broken frame that are kept for the report."""

MAX_CONTROL_PAYLOAD: Final = 125
"""Bytes (section 5.5)."""

FIN: Final = 0x80
RESERVED: Final = 0x70
MASKED: Final = 0x80
_WHOLE_TEXT: Final = FIN | Opcode.TEXT
_SHORT_TEXT: Final = _WHOLE_TEXT << 8  # the first two bytes of a frame, less its size
_LONGER_TEXT: Final = _SHORT_TEXT | 126  # and of one whose size follows
_HEAD: Final = struct.Struct(">HH").unpack_from
_LONGER: Final = struct.Struct(">BBH").pack
_CLOSE: Final = FIN | Opcode.CLOSE
_FIRST_CONTROL: Final = 0x8
_TEXT: Final = Opcode.TEXT  # finding a member in an enum takes longer than making a message
_OPCODES: Final = {opcode.value: opcode for opcode in Opcode}

# Codes that may stand in a close frame: those registered for it, and the ranges for libraries and applications
# (section 7.4.2). 1004 to 1006 and 1015 must never be sent.
_WIRE_CLOSE_CODES: Final = frozenset([1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)])


def encode_frame(opcode: int, payload: bytes, mask: bytes | None = None, *, fin: bool = True) -> bytes:
    """One frame.

    Args:
        opcode: one of `Opcode`.
        payload: what it carries; at most 125 bytes for a control frame.
        mask: four fresh bytes if a client sends it, None if a server does.
        fin: False for every fragment of a message but its last.
    """
    first = opcode | FIN if fin else opcode
    masked = 0 if mask is None else MASKED
    # The length has 7 bits, or 16 or 64 more behind them (section 5.2).
    size = len(payload)
    if size < 126:
        header = bytes((first, masked | size))
    elif size < 0x10000:
        header = _LONGER(first, masked | 126, size)
    else:
        header = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    return header + payload if mask is None else header + mask + apply_mask(payload, mask)


def apply_mask(payload: bytes, mask: bytes) -> bytes:
    """Mask or unmask: the same operation (section 5.3)."""
    # One exclusive-or of two long integers is some fifty times faster than a loop over the bytes.
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(size)


def close_payload(code: int, reason: str) -> bytes:
    """The payload of a close frame, its reason cut to what fits."""
    # A character that is cut in two is left out.
    text = reason.encode()[: MAX_CONTROL_PAYLOAD - 2].decode(errors="ignore")
    return code.to_bytes(2, "big") + text.encode()


def parse_close(payload: bytes) -> tuple[int | None, str]:
    """Code and reason of a close frame that a `FrameDecoder` let through; a close frame may have no code."""
    if not payload:
        return None, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


# Masks taken from the operating system at once: a system call for each frame would cost more than the frame.
_MASKS: Final = 1024


def mask_keys(octets: Callable[[int], bytes] = os.urandom) -> Iterator[bytes]:
    """Unpredictable masks, a fresh one for each frame (section 10.3).

    Args:
        octets: gives so many bytes that nobody can foresee.
    """
    drawn = iter(partial(octets, 4 * _MASKS), None)
    return chain.from_iterable(map(struct.Struct("4s" * _MASKS).unpack, drawn))


class _Fault(Exception):
    """Carries a broken rule from where it is noticed to `FrameDecoder.feed`."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FrameDecoder:
    """Cuts messages out of the bytes that one end of a connection receives.

    Args:
        masked: whether the peer must mask its frames: True if the peer is a client, False if it is a server.
        max_message_size: bytes of payload that one message may have, its fragments together.

    Attributes:
        violation: what the peer did wrong, once it has. Nothing is decoded after a violation or a close frame.
    """

    def __init__(self, *, masked: bool, max_message_size: int) -> None:
        self.violation: Violation | None = None
        self._ended = False
        self._masked = masked
        self._max_message_size = max_message_size
        self._pieces: list[bytes] = []  # received, and not yet enough to go on
        self._size = 0  # of the pieces together
        self._needed = 2  # bytes it takes to go on
        self._fragments = bytearray()
        self._fragmented: Opcode | None = None  # what the message is whose fragments are being collected
        self._text = codecs.getincrementaldecoder("utf-8")()

    @property
    def is_between_messages(self) -> bool:
        """Whether nothing is half received."""
        return not self._size and self._fragmented is None

    def feed(self, data: bytes) -> list[Message]:
        """Take what was received; return every message that is now whole, in order."""
        if self._ended:
            return []
        if self._pieces:
            self._pieces.append(data)
            self._size += len(data)
            # A long frame comes in many pieces: they are joined once, not at each piece.
            if self._size < self._needed:
                return []
            data = b"".join(self._pieces)
        return self._cut(data)

    def _cut(self, data: bytes) -> list[Message]:
        messages: list[Message] = []
        # The quick loop is for a server's frames outside of a fragmented message; a client's frames are masked.
        position = 0 if self._masked or self._fragmented is not None else self._cut_texts(data, messages)
        try:
            while (header := self._header(data, position)) is not None:
                first, start, end = header
                payload = data[start:end]
                if self._masked:
                    # The mask stands right before the payload.
                    payload = apply_mask(payload, data[start - 4 : start])
                self._accept(first, payload, messages)
                position = end
                if first == _CLOSE:
                    # What follows a close frame is not looked at (section 5.5.1).
                    self._ended, position = True, len(data)
        except _Fault as fault:
            self.violation = Violation(fault.code, fault.reason, data[position : position + RAW_LIMIT])
            self._ended, position = True, len(data)
        rest = data[position:] if position else data
        self._pieces = [rest] if rest else []
        self._size = len(rest)
        return messages

    def _cut_texts(self, data: bytes, messages: list[Message]) -> int:
        """The common case: whole, unmasked text frames in ASCII, up to the first frame that is or may be another."""
        position, available = 0, len(data)
        while available - position > 4:
            head, size = _HEAD(data, position)
            start = position + 4
            # Either the length is in the second byte, or this frame is for the general rules, which know what is wrong
            # with it.
            if head != _LONGER_TEXT or size < 126:
                size = head - _SHORT_TEXT
                if not 0 <= size < 126:
                    break
                start = position + 2
            end = start + size
            # Not whole yet, too long, or text that must be checked for UTF-8.
            if end > available or size > self._max_message_size or not (payload := data[start:end]).isascii():
                break
            messages.append(Message(_TEXT, payload))
            position = end
        return position

    def _header(self, data: bytes, position: int) -> tuple[int, int, int] | None:
        """The frame at `position`: its first byte, and the ends of its payload.

        None, and the bytes it takes noted, if it is not all there.
        """
        available = len(data) - position
        if available < 2:
            self._needed = 2
            return None
        first, second = data[position], data[position + 1]
        # Before the length is known, so that a broken rule ends the connection as early as possible.
        self._check(first, second)
        size = second & 0x7F
        start = position + 2
        if size > 125:
            width = 2 if size == 126 else 8
            start += width
            if available < 2 + width:
                self._needed = 2 + width
                return None
            size = _long_size(data[start - width : start])
        # Before the payload has come, so that a message that is too long is never stored.
        self._check_size(first, size)
        end = start + (4 if self._masked else 0) + size
        if end - position > available:
            self._needed = end - position
            return None
        return first, end - size, end

    def _check(self, first: int, second: int) -> None:
        """The rules for the first two bytes."""
        # A client masks every frame, a server none (section 5.1).
        if (second >= MASKED) is not self._masked:
            raise _Fault(CloseCode.PROTOCOL_ERROR, "unmasked frame" if self._masked else "masked frame")
        # Nearly all frames are such, and nothing of what follows applies to them.
        if first == _WHOLE_TEXT and self._fragmented is None:
            return
        # They are for extensions, and none was agreed on (section 5.2).
        if first & RESERVED:
            raise _Fault(CloseCode.PROTOCOL_ERROR, "reserved bits set")
        opcode = _OPCODES.get(first & 0x0F)
        # Opcodes 3 to 7 and 11 to 15 are reserved (section 5.2).
        if opcode is None:
            raise _Fault(CloseCode.PROTOCOL_ERROR, f"unknown opcode {first & 0x0F:#x}")
        if opcode >= _FIRST_CONTROL:
            _check_control(first, second & 0x7F)
        # A continuation without a beginning, or a new message within one that is not finished.
        elif (opcode is Opcode.CONTINUATION) is (self._fragmented is None):
            raise _Fault(CloseCode.PROTOCOL_ERROR, "fragments out of order")

    def _check_size(self, first: int, size: int) -> None:
        # Control frames have a limit of their own, and belong to no message.
        if first & _FIRST_CONTROL == 0 and len(self._fragments) + size > self._max_message_size:
            raise _Fault(CloseCode.TOO_BIG, f"message over {self._max_message_size} bytes")

    def _accept(self, first: int, payload: bytes, messages: list[Message]) -> None:
        """Add a frame's message, or the message whose last fragment it is."""
        opcode = _OPCODES[first & 0x0F]
        if opcode >= _FIRST_CONTROL:
            # Control frames may come between the fragments of a message, so they are not collected (section 5.4).
            if opcode is Opcode.CLOSE:
                _check_close(payload)
            messages.append(Message(opcode, payload))
        elif first & FIN and self._fragmented is None:
            # ASCII is UTF-8 already, and nearly every message is.
            if opcode is Opcode.TEXT and not payload.isascii():
                self._check_text(payload, final=True)
            messages.append(Message(opcode, payload))
        else:
            self._add_fragment(opcode, payload, final=bool(first & FIN), messages=messages)

    def _add_fragment(self, opcode: Opcode, payload: bytes, *, final: bool, messages: list[Message]) -> None:
        kind = self._fragmented or opcode
        self._fragmented = kind
        # A character may begin in one fragment and end in the next: the decoder remembers.
        if kind is Opcode.TEXT:
            self._check_text(payload, final=final)
        self._fragments += payload
        if final:
            messages.append(Message(kind, bytes(self._fragments)))
            self._fragments = bytearray()
            self._fragmented = None

    def _check_text(self, payload: bytes, *, final: bool) -> None:
        try:
            self._text.decode(payload, final)
        except UnicodeDecodeError:
            raise _Fault(CloseCode.INVALID_DATA, "text that is not UTF-8") from None


def _long_size(field: bytes) -> int:
    """The length in a header's extra bytes: as short as possible, and below 2**63."""
    size = int.from_bytes(field, "big")
    # "The minimal number of bytes MUST be used to encode the length" (section 5.2).
    if size < (126 if len(field) == 2 else 0x10000):
        raise _Fault(CloseCode.PROTOCOL_ERROR, "length not in its shortest form")
    # "The most significant bit MUST be 0" (section 5.2).
    if size >> 63:
        raise _Fault(CloseCode.PROTOCOL_ERROR, "length of 2**63 or more")
    return size


def _check_control(first: int, size: int) -> None:
    # Control frames "MUST have a payload length of 125 bytes or less and MUST NOT be fragmented" (section 5.5).
    if not first & FIN:
        raise _Fault(CloseCode.PROTOCOL_ERROR, "fragmented control frame")
    if size > MAX_CONTROL_PAYLOAD:
        raise _Fault(CloseCode.PROTOCOL_ERROR, "control frame over 125 bytes")


def _check_close(payload: bytes) -> None:
    # A close frame may say nothing; if it does, two bytes are a code (5.5.1).
    if not payload:
        return
    if len(payload) == 1 or int.from_bytes(payload[:2], "big") not in _WIRE_CLOSE_CODES:
        raise _Fault(CloseCode.PROTOCOL_ERROR, "invalid close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise _Fault(CloseCode.INVALID_DATA, "close reason that is not UTF-8") from None
