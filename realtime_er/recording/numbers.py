"""What of a message is kept when only numbers are: nothing that shows, sounds like or quotes anybody.

Kept are scores, contributions and states, boxes of faces, level and probability of speech, times,
events, gaps and health. Left out are words, embeddings (a face embedding can tell people apart),
landmarks, and the state in which the recording began, which holds embeddings. So the estimates of such
a recording cannot be computed again.
"""

from __future__ import annotations

from dataclasses import replace

from realtime_er.messages import Embedding, Estimate, FaceReport
from realtime_er.recording.intake import Evidence
from realtime_er.recording.store import Checkpoint
from realtime_er.windows import Transcribed


def numbers_of(message: Evidence) -> Evidence | None:
    """The message without what identifies or quotes anybody; None when nothing is left of it."""
    match message:
        case Transcribed() | Embedding():
            return None
        case Estimate():
            return replace(message, transcript="", partial="")
        case FaceReport():
            faces = tuple(replace(face, landmarks_px=None) for face in message.faces)
            return replace(message, faces=faces, embedding=None)
        case Checkpoint():
            return None
    return message
