"""Run inside the base image: every library of the toolchain computes something whose answer is known.

Not a test by itself: tests/cloud/test_images.py gives it to the base's Python, and reads `right` at its end.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.linalg
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer, util
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast

torch.manual_seed(7)
generator = np.random.default_rng(7)

# torch and scipy solve the same equations.
matrix, right_side = generator.normal(size=(50, 50)), generator.normal(size=50)
solved = torch.linalg.solve(torch.from_numpy(matrix), torch.from_numpy(right_side)).numpy()
assert np.allclose(solved, scipy.linalg.solve(matrix, right_side))
assert np.allclose(matrix @ solved, right_side)

# pandas counts.
frame = pd.DataFrame({"test": ["HbA1c", "TSH", "HbA1c"], "value": [6.1, 2.4, 5.9]})
assert frame.groupby("test")["value"].mean().round(2).to_dict() == {"HbA1c": 6.0, "TSH": 2.4}

# Pillow shrinks, and keeps a colour.
image = Image.new("RGB", (64, 64), (10, 200, 30)).resize((8, 8))
assert np.asarray(image).shape == (8, 8, 3)
assert image.getpixel((4, 4)) == (10, 200, 30)

# transformers reads its own model again, and sentence-transformers pools what it says. No hub: a small one with random
# weights, made here.
folder = Path("/tmp/model")
folder.mkdir()
(folder / "vocab.txt").write_text(
    "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "blood", "sugar", "thyroid"])
)
BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
shape = BertConfig(vocab_size=8, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
BertModel(shape).eval().save_pretrained(folder)
words = Transformer(str(folder))
pooled = Pooling(words.get_embedding_dimension())
encoder = SentenceTransformer(modules=[words, pooled], device="cpu")
vectors = encoder.encode(["blood sugar", "thyroid", "blood sugar"])
assert vectors.shape == (3, 32)
alike = util.cos_sim(vectors, vectors).numpy()
assert np.isclose(alike[0, 2], 1.0)
assert alike[0, 1] < 0.9999

sys.stdout.write(f"torch {torch.__version__} on {torch.get_num_threads()} threads: right\n")
