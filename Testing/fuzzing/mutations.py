"""Ways to damage a file, drawn with a random generator: bytes of any file, elements of DICOM files, entries of text files."""

from __future__ import annotations

import random
import re
import struct

Content = bytes

# Numbers that readers trip over: signs, zeros, extremes, what is no number, what only looks like one.
HOSTILE_NUMBERS = (
    b"0",
    b"-1",
    b"1e300",
    b"-1e-300",
    b"nan",
    b"inf",
    b"2147483648",
    b"65535",
    b"999999999999",
    b"",
    b"0x10",
    b"1,5",
    b"1_0",
    b"--3",
    b"\xff",
)
_VALUE_REPRESENTATIONS = (b"DS", b"IS", b"US", b"SQ", b"OW", b"OB", b"UN", b"LO", b"UI", b"FD", b"FL", b"UL", b"PN", b"AT", b"UT", b"ZZ")
_LENGTHS_2 = (0, 1, 3, 0x7FFF, 0xFFFE, 0xFFFF)
_LENGTHS_4 = (0, 1, 7, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, 0x10000000)
_LONG = (b"OB", b"OW", b"OF", b"SQ", b"UT", b"UN", b"UC", b"UR")
_ITEM = b"\xfe\xff\x00\xe0"
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def damaged(content: Content, rng: random.Random) -> Content:
    """The content with one to three kinds of damage that befall any file."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        content = rng.choice(_ANY)(content, rng)
    return content


def damaged_dicom(content: Content, rng: random.Random) -> Content:
    """As `damaged`, or with altered elements."""
    if rng.random() < 0.4:
        return damaged(content, rng)
    for _ in range(rng.choice((1, 1, 2))):
        content = rng.choice(_DICOM)(content, rng)
    return content


def damaged_text(content: Content, rng: random.Random) -> Content:
    """As `damaged`, or with altered numbers and lines; only the first 4,000 bytes, where a header ends that data follow."""
    if rng.random() < 0.4:
        return damaged(content, rng)
    head, rest = content[:4000], content[4000:]
    return rng.choice(_TEXT)(head, rng) + rest


def _flip_bits(content: Content, rng: random.Random) -> Content:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        if changed:
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set_bytes(content: Content, rng: random.Random) -> Content:
    changed = bytearray(content)
    if changed:
        start = rng.randrange(len(changed))
        for place in range(start, min(len(changed), start + rng.choice((1, 2, 4, 16)))):
            changed[place] = rng.choice((0, 0xFF, 0x7F, 0x80, rng.randrange(256)))
    return bytes(changed)


def _truncate(content: Content, rng: random.Random) -> Content:
    return content[: rng.randrange(len(content) + 1)] if rng.random() < 0.7 else content[: -rng.choice((1, 2, 4, 64))]


def _cut_out(content: Content, rng: random.Random) -> Content:
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 2, 7, 128, 2048)) :]


def _insert(content: Content, rng: random.Random) -> Content:
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.randbytes(rng.choice((1, 2, 4, 100))) + content[start:]


def _repeat(content: Content, rng: random.Random) -> Content:
    start = rng.randrange(len(content) + 1)
    stop = start + rng.choice((1, 8, 200))
    return content[:stop] + content[start:]


def _exchange(content: Content, rng: random.Random) -> Content:
    length = rng.choice((2, 16, 256))
    if len(content) < 2 * length:
        return content
    first, second = sorted(rng.randrange(len(content) - length + 1) for _ in range(2))
    if second - first < length:
        return content
    return (
        content[:first]
        + content[second : second + length]
        + content[first + length : second]
        + content[first : first + length]
        + content[second + length :]
    )


def _elements(content: Content) -> list[tuple[int, int, int]]:
    """(start, start of the value, length) of the elements of explicit VR little endian, as far as they can be followed; items are entered."""
    found = []
    place = 132 if content[128:132] == b"DICM" else 0
    while place + 8 <= len(content):
        vr = content[place + 4 : place + 6]
        if not vr.isalpha():  # implicit VR, or the item of a sequence
            value, length = place + 8, int.from_bytes(content[place + 4 : place + 8], "little")
        elif vr in _LONG:
            value, length = place + 12, int.from_bytes(content[place + 8 : place + 12], "little")
        else:
            value, length = place + 8, int.from_bytes(content[place + 6 : place + 8], "little")
        found.append((place, value, length))
        holds_items = content[place : place + 2] == _ITEM[:2] or content[value : value + 4] == _ITEM
        place = value if holds_items or length == 0xFFFFFFFF else value + length
    return found


def _alter_vr(content: Content, rng: random.Random) -> Content:
    start, _, _ = rng.choice(_elements(content) or [(0, 0, 0)])
    return content[: start + 4] + rng.choice(_VALUE_REPRESENTATIONS) + content[start + 6 :]


def _alter_length(content: Content, rng: random.Random) -> Content:
    start, value, length = rng.choice(_elements(content) or [(0, 8, 0)])
    if value - start == 8 and content[start + 4 : start + 6].isalpha():
        return content[: value - 2] + struct.pack("<H", rng.choice((*_LENGTHS_2, (length + rng.choice((-2, -1, 1, 2))) % 0x10000))) + content[value:]
    return content[: value - 4] + struct.pack("<I", rng.choice((*_LENGTHS_4, (length + rng.choice((-2, -1, 1, 2))) % 2**32))) + content[value:]


def _alter_tag(content: Content, rng: random.Random) -> Content:
    start, _, _ = rng.choice(_elements(content) or [(0, 0, 0)])
    other, _, _ = rng.choice(_elements(content) or [(0, 0, 0)])
    return content[:start] + content[other : other + 4] + content[start + 4 :]


def _drop_element(content: Content, rng: random.Random) -> Content:
    start, value, length = rng.choice(_elements(content) or [(0, 0, 0)])
    return content[:start] + content[value + length :]


def _repeat_element(content: Content, rng: random.Random) -> Content:
    start, value, length = rng.choice(_elements(content) or [(0, 0, 0)])
    return content[: value + length] + content[start:]


def _alter_value(content: Content, rng: random.Random) -> Content:
    """Another value of the same length: numbers in text become hostile, others arbitrary."""
    _, value, length = rng.choice([element for element in _elements(content) if element[2] < 4096] or [(0, 0, 0)])
    old = content[value : value + length]
    if _NUMBER.match(old) and rng.random() < 0.7:
        parts = old.split(b"\\")
        parts[rng.randrange(len(parts))] = rng.choice(HOSTILE_NUMBERS)
        new = b"\\".join(parts)[:length].ljust(length)
    else:
        new = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return content[:value] + new + content[value + length :]


def _alter_number(content: Content, rng: random.Random) -> Content:
    places = list(_NUMBER.finditer(content))
    if not places:
        return content
    place = rng.choice(places)
    return content[: place.start()] + rng.choice((*HOSTILE_NUMBERS, b"%d" % rng.randrange(-300, 300))) + content[place.end() :]


def _drop_line(content: Content, rng: random.Random) -> Content:
    lines = content.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def _repeat_line(content: Content, rng: random.Random) -> Content:
    lines = content.split(b"\n")
    line = rng.choice(lines)
    lines.insert(rng.randrange(len(lines) + 1), line)
    return b"\n".join(lines)


def _exchange_words(content: Content, rng: random.Random) -> Content:
    words = list(re.finditer(rb"[\w.-]+", content))
    if len(words) < 2:
        return content
    first, second = sorted(rng.sample(words, 2), key=lambda word: word.start())
    return content[: first.start()] + second[0] + content[first.end() : second.start()] + first[0] + content[second.end() :]


_ANY = (_flip_bits, _flip_bits, _set_bytes, _truncate, _cut_out, _insert, _repeat, _exchange)
_DICOM = (_alter_vr, _alter_length, _alter_length, _alter_tag, _drop_element, _repeat_element, _alter_value, _alter_value, _alter_value)
_TEXT = (_alter_number, _alter_number, _drop_line, _repeat_line, _exchange_words)
