"""The json files of Something-Something V2: read, checked, filtered. The Snakefile asks this, so there is no pandas.

What is wrong with a file (missing, no JSON, another shape) is an error. What is wrong with one entry is counted, with
the first examples and a remedy, and the entry is left out, or kept where its text can be told.

Published form (https://www.qualcomm.com/developer/software/something-something-v-2-dataset): labels.json holds
`{"Closing something": "5", …}`; train.json and validation.json `[{"id": "78687", "label": "closing a book", "template":
"Closing [something]", "placeholders": ["a book"]}, …]`; test.json `[{"id": "151201"}, …]`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framecast.core.validation import ConfigError, nearest
from framecast.data.annotations import templates

SETS = ("train", "validation", "test")
TOKENS = 77
"""Tokens that CLIP's text encoder reads, its start and end among them."""
ENTRY = '{"id": "78687", "label": "closing a book", "template": "Closing [something]", "placeholders": ["a book"]}'
SHOWN = 3
OUTCOMES = {
    "wrong_shape": (False, f"an entry is {ENTRY}: mend it, or take the published file"),
    "unknown_template": (False, "a template is one of the 174 of labels.json, word by word: mend the entry"),
    "missing_placeholders": (False, "give the entry one placeholder for each [slot] of its template, or its label"),
    "other_language": (False, "a label is its English template filled, because the text encoders read English: "
                              "mend or remove the label"),
    "duplicate_id": (False, "an id stands once in all files: remove all but the right entry (where all are equal, one "
                            "is kept)"),
    "no_video": (False, "unpack all parts of the set into `path`, and check `suffix`"),
    "placeholders_from_label": (True, "nothing has to be done; the placeholders were read off the label"),
    "long_text": (True, f"text encoders such as CLIP's cut after {TOKENS} tokens: shorten it if its end matters"),
}  # fmt: skip
"""Kind of problem → whether the entry is kept, and what to do."""


@dataclass(frozen=True)
class Entry:
    """One clip as annotated. Without a text (test.json) the template is None."""

    id: str
    official: str
    template: int | None
    text: str
    placeholders: tuple[str, ...]


class Problems:
    """Entries that are not as published, by kind."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[str, str]]] = {}

    def add(self, kind: str, sentence: str, template: str = "") -> None:
        """Count one; `template` is one that is not known, for which the nearest is looked up when it is shown."""
        self.found.setdefault(kind, []).append((sentence, template))

    def report(self) -> dict[str, dict[str, Any]]:
        """Kind → count, outcome (kept or left out), the first sentences in order of the alphabet, and the remedy."""
        return {
            kind: {
                "count": len(self.found[kind]), "outcome": "kept" if kept else "left out",
                "first": [text + _nearest(template) for text, template in sorted(self.found[kind])[:SHOWN]],
                "remedy": remedy,
            }
            for kind, (kept, remedy) in OUTCOMES.items() if kind in self.found
        }  # fmt: skip

    def text(self) -> str:
        """The report for people, one line a kind; empty where there is nothing to report."""
        return "\n".join(
            f"{one['count']} {kind.replace('_', ' ')} ({one['outcome']}), such as {one['first'][0]}; {one['remedy']}"
            for kind, one in self.report().items()
        )


def entries(files: dict[str, str], wanted: set[int] | None) -> tuple[list[Entry], Problems]:
    """The usable entries of some files, in the files' order, and what is wrong with the others.

    files: official set (train, validation, test) to path. wanted: template numbers; None takes all. Only wanted entries
    are checked further than id and template. An id that comes again makes all its entries unusable, unless all are
    equal.

    Raises:
        ConfigError: a file is missing, is no JSON, or holds no list; the text names file and line.
    """
    problems = Problems()
    first: dict[str, tuple[str, Any]] = {}
    unclear: set[str] = set()
    for official, path in files.items():
        for number, raw in enumerate(read_list(path)):
            clip = _id(raw)
            if clip is None:
                problems.add("wrong_shape", f"{path}, entry {number + 1}: {_short(raw)} has no usable id")
            elif clip not in first:
                first[clip] = (official, raw)
            else:
                problems.add("duplicate_id", f"{path}: {clip!r} stands more than once")
                unclear |= {clip} if first[clip] != (official, raw) else set()
    usable = (_entry(clip, official, raw, wanted, problems) for clip, (official, raw) in first.items()
              if clip not in unclear)  # fmt: skip
    return [entry for entry in usable if entry is not None], problems


def check_labels(path: str) -> None:
    """Refuse a labels.json that is not the published one: its numbers would mean other templates.

    Raises:
        ConfigError: the file is missing, no JSON, no mapping, or has other names or numbers.
    """
    labels = _read(path)
    remedy = "take the published labels.json of Something-Something V2, 174 names with numbers"
    if not isinstance(labels, dict):
        raise ConfigError(f"{path} holds a {_kind(labels)}, not a mapping of names to numbers: {remedy}")
    for name, number in labels.items():
        known = templates.number_of(name)
        if known is None:
            raise ConfigError(f"{path}: {name!r} is none of the 174 templates{_nearest(name)}: {remedy}")
        if str(number) != str(known):
            raise ConfigError(f"{path}: {name!r} has the number {number!r}, published is {known}: {remedy}")
    if len(labels) != len(templates.TEMPLATES):
        raise ConfigError(f"{path} has {len(labels)} names: {remedy}")


def read_list(path: str) -> list[Any]:
    """The entries of train.json, validation.json or test.json.

    Raises:
        ConfigError: as in `entries`.
    """
    value = _read(path)
    if not isinstance(value, list):
        hint = "; is it labels.json?" if isinstance(value, dict) else ""
        raise ConfigError(f"{path} holds a {_kind(value)}, not a list of entries{hint}. An entry is {ENTRY}")
    return value


def _read(path: str) -> Any:
    file = Path(path).expanduser()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"annotations {path!r}: {(error.strerror or str(error)).lower()} (working folder: {Path.cwd()}); give the "
            "path of the published json file"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no UTF-8 (byte {error.start}): save it as UTF-8, or download it again") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = text.splitlines()[error.lineno - 1 : error.lineno]
        near = line[0][max(0, error.colno - 40) : error.colno + 20].strip() if line else ""
        raise ConfigError(
            f"{path}, line {error.lineno}, column {error.colno}: broken JSON ({error.msg}), near {near!r}: mend the "
            "line, or download the file again"
        ) from None


def _id(raw: Any) -> str | None:
    """The id of an entry as text, where it can be a file name."""
    value = raw.get("id") if isinstance(raw, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and re.fullmatch(r"[\w-]+", value) else None


def _entry(clip: str, official: str, raw: Any, wanted: set[int] | None, problems: Problems) -> Entry | None:
    if official == "test":
        return Entry(clip, official, None, "", ())
    template = raw.get("template")
    if not isinstance(template, str):
        problems.add("wrong_shape", f"{clip}: {_short(raw)} has no template")
        return None
    number = templates.number_of(template)
    if number is None:
        problems.add("unknown_template", f"{clip}: {template!r}", template)
        return None
    if wanted is not None and number not in wanted:
        return None
    label, placeholders = raw.get("label"), raw.get("placeholders")
    listed = isinstance(placeholders, list) and all(isinstance(one, str) for one in placeholders)
    if not isinstance(label, str | None) or not (placeholders is None or listed):
        problems.add("wrong_shape", f"{clip}: {_short(raw)} needs a text as label and a list of texts as placeholders")
        return None
    return _worded(Entry(clip, official, number, label or "", tuple(placeholders or ())), problems)


def _worded(entry: Entry, problems: Problems) -> Entry | None:
    """The entry with its text in lower case and one placeholder a slot, or None where they cannot be told."""
    number, text = entry.template, " ".join(entry.text.lower().split())
    if number is None:
        return entry
    fixed = templates.words(number)
    if text and 2 * len(fixed.intersection(re.findall(r"\w+", text))) < len(fixed):
        problems.add("other_language", f"{entry.id}: {_short(text)} for {templates.TEMPLATES[number]!r}")
        return None
    placeholders = [one.strip() for one in entry.placeholders]
    if len(placeholders) != templates.slots(number) or not all(placeholders):
        found = templates.unfill(number, text)
        kind = "missing_placeholders" if found is None else "placeholders_from_label"
        problems.add(kind, f"{entry.id}: {list(entry.placeholders)} for {templates.TEMPLATES[number]!r}")
        if found is None:
            return None
        placeholders = found
    text = text or templates.fill(number, placeholders)
    if (length := len(re.findall(r"\w+|[^\w\s]", text)) + 2) > TOKENS:
        problems.add("long_text", f"{entry.id}: at least {length} tokens, {_short(text)}")
    return Entry(entry.id, entry.official, number, text, tuple(placeholders))


def _nearest(template: str) -> str:
    return template and nearest(templates.bare(template), [templates.bare(one) for one in templates.TEMPLATES])


def _kind(value: Any) -> str:
    return {dict: "mapping", list: "list", str: "text", type(None): "null"}.get(type(value), type(value).__name__)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 90 else f"{text[:60]} … {text[-20:]}"
