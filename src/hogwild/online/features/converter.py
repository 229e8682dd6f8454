"""From datum to features, as a configuration says."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, repeat
from typing import Any

from hogwild.online.datum import Column, Datum
from hogwild.online.features import packed_kernels
from hogwild.online.features.counts import COUNTED, Counts, document_of
from hogwild.online.features.filters import filtered
from hogwild.online.features.hashing import hashed
from hogwild.online.features.merging import Merger
from hogwild.online.features.packed_rows import PackedRows
from hogwild.online.features.rules import NumberRule, TextRule, make_rules
from hogwild.online.features.slots import Book, Slots
from hogwild.online.features.vocabulary import Rows, Vocabulary
from hogwild.online.packed import Packed

KEYS = 1 << 12  # of texts whose rules are kept
_EMPTY = Column()
Named = list[tuple[str, float]]


class Converter:
    """Jubatus' converter.

    Parameters
    ----------
    settings : mapping or None
        What the configuration has under ``converter``.
    vocabulary : Vocabulary
        Where names get their slots.

    Attributes
    ----------
    counts : Counts
        Documents and words so far, and weights that users set: a part of the model.
    takes_packed : bool
        Whether `packed` may be called: the rules are simple.

    Raises
    ------
    ConfigurationError
        The settings cannot be used.

    Examples
    --------
    >>> from hogwild.online.datum import Datum
    >>> from hogwild.online.features.converter import Converter
    >>> from hogwild.online.features.vocabulary import Vocabulary
    >>> settings = {"string_rules": [{"key": "*", "type": "space"}], "num_rules": [{"key": "*", "type": "num"}]}
    >>> converter = Converter(settings, Vocabulary())
    >>> converter.named(Datum.of({"title": "a day", "length": 5}))
    [('title$a@space#bin/bin', 1.0), ('title$day@space#bin/bin', 1.0), ('length@num', 5.0)]
    """

    def __init__(self, settings: Mapping[str, Any] | None, vocabulary: Vocabulary) -> None:
        rules = make_rules(settings)
        self._text_filters, self._number_filters = rules.text_filters, rules.number_filters
        self._text_rules, self._number_rules = rules.texts, rules.numbers
        self._combinations, self._size = rules.combinations, rules.size
        self.vocabulary = vocabulary
        self.counts = Counts()
        self._counting = any(rule.globally in COUNTED for rule in self._text_rules)
        self._plain = all(rule.globally == "bin" for rule in self._text_rules)
        self._book = Book(vocabulary, self._final)
        self._merger = Merger()
        numbers = [rule.kind for rule in self._number_rules]
        detours = self._combinations or self._text_filters or self._number_filters
        self.takes_packed = self._plain and not detours and numbers in ([], ["num"])
        self._forget_slots()

    # ------------------------------------------------------------------------------------------------ by name

    def named(self, datum: Datum, update: bool = False) -> Named:
        """Return an example's features: weighted, combined, hashed, each name once, none of value 0.

        Parameters
        ----------
        datum : Datum
        update : bool
            Count its words first, for global weights.

        Raises
        ------
        ValueError
            A number is not finite, or the key of a feature contains "$"; nothing has changed.
        """
        try:
            features = self._named(datum, update)
        except BaseException:
            self.counts.settle(keep=False)
            raise
        self.counts.settle(keep=True)
        return features

    def _named(self, datum: Datum, update: bool) -> Named:
        columns = self._columns(datum)
        for column in columns[2:]:
            _check_finite(column)
        texts = list(self._texts(columns[:2]))
        document, lengths = document_of(texts)
        if update and self._counting:
            self.counts.add(document)
        features = _merged(chain(self.counts.weighted(texts, lengths), self._numbers(columns[2:])))
        if self._combinations:
            features = _merged(features + self._combined(features))
        if self._size:
            features = _merged((hashed(name, self._size), value) for name, value in features)
        return features

    def _columns(self, datum: Datum) -> tuple[Column, Column, Column, Column]:
        """Return texts, filtered texts, numbers and filtered numbers."""
        strings, numbers = datum.strings, datum.numbers
        texts = filtered(self._text_filters, strings) if self._text_filters else _EMPTY
        further = filtered(self._number_filters, numbers) if self._number_filters else _EMPTY
        return strings, texts, numbers, further

    def _texts(self, columns: Sequence[Column]) -> Iterable[tuple[str, str, str, float]]:
        """Yield the features of texts: global weight, name, group and value with its sample weight."""
        for column in columns:
            for rule in self._text_rules:
                for key, text in zip(*column, strict=True):
                    if rule.matches(key):
                        _check_key(key)
                        words = rule.weighted(text)
                        # pairs have one name however the text is written
                        for word, value in sorted(words) if self._combinations else words:
                            yield rule.globally, f"{key}${word}{rule.ending}", key + rule.ending, float(value)

    def _numbers(self, columns: Sequence[Column]) -> Iterable[tuple[str, float]]:
        for column in columns:
            for key, value in zip(*column, strict=True):
                for rule in self._number_rules:
                    if rule.matches(key):
                        _check_key(key)
                        yield rule.feature(key, value)

    def _combined(self, features: Named) -> Named:
        combined = []
        for left, right, join, ending in self._combinations:
            sides = [(name, value, left(name), right(name)) for name, value in features]
            sides = [side for side in sides if side[2] or side[3]]
            for place, (name, value, is_left, is_right) in enumerate(sides, 1):
                for other, factor, other_left, other_right in sides[place:]:
                    if (is_left and other_right) or (is_right and other_left):
                        combined.append((f"{name}&{other}{ending}", join(value, factor)))
        return combined

    def _final(self, name: str) -> str:
        return hashed(name, self._size) if self._size else name

    # ------------------------------------------------------------------------------------------------ by slot

    def rows(self, data: Sequence[Datum], update: bool) -> Rows:
        """Return examples as rows of slots and values.

        Parameters
        ----------
        data : sequence of Datum, or Packed ones
        update : bool
            Count their words, and give slots to new names; else names without a slot are left out.

        Raises
        ------
        ValueError
            A number is not finite, or the key of a feature contains "$"; nothing has changed.
        """
        if isinstance(data, Packed) and (found := self.packed(data, packed_kernels.DATA, update)) is not None:
            return found[0]
        if self._book.generation != self.vocabulary.generation:
            self._forget_slots()
        self._book.growing = update
        ends: list[int] = []
        slots: list[int] = []
        values: list[float] = []
        fill = self._fill_combined if self._combinations else self._fill
        try:
            for datum in data:
                fill(datum, update, slots, values)
                ends.append(len(slots))
            rows = self._merger.rows(ends, slots, values, len(self.vocabulary.names))
        except BaseException as error:
            self.counts.settle(keep=False)
            self._book.take_back()
            if isinstance(error, OverflowError):
                self.named(data[error.args[0]])  # its error names the feature
                raise ValueError("values of one feature add up to what is not finite") from None
            raise
        self.counts.settle(keep=True)
        self._book.settle()
        return rows

    def packed(self, items: Packed, kind: int, update: bool) -> tuple[Rows, list[str]] | None:
        """Return rows of items that are still MessagePack, and their labels, if they have any.

        Parameters
        ----------
        items : Packed
        kind : int
            Of the items: `packed_kernels.DATA`, `LABELLED` or `SCORED`.
        update : bool
            See `rows`.

        Returns
        -------
        (Rows, list of str) or None
            None where `rows` has to be asked: a rule is not simple, or a number is not finite.
        """
        if self._book.generation != self.vocabulary.generation:
            self._forget_slots()
        self._book.growing = update
        rows = None
        try:
            parsed = self._packed_rows.parse(items, kind)
            if parsed is not None:
                rows = self._merger.merged(*parsed[:3], len(self.vocabulary.names))
        except (OverflowError, ValueError):
            pass
        if rows is None:
            self._book.take_back()
            return None
        self._book.settle()
        return rows, parsed.labels

    def _packed_text(self, key: str) -> tuple[int, str] | None:
        """Return how a text of that key is split, and the ending of its words' names."""
        rules = [rule for rule in self._text_rules if rule.matches(key)]
        if not rules:
            return None
        _check_key(key)
        (rule,) = rules[:1]
        kind = rule.ending[1:].partition("#")[0]
        if len(rules) > 1 or kind not in ("str", "space") or rule.sample == "log_tf":
            return packed_kernels.OTHER, ""
        if kind == "str":
            return packed_kernels.WHOLE, rule.ending
        return packed_kernels.WORDS_ONCE if rule.sample == "bin" else packed_kernels.WORDS, rule.ending

    def _fill_combined(self, datum: Datum, update: bool, slots: list[int], values: list[float]) -> None:
        for name, value in self._named(datum, update):
            slots.append(self._book.slot(name))
            values.append(value)

    def _fill(self, datum: Datum, update: bool, slots: list[int], values: list[float]) -> None:
        strings, texts, numbers, further = self._columns(datum)
        if self._other_numbers or not self._plain_numbers:  # else the merger sees them all
            _check_finite(numbers)
            _check_finite(further)
        fill = self._fill_words if self._plain else self._fill_weighted
        fill((strings, texts) if texts.keys else (strings,), update, slots, values)
        for column in (numbers, further) if further.keys else (numbers,):
            for keys in self._plain_numbers:
                slots.extend(keys.of(column.keys))
                values.extend(column.values)
            for rule in self._other_numbers:
                for key, value in zip(*column, strict=True):
                    if rule.matches(key):
                        _check_key(key)
                        name, value = rule.feature(key, value)
                        slots.append(self._book.slot(self._final(name)))
                        values.append(value)

    def _fill_words(self, columns: Sequence[Column], _: bool, slots: list[int], values: list[float]) -> None:
        for column in columns:
            for key, text in zip(*column, strict=True):
                for rule, words in self._words[key]:
                    if rule.sample == "bin":
                        found = dict.fromkeys(rule.split(text))  # a set has another order in each process
                        slots.extend(map(words.__getitem__, found))
                        values.extend(repeat(1.0, len(found)))
                    else:
                        for word, value in rule.weighted(text):
                            slots.append(words[word])
                            values.append(value)

    def _fill_weighted(self, columns: Sequence[Column], update: bool, slots: list[int], values: list[float]) -> None:
        features = []
        for column in columns:
            for key, text in zip(*column, strict=True):
                for rule, words in self._words[key]:
                    kind, ending, group = rule.globally, rule.ending, key + rule.ending
                    for word, value in rule.weighted(text):
                        slots.append(words[word])
                        features.append((kind, f"{key}${word}{ending}", group, value))
        document, lengths = document_of(features)
        if update and self._counting:
            self.counts.add(document)
        values.extend([value for _, value in self.counts.weighted(features, lengths)])

    def _forget_slots(self) -> None:
        self._book.generation = self.vocabulary.generation
        self._words = _Words(self._text_rules, self._book)
        plain = [rule for rule in self._number_rules if rule.kind == "num"]
        self._other_numbers = [rule for rule in self._number_rules if rule.kind != "num"]
        self._plain_numbers = [Slots(self._book, _number_name(rule)) for rule in plain]
        number = _number_name(plain[0]) if plain else None
        self._packed_rows = PackedRows(self._book, number, self._packed_text)


class _Words(dict):
    """The rules for the texts of each key, each with the slots of its words."""

    def __init__(self, rules: list[TextRule], book: Book) -> None:
        super().__init__()
        self._rules, self._book = rules, book

    def __missing__(self, key: str) -> list[tuple[TextRule, Slots]]:
        rules = [rule for rule in self._rules if rule.matches(key)]
        if rules:
            _check_key(key)
        if len(self) >= KEYS:
            self.clear()
        self[key] = [(rule, Slots(self._book, _word_name(key, rule.ending))) for rule in rules]
        return self[key]


def _word_name(key: str, ending: str) -> Callable[[str], str]:
    return lambda word: f"{key}${word}{ending}"


def _number_name(rule: NumberRule) -> Callable[[str], str | None]:
    def name(key: str) -> str | None:
        if not rule.matches(key):
            return None
        _check_key(key)
        return f"{key}@num"

    return name


def _check_key(key: str) -> None:
    if "$" in key:
        raise ValueError(f'keys of features must not contain "$", found {key!r}')


def _check_finite(numbers: Column) -> None:
    if not math.isfinite(sum(numbers.values)):  # a sum is fast, and may overflow where nothing is wrong
        for key, value in zip(*numbers, strict=True):
            if not math.isfinite(value):
                raise ValueError(f"the number of {key!r} must be finite, found {value}")


def _merged(features: Iterable[tuple[str, float]]) -> Named:
    sums: dict[str, float] = {}
    for name, value in features:
        sums[name] = sums.get(name, 0.0) + value
    for name, value in sums.items():
        if not math.isfinite(value):
            raise ValueError(f"the value of feature {name!r} must be finite, found {value}")
    return [(name, value) for name, value in sums.items() if value]
