"""A converter that does one thing after the other, to compare with the fast one."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict


def matches(rule_key, key):
    if rule_key in ("", "*"):
        return True
    if rule_key.startswith("*"):
        return key.endswith(rule_key[1:])
    if rule_key.endswith("*"):
        return key.startswith(rule_key[:-1])
    if rule_key.startswith("/") and rule_key.endswith("/"):
        return re.match(rule_key[1:-1], key) is not None
    return key == rule_key


def applies(rule, key):
    return matches(rule["key"], key) and not ("except" in rule and matches(rule["except"], key))


def split(types, name, text):
    if name == "str":
        return [text]
    if name == "space":
        return [word for word in re.split("[ \t\f\n\r\v]", text) if word]
    kind = types[name]
    if kind["method"] == "ngram":
        size = int(kind["char_num"])
        return [text[at : at + size] for at in range(len(text)) if at + size <= len(text)]
    if kind["method"] == "split":
        for separator in kind["separators"]:
            text = text.replace(separator, "\0")
        return [word for word in text.split("\0") if word]
    group = int(kind.get("group", 0))
    return [found.group(group) for found in re.finditer(kind["pattern"], text) if found.group(group)]


def filter_text(kind, text):
    return re.sub(kind["pattern"], kind["replace"], text)


def filter_number(kind, x):
    of = {name: float(value) for name, value in kind.items() if name not in ("method", "truncate")}
    if kind["method"] == "add":
        return x + of["value"]
    if kind["method"] == "linear_normalization":
        y = (x - of["min"]) / (of["max"] - of["min"])
        return y if kind.get("truncate") == "False" else max(0.0, min(1.0, y))
    if kind["method"] == "gaussian_normalization":
        return (x - of["average"]) / of["standard_deviation"]
    return 1 / (1 + math.exp(-of.get("gain", 1.0) * (x - of.get("bias", 0.0))))


def with_filtered(pairs, rules, types, change):
    pairs = list(pairs)
    for rule in rules:
        pairs += [(key + rule["suffix"], change(types[rule["type"]], v)) for key, v in pairs if applies(rule, key)]
    return pairs


def hashed(name, size):
    h = 14695981039346656037
    for byte in name.encode():
        h = h * 1099511628211 % 2**64
        h ^= byte if byte < 128 else (byte - 256) % 2**64
    return str(h % size)


def merge(features):
    sums = defaultdict(float)
    for name, value in features:
        sums[name] += value
    return {name: value for name, value in sums.items() if value != 0}


class NaiveConverter:
    def __init__(self, settings, user_weights=()):
        self.settings = settings
        self.user_weights = dict(user_weights)
        self.documents = []  # of each: its features' names, and the lengths of its groups

    def convert(self, datum, update):
        s = self.settings
        texts = with_filtered(
            datum.strings.pairs(), s.get("string_filter_rules", []), s.get("string_filter_types", {}), filter_text
        )
        numbers = with_filtered(
            datum.numbers.pairs(), s.get("num_filter_rules", []), s.get("num_filter_types", {}), filter_number
        )
        words = []
        # a value and those made of it by filters come rule by rule, as the order of combinations shows
        for part in (texts[: len(datum.strings.keys)], texts[len(datum.strings.keys) :]):
            for rule in s.get("string_rules", []):
                for key, text in part:
                    if applies(rule, key):
                        words += self.words(rule, key, text)
        lengths = Counter()
        for _, group, value, _ in words:
            lengths[group] += value
        if update:
            self.documents.append(({name for name, _, _, _ in words}, lengths))
        features = [
            (name, value * self.weight(rule, name, value, group, lengths)) for name, group, value, rule in words
        ]
        features += [
            self.number(rule, key, x) for key, x in numbers for rule in s.get("num_rules", []) if applies(rule, key)
        ]
        merged = merge(features)
        combined = list(merged.items())
        for rule in s.get("combination_rules", []):
            names = list(merged)
            for i in range(len(names)):
                for j in range(i + 1, len(names)):
                    a, b = names[i], names[j]
                    if (matches(rule["key_left"], a) and matches(rule["key_right"], b)) or (
                        matches(rule["key_left"], b) and matches(rule["key_right"], a)
                    ):
                        value = merged[a] * merged[b] if rule["type"] == "mul" else merged[a] + merged[b]
                        combined.append((f"{a}&{b}/{rule['type']}", value))
        result = merge(combined)
        if s.get("hash_max_size"):
            result = merge((hashed(name, int(s["hash_max_size"])), value) for name, value in result.items())
        return result

    def words(self, rule, key, text):
        counts = Counter(split(self.settings.get("string_types", {}), rule["type"], text))
        sample = rule.get("sample_weight", "bin")
        ending = f"@{rule['type']}#{sample}/{rule.get('global_weight', 'bin')}"
        values = {"bin": lambda tf: 1.0, "tf": float, "log_tf": lambda tf: math.log(1 + tf)}
        order = sorted(counts) if self.settings.get("combination_rules") else counts
        return [(f"{key}${word}{ending}", key + ending, values[sample](counts[word]), rule) for word in order]

    def weight(self, rule, name, value, group, lengths):
        kind = rule.get("global_weight", "bin")
        n = len(self.documents)
        df = sum(name in names for names, _ in self.documents)
        if kind == "idf":
            return math.log((n + 1) / (df + 1))
        if kind == "idf1":
            return math.log((n + 1) / (df + 1)) + 1
        if kind == "bm25":
            others = [groups[group] for _, groups in self.documents if group in groups]
            average = sum(others) / len(others) if others else lengths[group]
            scale = 2.2 / (value + 1.2 * (0.25 + 0.75 * lengths[group] / average))
            return math.log((n - df + 0.5) / (df + 0.5)) * scale
        if kind == "weight":
            return self.user_weights.get(name.rsplit("#", 1)[0], 0.0)
        return 1.0

    def number(self, rule, key, x):
        if rule["type"] == "num":
            return f"{key}@num", x
        if rule["type"] == "log":
            return f"{key}@log", math.log(max(1.0, x))
        return f"{key}@str${x:.6g}", 1.0
