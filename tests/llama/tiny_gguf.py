"""Tiny language models with random weights, as GGUF files: a real tokenizer and chat template, half a megabyte each.

They answer gibberish, at thousands of tokens a second, and the same seed gives the same file byte for byte. Nothing but
the standard library is needed; `build.py` writes the models that the tests share, a test may write one of its own.
The format is described in ggml-org/ggml:docs/gguf.md.

    python3 tests/llama/tiny_gguf.py FILE SEED [--think]
"""

from __future__ import annotations

import argparse
import random
import struct
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["CHAT_TEMPLATE", "THINKING_TEMPLATE", "write_model"]

# Tools are called as the Hermes models do it. The server wants the call after <tool_call>, which is one token here: a
# bias towards it makes the model call a tool.
CHAT_TEMPLATE = """\
{%- if tools %}<|im_start|>system
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] or '' }}
{%- for call in message['tool_calls'] or [] %}{% set function = call['function'] -%}
<tool_call>{"name": "{{ function['name'] }}", "arguments": {{ function['arguments'] | tojson }}}</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

# It opens <think> for the model and names reasoning_content: by both the server knows that this model reasons.
THINKING_TEMPLATE = """\
{%- for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['role'] == 'assistant' and message['reasoning_content'] %}<think>
{{ message['reasoning_content'] }}
</think>

{% endif %}{{ message['content'] }}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
<think>
{% if enable_thinking is defined and enable_thinking is false %}
</think>

{% endif %}{% endif %}"""

_EMBEDDING, _LAYERS, _HEADS, _FEED_FORWARD, _CONTEXT = 64, 2, 4, 128, 4096
_ALIGNMENT = 32

_CONTROL_TOKENS = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
_BEGIN, _END, _UNKNOWN = 1, 4, 0
_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?'\"{}[]:;-_/\n"
_WORDS = (
    "the a cat dog red blue mountain river painting style portrait cinematic light shadow with and of in on under "
    "bright dark soft sharp detailed photo sketch oil watercolor sunset forest city woman man robot standing sitting "
    "running flying holding wearing old young golden silver very quite almost never always"
)
_TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>")
_SPACE = "\u2581"  # how SentencePiece writes it
_NORMAL, _UNKNOWN_TYPE, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6


def write_model(path: Path, seed: int, template: str = CHAT_TEMPLATE) -> None:
    """A model whose weights come from ``seed``. The file is replaced at once: a server may have the old one open."""
    unfinished = path.with_name(f".{path.name}")
    with unfinished.open("wb") as file:
        _write(file, path.stem, seed, template)
    unfinished.replace(path)


def _write(file: BinaryIO, name: str, seed: int, template: str) -> None:
    facts = [*_architecture(name), *_tokenizer(template)]
    shapes = dict(_shapes(len(_tokens())))
    file.write(b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(facts)))
    file.write(b"".join(facts))
    offset = 0
    for tensor, shape in shapes.items():
        file.write(_string(tensor) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, offset))
        offset += _padded(4 * _count(shape))
    file.write(bytes(_padded(file.tell()) - file.tell()))
    draw = random.Random(seed)
    for tensor, shape in shapes.items():
        weights = _weights(tensor, shape, draw).tobytes()
        file.write(weights.ljust(_padded(len(weights)), b"\0"))


def _tokens() -> list[tuple[str, int]]:
    """Every token with its type: control, one for each byte, then what text is made of."""
    types = [_UNKNOWN_TYPE] + [_CONTROL] * (len(_CONTROL_TOKENS) - 1)
    tokens = [*zip(_CONTROL_TOKENS, types, strict=True), *((f"<0x{byte:02X}>", _BYTE) for byte in range(256))]
    words = _WORDS.split()
    pieces = [_SPACE, *_CHARACTERS, *(_SPACE + word for word in words), *words]
    return [*tokens, *((piece, _NORMAL) for piece in dict.fromkeys(pieces)), *((tag, _USER_DEFINED) for tag in _TAGS)]


def _architecture(name: str) -> list[bytes]:
    return [
        _fact("general.architecture", "llama"),
        _fact("general.name", name),
        _fact("general.file_type", 0),
        _fact("llama.context_length", _CONTEXT),
        _fact("llama.embedding_length", _EMBEDDING),
        _fact("llama.block_count", _LAYERS),
        _fact("llama.feed_forward_length", _FEED_FORWARD),
        _fact("llama.attention.head_count", _HEADS),
        _fact("llama.attention.head_count_kv", _HEADS),
        _fact("llama.attention.layer_norm_rms_epsilon", 1e-5),
        _fact("llama.rope.dimension_count", _EMBEDDING // _HEADS),
        _fact("llama.vocab_size", len(_tokens())),
    ]


def _tokenizer(template: str) -> list[bytes]:
    tokens = _tokens()
    plain = len(_CONTROL_TOKENS) + 256
    scores = [0.0] * plain + [-float(rank) for rank in range(len(tokens) - plain)]
    return [
        _fact("tokenizer.ggml.model", "llama"),
        _fact("tokenizer.ggml.pre", "default"),
        _list("tokenizer.ggml.tokens", 8, [_string(text) for text, _ in tokens]),
        _list("tokenizer.ggml.scores", 6, [struct.pack("<f", score) for score in scores]),
        _list("tokenizer.ggml.token_type", 5, [struct.pack("<i", kind) for _, kind in tokens]),
        _fact("tokenizer.ggml.bos_token_id", _BEGIN),
        _fact("tokenizer.ggml.eos_token_id", _END),
        _fact("tokenizer.ggml.unknown_token_id", _UNKNOWN),
        _fact("tokenizer.ggml.add_bos_token", True),
        # With a space before every text, no answer could begin with the brace that a JSON Schema asks for.
        _fact("tokenizer.ggml.add_space_prefix", False),
        _fact("tokenizer.chat_template", template),
    ]


def _shapes(vocabulary: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors of the llama architecture; as in all of GGUF, the fastest changing dimension comes first."""
    yield "token_embd.weight", (_EMBEDDING, vocabulary)
    yield "output_norm.weight", (_EMBEDDING,)
    yield "output.weight", (_EMBEDDING, vocabulary)
    for layer in range(_LAYERS):
        yield f"blk.{layer}.attn_norm.weight", (_EMBEDDING,)
        yield f"blk.{layer}.ffn_norm.weight", (_EMBEDDING,)
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{part}.weight", (_EMBEDDING, _EMBEDDING)
        yield f"blk.{layer}.ffn_gate.weight", (_EMBEDDING, _FEED_FORWARD)
        yield f"blk.{layer}.ffn_up.weight", (_EMBEDDING, _FEED_FORWARD)
        yield f"blk.{layer}.ffn_down.weight", (_FEED_FORWARD, _EMBEDDING)


def _weights(tensor: str, shape: tuple[int, ...], draw: random.Random) -> array[float]:
    if "norm" in tensor:
        return array("f", [1.0] * _count(shape))
    weights = array("f", (draw.gauss(0, 0.3) for _ in range(_count(shape))))
    if tensor == "output.weight":  # control and byte tokens are seldom chosen, so that answers are readable and go on
        quiet = _EMBEDDING * (len(_CONTROL_TOKENS) + 256)
        weights[:quiet] = array("f", (0.02 * weight for weight in weights[:quiet]))
    return weights


def _count(shape: tuple[int, ...]) -> int:
    return shape[0] * (shape[1] if len(shape) > 1 else 1)


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _fact(key: str, value: str | float) -> bytes:
    """A key, the number of the value's type, and the value; integers are all of 32 bits without a sign."""
    match value:
        case bool():
            return _string(key) + struct.pack("<I?", 7, value)
        case int():
            return _string(key) + struct.pack("<II", 4, value)
        case float():
            return _string(key) + struct.pack("<If", 6, value)
        case str():
            return _string(key) + struct.pack("<I", 8) + _string(value)


def _list(key: str, kind: int, items: list[bytes]) -> bytes:
    return _string(key) + struct.pack("<IIQ", 9, kind, len(items)) + b"".join(items)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Write a tiny language model with random weights.")
    arguments.add_argument("file", type=Path)
    arguments.add_argument("seed", type=int)
    arguments.add_argument("--think", action="store_true", help="a model that reasons before it answers")
    given = arguments.parse_args()
    write_model(given.file, given.seed, THINKING_TEMPLATE if given.think else CHAT_TEMPLATE)


if __name__ == "__main__":
    main()
