"""Variants from text: combinations, names, and what makes no sense."""

from __future__ import annotations

import pytest

from llm_bridge.chat import Sampling
from llm_bridge.compare import Variant, variants_of
from llm_bridge.errors import BadInput


def test_every_combination_is_a_variant_named_by_what_varies() -> None:
    assert variants_of("temperature=0.2, 0.8; seed=1; think=true,false") == (
        Variant("temperature=0.2 think=true", Sampling(temperature=0.2, seed=1), think=True),
        Variant("temperature=0.2 think=false", Sampling(temperature=0.2, seed=1), think=False),
        Variant("temperature=0.8 think=true", Sampling(temperature=0.8, seed=1), think=True),
        Variant("temperature=0.8 think=false", Sampling(temperature=0.8, seed=1), think=False),
    )


def test_a_single_one_is_named_by_all() -> None:
    assert variants_of("max_tokens=50;stop=###") == (
        Variant("max_tokens=50 stop=###", Sampling(max_tokens=50, stop=("###",))),
    )


def test_nothing_is_one_variant_that_leaves_all_to_the_server() -> None:
    assert variants_of(" ") == variants_of(";") == (Variant(),)


def test_fields_of_the_server_are_json_or_text() -> None:
    (variant,) = variants_of("extra.mirostat=2;extra.mode=fast;extra.on=true;extra.url=http://x?a=b")
    assert variant.extra == {"mirostat": 2, "mode": "fast", "on": True, "url": "http://x?a=b"}


def test_commas_and_semicolons_inside_of_json_part_nothing() -> None:
    variants = variants_of('extra.x={"a": 1, "b": "c;d"}, [1, {"e": ","}],"f,g"; seed=1;extra.y=[1,2]')
    assert [variant.extra["x"] for variant in variants] == [{"a": 1, "b": "c;d"}, [1, {"e": ","}], "f,g"]
    assert {variant.sampling.seed for variant in variants} == {1}
    assert variants[0].extra["y"] == [1, 2]
    assert variants[0].name == 'extra.x={"a": 1, "b": "c;d"}'


def test_what_only_begins_like_json_is_text_up_to_the_next_comma() -> None:
    assert [variant.extra["x"] for variant in variants_of('extra.x={a,[1] b,"c')] == ["{a", "[1] b", '"c']
    assert [variant.sampling.stop for variant in variants_of("stop=[INST],[[[[")] == [("[INST]",), ("[[[[",)]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("temperature", "'temperature' is no parameter with values"),
        ("temperature=", "no parameter with values"),
        ("temperature=1,,2", "no parameter with values"),
        ("heat=1", "There is no parameter 'heat'"),
        ("extra.=1", "There is no parameter 'extra.'"),
        ("seed=1;seed=2", "seed stands there twice"),
        ("seed=1,1", "seed has a value twice"),
        ("temperature=hot", "temperature=hot makes no sense. Give a number of at least 0."),
        ("temperature=nan", "makes no sense"),
        ("temperature=inf", "makes no sense"),
        ("top_p=1.5", "Give a number from 0 to 1."),
        ("seed=1.5", "Give a whole number of at least 0."),
        ("seed=99999999999999999999", "makes no sense"),
        ("max_tokens=0", "Give a whole number of at least 1."),
        ("think=maybe", "Give true or false."),
        (";".join(f"extra.x{n}=1,2,3,4,5" for n in range(6)), "too many combinations"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, says: str) -> None:
    with pytest.raises(BadInput) as refused:
        variants_of(text)
    assert says in str(refused.value)
    assert refused.value.hint
