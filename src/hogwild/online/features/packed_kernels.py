"""Examples out of MessagePack: checked, and turned into rows, without a Python object for any of their values.

A place in the bytes is followed from value to value; -1 says that what stands there is not what was looked for.
"""

from __future__ import annotations

import numpy as np

from hogwild.compiled import prefetch, strict_inlined, strict_kernel

DATA, LABELLED, SCORED = 0, 1, 2  # an item: a datum; a label and a datum; a number and a datum
NUMBERS, TEXT_KEYS, LABELS = 0, -1, -2  # groups of a table's names; 1 and above: words of one text key
HASH, GROUP, START, LENGTH, VALUE, STAMP = range(6)  # of an entry: together, one cache line instead of six
UNKNOWN, SKIPPED = -2, -1  # values in a table: not looked up, and without a feature; below: number of a pending one
PENDING = -3
DONE, FULL, KEYS, STRANGE = 0, 1, 2, 3  # how parsing ended: through; no room; a text key is new; not by these rules
WHOLE, WORDS_ONCE, WORDS = 0, 1, 2  # how a key's text is split
OTHER = 3  # not by these rules


@strict_inlined
def _bigendian(data, at, size):
    value = np.uint64(0)
    for place in range(size):
        value = (value << np.uint64(8)) | np.uint64(data[at + place])
    return value


@strict_inlined
def _array(data, at):
    """Return the length of the array that begins there, and where its first item does."""
    if at >= len(data):
        return np.int64(-1), np.int64(-1)
    code = data[at]
    if 0x90 <= code <= 0x9F:
        return np.int64(code & 0x0F), at + 1
    size = np.int64(2) if code == 0xDC else np.int64(4) if code == 0xDD else np.int64(0)
    if size == 0 or at + 1 + size > len(data):
        return np.int64(-1), np.int64(-1)
    return np.int64(_bigendian(data, at + 1, size)), at + 1 + size


@strict_inlined
def _text(data, at):
    """Return where a text begins and ends."""
    if at >= len(data):
        return np.int64(-1), np.int64(-1)
    code = data[at]
    if 0xA0 <= code <= 0xBF:
        start, length = at + 1, np.int64(code & 0x1F)
    else:
        size = np.int64(0)
        if code == 0xD9:
            size = np.int64(1)
        elif code == 0xDA:
            size = np.int64(2)
        elif code == 0xDB:
            size = np.int64(4)
        if size == 0 or at + 1 + size > len(data):
            return np.int64(-1), np.int64(-1)
        start, length = at + 1 + size, np.int64(_bigendian(data, at + 1, size))
    if start + length > len(data):
        return np.int64(-1), np.int64(-1)
    return start, start + length


@strict_inlined
def _double(data, at):
    """Return whether a double stands there."""
    return at + 9 <= len(data) and data[at] == 0xCB


@strict_inlined
def _value(data, at):
    return np.uint64(_bigendian(data, at + 1, 8)).view(np.float64)


@strict_inlined
def _pair(data, at):
    """Return where the first of two items begins."""
    return at + 1 if 0 <= at < len(data) and data[at] == 0x92 else np.int64(-1)


@strict_inlined
def _datum(data, at):
    """Return the end of a datum that has texts and numbers, and no bytes."""
    columns, at = _array(data, at)
    if columns != 2 and columns != 3:
        return np.int64(-1)
    for column in range(columns):
        count, at = _array(data, at)
        if count < 0 or (column == 2 and count > 0):
            return np.int64(-1)
        for _ in range(count):
            at = _pair(data, at)
            if at < 0:
                return np.int64(-1)
            _, at = _text(data, at)
            if at < 0:
                return np.int64(-1)
            if column == 0:
                _, at = _text(data, at)
                if at < 0:
                    return np.int64(-1)
            else:
                if not _double(data, at):
                    return np.int64(-1)
                at += 9
    return at


@strict_kernel
def scan(data, at, kind, ends):
    """Note where each item of a list ends; return False where one is not of that kind."""
    ends[0] = at
    for item in range(len(ends) - 1):
        if kind != DATA:
            at = _pair(data, at)
            if at < 0:
                return False
            if kind == LABELLED:
                _, at = _text(data, at)
                if at < 0:
                    return False
            else:
                if not _double(data, at):
                    return False
                at += 9
        at = _datum(data, at)
        if at < 0:
            return False
        ends[item + 1] = at
    return True


@strict_kernel
def list_at(data, at):
    """Return the length of the list that begins there, and where its first item does; -1 where there is none."""
    return _array(data, at)


@strict_inlined
def _hash(table, group, data, start, end):
    """Hash a name; nobody can make many of one hash who does not know the table's secret."""
    hash = np.uint64(table.used[4]) ^ np.uint64(np.int64(group) * np.int64(7919))
    for at in range(start, end):
        hash = (hash ^ np.uint64(data[at])) * np.uint64(1099511628211)
    hash ^= hash >> np.uint64(32)
    return hash | np.uint64(1)  # 0 is a free place


@strict_inlined
def _first_place(hash, places):
    return (hash * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(20)) & np.uint64(places - 1)


@strict_inlined
def _entry(table, group, data, start, end):
    """Return the place of a name in a table; a new one is unknown; -1 where there is no room for it."""
    return _entry_of(table, group, _hash(table, group, data, start, end), data, start, end)


@strict_inlined
def _entry_of(table, group, hash, data, start, end):
    """Return the same where the hash is known."""
    marked, length = np.int64(hash), end - start
    mask = np.uint64(len(table.entries) - 1)
    place = _first_place(hash, len(table.entries))
    while table.entries[place, HASH] != 0:
        entry = table.entries[place]
        if entry[HASH] == marked and entry[GROUP] == group and entry[LENGTH] == length:
            first, same = entry[START], True
            for step in range(length):
                if table.letters[first + step] != data[start + step]:
                    same = False
                    break
            if same:
                return np.int64(place)
        place = (place + np.uint64(1)) & mask
    used, letters = table.used[0], table.used[1]
    if 2 * (used + 1) > len(table.entries) or letters + length > len(table.letters):
        return np.int64(-1)
    for step in range(length):
        table.letters[letters + step] = data[start + step]
    entry = table.entries[place]
    entry[HASH], entry[GROUP], entry[START], entry[LENGTH] = marked, group, letters, length
    entry[VALUE], entry[STAMP] = UNKNOWN, 0
    table.used[0], table.used[1] = used + 1, letters + length
    return np.int64(place)


@strict_inlined
def _known(table, place, pending):
    """Return a name's value; one that is not known is noted as pending."""
    value = table.entries[place, VALUE]
    if value == UNKNOWN:
        count = table.used[2]
        pending[count] = place
        table.used[2] = count + 1
        value = PENDING - count
        table.entries[place, VALUE] = value
    return value


@strict_inlined
def _is_space(letter):
    return letter == 32 or 9 <= letter <= 13


@strict_inlined
def _words(table, group, data, start, end, mode, work):
    """Find some words, note where they are and their hashes; return how many, and where the next may begin.

    The places in the table are asked for meanwhile: 20 Newsgroups took twice as long where they were not.
    """
    found = 0
    while found < work.shape[1]:
        stop = end
        if mode != WHOLE:
            while start < end and _is_space(data[start]):
                start += 1
            if start == end:
                break
            stop = start + 1
            while stop < end and not _is_space(data[stop]):
                stop += 1
        hash = _hash(table, group, data, start, stop)
        prefetch(table.entries, _first_place(hash, len(table.entries)) * np.uint64(8))
        work[0, found], work[1, found], work[2, found] = start, stop, np.int64(hash)
        found += 1
        start = stop
        if mode == WHOLE:
            break
    return found, start


@strict_kernel
def parse(data, ends, kind, table, modes, work, pending, row_ends, slots, values, labels):
    """Turn items into rows; return how that ended, and the number of entries.

    `pending` has room for one name more than the bytes could hold. Slots of names that are not known are the negative
    numbers under which they are pending.
    """
    count = 0
    for item in range(len(ends) - 1):
        at = ends[item]
        if kind != DATA:
            at += 1
            if kind == LABELLED:
                start, at = _text(data, at)
                place = _entry(table, LABELS, data, start, at)
                if place < 0:
                    return FULL, count
                labels[item] = _known(table, place, pending)
            else:
                at += 9
        columns, at = _array(data, at)
        for column in range(columns):
            pairs, at = _array(data, at)
            for _ in range(pairs):
                start, at = _text(data, at + 1)
                if column == 1:
                    place = _entry(table, NUMBERS, data, start, at)
                    if place < 0:
                        return FULL, count
                    slots[count], values[count] = _known(table, place, pending), _value(data, at)
                    count += 1
                    at += 9
                    continue
                place = _entry(table, TEXT_KEYS, data, start, at)
                if place < 0:
                    return FULL, count
                key = _known(table, place, pending)
                if key <= PENDING:
                    return KEYS, count
                start, at = _text(data, at)
                if key == SKIPPED:
                    continue
                mode = modes[key]
                if mode == OTHER:
                    return STRANGE, count
                table.used[3] += 1
                stamp = table.used[3]
                while start < at or mode == WHOLE:
                    words, start = _words(table, 1 + key, data, start, at, mode, work)
                    for word in range(words):
                        place = _entry_of(table, 1 + key, np.uint64(work[2, word]), data, work[0, word], work[1, word])
                        if place < 0:
                            return FULL, count
                        if mode != WORDS_ONCE or table.entries[place, STAMP] != stamp:
                            table.entries[place, STAMP] = stamp
                            slots[count], values[count] = _known(table, place, pending), 1.0
                            count += 1
                    if mode == WHOLE:
                        break
        row_ends[item] = count
    return DONE, count


@strict_kernel
def settle(slots, count, table, pending):
    """Put the values of what was pending in place of its numbers; the unknown are left out."""
    for place in range(count):
        if slots[place] <= PENDING:
            slots[place] = table.entries[pending[PENDING - slots[place]], VALUE]
        if slots[place] == UNKNOWN:
            slots[place] = SKIPPED


@strict_kernel
def rehash(old, new):
    """Carry a table's names over into a larger one."""
    mask = np.uint64(len(new.entries) - 1)
    for letter in range(old.used[1]):
        new.letters[letter] = old.letters[letter]
    for place in range(len(old.entries)):
        if old.entries[place, HASH] == 0:
            continue
        to = _first_place(np.uint64(old.entries[place, HASH]), len(new.entries))
        while new.entries[to, HASH] != 0:
            to = (to + np.uint64(1)) & mask
        for field in range(6):
            new.entries[to, field] = old.entries[place, field]
    for place in range(len(old.used)):
        new.used[place] = old.used[place]
