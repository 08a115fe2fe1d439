"""A model of BERT-base's shape with random weights, for measuring what a model of that size costs.

It has learnt nothing: it has the layers, the vocabulary's size and so the memory and the time of a BERT-base,
where no hub is within reach. Its name says "random" wherever it is seen (infra/settings/models.py insists), and
model.json says `"trained": false`.

The weights come from NumPy's generator by exact operations alone, not from torch's, whose normal distribution
is computed differently on different processors: one seed is one file.
"""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from string import ascii_lowercase, digits, punctuation
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import BertConfig, BertModel, BertTokenizerFast

# What BERT-base is: 12 layers of 12 heads, hidden 768, 3,072 within; BioBERT's (cased BERT's) number of tokens.
SHAPES: dict[str, dict[str, int]] = {
    "bert-base": {
        "vocab_size": 28_996,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3_072,
        "max_position_embeddings": 512,
    },
    # For tests: seconds instead of minutes.
    "bert-tiny": {
        "vocab_size": 2_000,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
    },
}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# BERT's own spread of weights at the start of its training, as a standard deviation.
SPREAD = 0.02


def vocabulary(size: int, seed: int) -> list[str]:
    """`size` WordPiece tokens: the special ones, all single characters, all pairs of letters, and triples that the
    seed chooses.

    A medical word then takes two to three times the tokens that it takes with BioBERT's vocabulary: timings err on the
    slow side.
    """
    characters = [*ascii_lowercase, *digits, *punctuation]
    tokens = [*SPECIAL, *characters, *(f"##{character}" for character in (*ascii_lowercase, *digits))]
    pairs = ["".join(pair) for pair in product(ascii_lowercase, repeat=2)]
    triples = ["".join(triple) for triple in product(ascii_lowercase, repeat=3)]
    wanted = [*pairs, *(f"##{pair}" for pair in pairs)]
    drawn = np.random.Generator(np.random.PCG64(seed)).permutation(2 * len(triples))
    wanted += [triples[at // 2] if at % 2 else f"##{triples[at // 2]}" for at in drawn.tolist()]
    return (tokens + wanted)[:size]


def tokenizer(tokens: list[str]) -> Any:
    """A WordPiece tokenizer over `tokens`, with BERT's rules for words and for the ends of a text."""
    number = {token: at for at, token in enumerate(tokens)}
    made = Tokenizer(WordPiece(number, unk_token=SPECIAL[1], max_input_chars_per_word=100))
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    ends = [(token, number[token]) for token in ("[SEP]", "[CLS]")]
    made.post_processor = processors.BertProcessing(*ends)
    return BertTokenizerFast(tokenizer_object=made, do_lower_case=False)


def weights(shapes: dict[str, tuple[int, ...]], seed: int) -> Iterator[tuple[str, Any]]:
    """A tensor for each name, in the order of names: ones and zeros where BERT starts with them, else uniform
    around 0 with BERT's spread."""
    draw = np.random.Generator(np.random.PCG64(seed))
    reach = np.float32(2 * SPREAD * 3**0.5)
    for name in sorted(shapes):
        shape = shapes[name]
        if name.endswith("LayerNorm.weight"):
            values = np.ones(shape, np.float32)
        elif name.endswith(".bias"):
            values = np.zeros(shape, np.float32)
        else:
            values = (draw.random(shape, np.float32) - np.float32(0.5)) * reach
        yield name, torch.from_numpy(values)


def make(shape: str, seed: int, to: Path) -> None:
    """Write the model as the hub would give it: config.json, model.safetensors, the tokenizer's files."""
    config = BertConfig(**SHAPES[shape])
    model = BertModel(config, add_pooling_layer=False)
    shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    model.load_state_dict(dict(weights(shapes, seed)), strict=False)
    to.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(to)
    tokenizer(vocabulary(config.vocab_size, seed)).save_pretrained(to)
