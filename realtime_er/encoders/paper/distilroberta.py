"""The text encoder of MER: six layers of RoBERTa, read before the head's tanh.

An utterance is described by 768 numbers: ``classifier.dense`` of its first token's state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from realtime_er.encoders.paper.checkpoints import fill_module, read_state, require
from realtime_er.encoders.paper.hub import HOW_TO_GET, find_weights
from realtime_er.encoders.paper.locked import locked_folder
from realtime_er.encoders.paper.own_heads import LinearHead
from realtime_er.encoders.paper.own_labels import TEXT_ORDER, labels_of_config
from realtime_er.encoders.runtimes.protocol import Example, Network, Runtime
from realtime_er.encoders.runtimes.torch_runtime import TorchRuntime
from realtime_er.errors import ModelError, SpecMismatch, WeightsMissing
from realtime_er.messages import FloatArray

WHAT = "a RoBERTa classifier"
HUB_ID = "j-hartmann/emotion-english-distilroberta-base"
BATCH_TEXTS = 16
"""Texts run at once at most; limits memory."""
DISTILROBERTA: dict[str, Any] = {
    "vocab_size": 50265,
    "num_hidden_layers": 6,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
    # A bare RobertaConfig has 1e-12, which these weights were not trained with.
    "layer_norm_eps": 1e-5,
}
"""What ``config.json`` of the hub model says where it differs from the library's defaults."""
_LONG = "It was a long day in the sun and we were all so happy to be there. " * 2
_HOW_TO_INSTALL = "run: pip install 'realtime_er[paper]'"
# Old checkpoints carry this buffer; it is the row of position numbers and holds nothing learned.
_OLD_BUFFER = "roberta.embeddings.position_ids"


class _Head(nn.Module):
    def __init__(self, size: int, n_classes: int) -> None:
        super().__init__()
        self.dense = nn.Linear(size, size)
        self.out_proj = nn.Linear(size, n_classes)


class EmotionRoberta(nn.Module):
    """The network; with ``DISTILROBERTA`` and 7 classes 82,123,783 parameters, 105 entries.

    Args:
        config: settings as in the hub's ``config.json``; empty means ``DISTILROBERTA``.
        n_classes: logits.

    Raises:
        ModelError: transformers is not installed.
    """

    def __init__(self, config: Mapping[str, Any] | None = None, n_classes: int = 7) -> None:
        super().__init__()
        try:
            from transformers import RobertaConfig, RobertaModel
        except ImportError as error:
            raise ModelError(f"RoBERTa needs transformers; {_HOW_TO_INSTALL}") from error
        parsed = RobertaConfig.from_dict(dict(config or DISTILROBERTA))
        self.roberta = RobertaModel(parsed, add_pooling_layer=False)
        self.classifier = _Head(parsed.hidden_size, n_classes)
        self.pad_id: int = parsed.pad_token_id
        self.max_tokens: int = parsed.max_position_embeddings - parsed.pad_token_id - 1

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Describes texts.

        Args:
            ids: int64 [N, T], tokens with the first and last special ones.
            mask: int64 [N, T], 1 at tokens, 0 at padding (which then has no influence).

        Returns:
            Features [N, size] (before the tanh) and logits [N, n_classes].
        """
        # Positions and types are given, not left to buffers of the library's.
        positions = torch.cumsum(mask, dim=1) * mask + self.pad_id
        states = self.roberta(
            ids, attention_mask=mask, position_ids=positions, token_type_ids=torch.zeros_like(ids)
        ).last_hidden_state
        features: Tensor = self.classifier.dense(states[:, 0])
        logits: Tensor = self.classifier.out_proj(torch.tanh(features))
        return features, logits


def build_from_state(
    state: Mapping[str, Tensor], path: Path, config: Mapping[str, Any] | None = None
) -> EmotionRoberta:
    """The network that a state_dict belongs to.

    Args:
        state: name to tensor.
        path: where it came from, for messages.
        config: the hub's ``config.json``; without one, ``DISTILROBERTA``.

    Raises:
        SpecMismatch: it is not this network's.
    """
    n_classes = int(require(state, "classifier.out_proj.weight", WHAT, path).shape[0])
    net = fill_module(
        lambda: EmotionRoberta(config, n_classes), state, WHAT, path, ignored=(_OLD_BUFFER,)
    )
    # The library's own position buffers are not part of a state_dict, so they are still empty.
    # They are never read (see forward), but an empty tensor must not stay where one may be moved.
    for module in net.modules():
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_meta:
                setattr(module, name, torch.zeros(buffer.shape, dtype=buffer.dtype))
    return net


class DistilRobertaEncoder:
    """Texts to features at run time. One owning thread.

    Args:
        source: file, folder or hub id of the weights.
        tokenizer: folder or hub id of the tokenizer's files; by default they lie beside the
            weights.
        labels: names of the head's classes in its order, where the files do not give them.
        device: torch's name of where to run.
        download: whether a hub id may be fetched.

    Raises:
        ModelError: transformers is not installed.
        WeightsMissing: there are no such weights, or no tokenizer.
        SpecMismatch: they are another model's, or do not belong together.
    """

    def __init__(
        self,
        source: str | Path = HUB_ID,
        *,
        tokenizer: str | Path | None = None,
        labels: tuple[str, ...] = (),
        device: str = "cpu",
        download: bool = False,
    ) -> None:
        found = find_weights(source, download=download)
        net = build_from_state(read_state(found.path), found.path, found.config)
        self.sha256 = found.sha256
        self.encoder_id = f"distilroberta-mer/{self.sha256[:12]}"
        self.dim = net.classifier.dense.out_features
        self._n_classes = net.classifier.out_proj.out_features
        self._pad_id, self._max_tokens = net.pad_id, net.max_tokens
        usual = TEXT_ORDER if self._n_classes == len(TEXT_ORDER) else ()
        self.labels = labels or labels_of_config(found.config) or usual
        if self.labels and len(self.labels) != self._n_classes:
            raise SpecMismatch(
                f"{found.path}: {self._n_classes} classes, but the labels {list(self.labels)}"
            )
        self._tokenizer = _load_tokenizer(
            found.folder if tokenizer is None else tokenizer, download=download
        )
        vocabulary = net.roberta.embeddings.word_embeddings.num_embeddings
        if len(self._tokenizer) > vocabulary:
            raise SpecMismatch(
                f"{found.path}: {vocabulary} word pieces, but its tokenizer has "
                f"{len(self._tokenizer)}; give the tokenizer it was trained with"
            )
        self.own_head = LinearHead.of(net.classifier.out_proj, self.labels, "tanh")
        """``out_proj`` of the tanh of a feature."""
        self.runtime: Runtime = TorchRuntime(net, device)
        """What runs the network; another form of the same network may be put here."""
        free = {0: "n", 1: "tokens"}
        self.network: Network | None = Network(
            name="text",
            module=net,
            identity=found.identity,
            inputs=("ids", "mask"),
            free_axes={"ids": free, "mask": free},
            # Of unequal lengths, so that the mask's part is exported too.
            example=self._padded([self.tokens(text) for text in ("One day.", _LONG)]),
            int8="dynamic",
        )
        """The network for other runtimes; None frees it once ``runtime`` does without."""

    def tokens(self, text: str) -> list[int]:
        """The ids of a text, specials included, cut to what the network can place."""
        ids: list[int] = self._tokenizer(
            text, truncation=True, max_length=self._max_tokens, add_special_tokens=True
        )["input_ids"]
        return ids

    def encode(self, texts: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """Describes texts, each by itself (to rounding).

        Args:
            texts: any texts; an empty one is read as the two special tokens, as published. Mask
                the modality instead where nothing was said.

        Returns:
            Features float32 [N, dim] and logits float32 [N, classes].
        """
        features = np.zeros((len(texts), self.dim), np.float32)
        logits = np.zeros((len(texts), self._n_classes), np.float32)
        tokens = [self.tokens(text) for text in texts]
        # Neighbours in length share a batch, so that little is padded.
        order = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        for start in range(0, len(order), BATCH_TEXTS):
            rows = order[start : start + BATCH_TEXTS]
            f, z = self.runtime.run(*self._padded([tokens[row] for row in rows]))
            features[rows] = f
            logits[rows] = z
        return features, logits

    def example(self, text: str) -> Example:
        """What ``runtime`` reads of a text, as a batch of one."""
        return self._padded([self.tokens(text)])

    def _padded(self, rows: list[list[int]]) -> Example:
        longest = max(len(row) for row in rows)
        ids = np.full((len(rows), longest), self._pad_id, np.int64)
        mask = np.zeros((len(rows), longest), np.int64)
        for index, row in enumerate(rows):
            ids[index, : len(row)] = row
            mask[index, : len(row)] = 1
        return ids, mask


def _load_tokenizer(source: str | Path, *, download: bool) -> Any:  # noqa: ANN401 - transformers
    from transformers import AutoTokenizer

    source = locked_folder(str(source)) or source
    folder = Path(source)
    if folder.is_dir() and not any(
        (folder / name).is_file() for name in ("tokenizer.json", "vocab.json")
    ):
        raise WeightsMissing(
            f"{folder}: no tokenizer.json and no vocab.json with merges.txt beside the weights; "
            f"copy them there from {HUB_ID}, or name the tokenizer's folder or hub id"
        )
    try:
        return AutoTokenizer.from_pretrained(str(source), local_files_only=not download)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsMissing(f"{source}: no usable tokenizer ({reason}); {HOW_TO_GET}") from error
