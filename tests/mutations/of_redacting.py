"""What must be right about personal data: nothing of what a rule names gets through, and the same person has the same hash."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

APPLY = ("tests/redaction/test_apply.py",)
DETECTORS = ("tests/redaction/test_detectors.py",)
HASHING = ("tests/redaction/test_hashing.py",)
RULES = ("tests/redaction/test_rules.py",)
ERASE = ("tests/export/test_erasure.py",)
RUNS = ("tests/operators/test_redact.py",)

# Each row breaks one rule of how records are redacted.
MUTATIONS = (
    Mutation(
        breaks="records are redacted before they are spooled",
        file="export/exporter.py",
        text="records if self._redact is None else map(self._redact, records)",
        becomes="records",
        caught_by=("tests/canaries/test_redacted.py",),
    ),
    Mutation(
        breaks="records that come by the page are redacted too",
        file="export/exporter.py",
        text="        self._by_page = redact is None and previous.erasures is None\n",
        becomes="        self._by_page = previous.erasures is None\n",
        caught_by=RUNS,
    ),
    Mutation(
        breaks="vanished records of unknown redaction are not kept",
        file="export/previous_export.py",
        text='        if self._on_vanished == "keep" and self._subject.redact is not None and self._described_by is None:\n',
        becomes="        if False:\n",
        caught_by=RUNS,
    ),
    Mutation(
        breaks="a manifest without a word of redaction says that nothing was redacted",
        file="export/manifest.py",
        text='        return {"redact": None, **stands_for}\n',
        becomes="        return dict(stands_for)\n",
        caught_by=RUNS,
    ),
    Mutation(
        breaks="another key of the hashes is noticed",
        file="redaction/apply.py",
        text='"key_fingerprint": self._hasher.fingerprint if self._hasher else None',
        becomes='"key_fingerprint": None',
        caught_by=RUNS,
    ),
    Mutation(
        breaks="the key of the hashes is masked",
        file="redaction/key.py",
        text="        mask_secret(key)\n",
        becomes="        pass\n",
        caught_by=("tests/redaction/test_key.py",),
    ),
    Mutation(
        breaks="a key that can be guessed is refused",
        file="redaction/key.py",
        text="    if len(key) < _SHORTEST:\n",
        becomes="    if not key:\n",
        caught_by=RUNS,
    ),
    Mutation(
        breaks="a name that is nearly a field's is refused",
        file="redaction/rules.py",
        text="    if near:\n",
        becomes="    if False:\n",
        caught_by=RULES,
    ),
    Mutation(
        breaks="a template can't fetch the key",
        file="redaction/rules.py",
        text="    if is_template(of_key):\n",
        becomes="    if False:\n",
        caught_by=RULES,
    ),
    Mutation(
        breaks="what records are told apart and sorted by is not redacted",
        file="redaction/rules.py",
        text='        if fields.get(name_of(name), "keep") != "keep":\n',
        becomes="        if False:\n",
        caught_by=RULES,
    ),
    Mutation(
        breaks="names without regard to case",
        file="redaction/rules.py",
        text='.replace("-", "").casefold()',
        becomes='.replace("-", "")',
        caught_by=APPLY,
    ),
    Mutation(
        breaks="an inputRequest that is not JSON",
        file="redaction/apply.py",
        text="        return self._opaque(value)\n",
        becomes="        return value\n",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="an inputRequest that is nested too deeply",
        file="redaction/json_text.py",
        text='    if text.count("{") + text.count("[") > DEEPEST:\n',
        becomes="    if False:\n",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="NaN is not JSON",
        file="redaction/json_text.py",
        text="    raise ValueError(name)  # NaN",
        becomes="    return name  # type: ignore[return-value]  # NaN",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="numbers keep their text",
        file="redaction/json_text.py",
        text="parse_float=Number, ",
        becomes="parse_float=lambda text: Number(float(text)), ",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="JSON inside of a text",
        file="redaction/search.py",
        text="                return self._json(text, read(json), depth, keep=keep)\n",
        becomes="                return text\n",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="broken JSON inside of a text",
        file="redaction/search.py",
        text="                if self._has_keys and not keep and json[0] != '\"':\n",
        becomes="                if False:\n",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="a key and its value in a text that is not JSON",
        file="redaction/search.py",
        text="        if self._key_in_text is not None and self._key_in_text.search(text):\n",
        becomes="        if False:\n",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="texts inside of texts count as levels",
        file="redaction/search.py",
        text="        if depth > DEEPEST:\n",
        becomes="        if False:\n",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="personal data as the key of an object",
        file="redaction/search.py",
        text="(key if keep else self._without_found(key), each)",
        becomes="(key, each)",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="a list under a key, item by item",
        file="redaction/search.py",
        text="        return [hash_of(each, hasher) for each in value]\n",
        becomes="        return hasher(write(value))\n",
        caught_by=APPLY,
    ),
    Mutation(
        breaks="one hash of a number and its text",
        file="redaction/search.py",
        text="        return hasher(normal_number(value))\n",
        becomes="        return hasher(value)\n",
        caught_by=HASHING,
    ),
    Mutation(
        breaks="one hash of a phone number, however it is written",
        file="redaction/hashing.py",
        text='            return digits.lstrip("0") or "0"\n',
        becomes="            return digits\n",
        caught_by=HASHING,
    ),
    Mutation(
        breaks="one hash of an e-mail address, however it is written",
        file="redaction/hashing.py",
        text="        return text.casefold()\n",
        becomes="        return text\n",
        caught_by=HASHING,
    ),
    Mutation(
        breaks="the check digit of a card",
        file="redaction/detectors.py",
        text="for place, digit in enumerate(reversed(digits))) % 10 == 0",
        becomes="for place, digit in enumerate(digits)) % 10 == 0",
        caught_by=DETECTORS,
    ),
    Mutation(
        breaks="ids are no phone numbers",
        file="redaction/detectors.py",
        text="        taken += [match.span() for match in _UUID_OR_HEX.finditer(text)]\n",
        becomes="        pass\n",
        caught_by=DETECTORS,
    ),
    Mutation(
        breaks="times are no phone numbers",
        file="redaction/detectors.py",
        text='    return (len(digits) == _FEWEST_OF_CARD and digits[0] == "1") or',
        becomes="    return False and",
        caught_by=DETECTORS,
    ),
    Mutation(
        breaks="what was erased is remembered before the object is replaced",
        file="erasure/erase.py",
        text="            self._publish_manifest(content)\n        if ids:\n",
        becomes="            pass\n        if ids:\n",
        caught_by=ERASE,
    ),
    Mutation(
        breaks="an erasure that was broken off is ended",
        file="erasure/erase.py",
        text="        if dry_run or not (ids or is_unfinished):\n",
        becomes="        if dry_run or not ids:\n",
        caught_by=ERASE,
    ),
    Mutation(
        breaks="an object that another run writes meanwhile is left to it",
        file="erasure/erase.py",
        text="        if self._stat() != info:\n",
        becomes="        if False:\n",
        caught_by=ERASE,
    ),
    Mutation(
        breaks="hashed records are not looked for with another key",
        file="erasure/erase.py",
        text="    if expected is None or expected == fingerprint:\n",
        becomes="    if True:\n",
        caught_by=ERASE,
    ),
    Mutation(
        breaks="a value is found however it is spelt",
        file="erasure/matching.py",
        text="    return normal_form(text) == wanted.normal or",
        becomes="    return text == wanted.value or",
        caught_by=ERASE,
    ),
    Mutation(
        breaks="what was erased does not come back",
        file="export/exporter.py",
        text="        records = self._previous.without_erased(records)\n",
        becomes="",
        caught_by=ERASE,
    ),
    Mutation(
        breaks="what was erased has not vanished",
        file="export/previous_export.py",
        text=" if self._erased else pairs\n",
        becomes=" if False else pairs\n",
        caught_by=ERASE,
    ),
    Mutation(
        breaks="the next manifest remembers what was erased",
        file="export/exporter.py",
        text="erasures=self._previous.erasures,",
        becomes="erasures=None,",
        caught_by=ERASE,
    ),
    Mutation(
        breaks="where no record is left, what was erased stays known",
        file="export/exporter.py",
        text=" if self._previous.erasures is None else ():\n",
        becomes=":\n",
        caught_by=ERASE,
    ),
)
