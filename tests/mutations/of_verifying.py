"""What must be right about a verification: each difference is told, nothing else is, and what can't be compared is refused."""

from __future__ import annotations

from mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

COMPARISON = ("tests/export/test_comparison.py",)
VERIFICATION = ("tests/export/test_verification.py",)
OPERATOR = ("tests/operators/test_verification.py",)

# Each row breaks one rule of how a published object is compared, or of what is refused.
MUTATIONS = (
    Mutation(
        breaks="a record that only the object has is told",
        file="export/comparison.py",
        text='            yield "surplus", key\n',
        becomes="            continue\n",
        caught_by=COMPARISON,
    ),
    Mutation(
        breaks="a record with another content is told",
        file="export/comparison.py",
        text="    return one == other or _content_of(one) == _content_of(other)\n",
        becomes="    return True\n",
        caught_by=COMPARISON,
    ),
    Mutation(
        breaks="the order of fields is no content",
        file="export/comparison.py",
        text="    return one == other or _content_of(one) == _content_of(other)\n",
        becomes="    return one == other\n",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="the digits of a number are content",
        file="export/comparison.py",
        text='        return (_NUMBER, "0" if text == "-0" else text)\n',
        becomes="        return (_NUMBER, float(value))\n",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="one id at two times is one changed record",
        file="export/verification.py",
        text="            if in_api is not None and in_object is not None:\n",
        becomes="            if in_api is in_object:\n",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="what an object has lost is not late",
        file="export/verification.py",
        text='        proves_late = "proof" in self._exported and "ids_sha256" not in self._manifest_differences\n',
        becomes="        proves_late = True\n",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="late records are told from lost ones by the digest alone",
        file="export/lost_records.py",
        text=" if digest.hexdigest() == ids_sha256",
        becomes="",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="a verification names its object to the lineage collector",
        file="operators/verification.py",
        text='        emit_inputs(self, [api_url, receipt["uri"]])\n',
        becomes="        emit_inputs(self, [api_url])\n",
        caught_by=("tests/operators/test_lineage.py",),
    ),
    Mutation(
        breaks="the ids of a receipt are a hundred at most",
        file="export/verification.py",
        text="ids={word: ids[word][:share] for word",
        becomes="ids={word: ids[word] for word",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="an object that a run writes during the verification is refused",
        file="export/published_object.py",
        text="        if self._state_now().identity != self._state.identity:\n",
        becomes="        if False:\n",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="a run between object and manifest is waited for",
        file="export/published_object.py",
        text="        for pause in _PAUSES:\n",
        becomes="        for pause in ():\n",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="an object that is not what its manifest says is read before the API is",
        file="export/published_object.py",
        text="        if self.differences:  # it may be anything\n",
        becomes="        if False:\n",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="a missing bucket is no missing object",
        file="export/object_store.py",
        text='            self._within_limit(lambda _: self._ask_for_read_refusal(), doing=f"asking for {self.uri}")\n',
        becomes="            pass\n",
        caught_by=VERIFICATION,
    ),
    Mutation(
        breaks="hashes of another key are refused",
        file="operators/verification.py",
        text='        if applied["key_fingerprint"] != fingerprint:\n',
        becomes="        if False:\n",
        caught_by=OPERATOR,
    ),
    Mutation(
        breaks="an object of another connection is refused",
        file="operators/verification.py",
        text="        if exported_over is not None and exported_over != self.capillary_conn_id:\n",
        becomes="        if False:\n",
        caught_by=OPERATOR,
    ),
    Mutation(
        breaks="an offset goes by the local clock",
        file="export/interval.py",
        text="        return (moment.astimezone(zone).replace(tzinfo=None) - offset).replace(tzinfo=zone).astimezone(UTC)\n",
        becomes="        return moment - offset\n",
        caught_by=OPERATOR,
    ),
)
