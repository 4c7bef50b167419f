"""The tables of ``session.sqlite``, version 1. This module is their documentation.

All times are seconds on the session clock, as float64, exactly the numbers the pipeline used: a
SQLite REAL keeps every bit, and replay must get the recorded estimates byte for byte. Vectors are
little-endian float32 blobs.

``seq`` is the order in which the fusion thread took evidence in and made estimates. It is unique
over all tables that have it as primary key, so that feeding the rows of these tables to a
``WindowBuilder`` in order of ``seq``, and closing a tick at each row of ``estimates``, repeats what
the live session did.
"""

from __future__ import annotations

VERSION = 1
"""Stored as ``PRAGMA user_version``; a reader refuses a newer one."""

APPLICATION_ID = 0x52544552
"""``PRAGMA application_id`` of our databases ("RTER"); a foreign SQLite file lacks it."""

TABLES = """
-- Every captured picture that was written, in the order of the video stream in media.mkv.
CREATE TABLE frames (
    frame_index INTEGER PRIMARY KEY,   -- VideoFrame.index: a jump means frames that never came
    time_s REAL NOT NULL,              -- when it was captured
    pts_ms INTEGER NOT NULL            -- its time stamp in media.mkv
);

-- Every block of sound in media.mkv, in order. Filler is silence written over a gap.
CREATE TABLE sound (
    position INTEGER PRIMARY KEY,      -- index of the block's first sample in media.mkv
    first_sample INTEGER,              -- AudioBlock.first_sample; NULL for filler
    start_s REAL NOT NULL,
    n_samples INTEGER NOT NULL,
    pts_ms INTEGER NOT NULL
);

-- State of the window builder and of the decision maker where the recording began.
CREATE TABLE checkpoint (
    seq INTEGER PRIMARY KEY,
    state TEXT NOT NULL                -- JSON, see recording/store.py
);

-- One row per picture that was looked at.
CREATE TABLE face_reports (
    seq INTEGER PRIMARY KEY,
    frame_index INTEGER NOT NULL,
    time_s REAL NOT NULL,
    target_id INTEGER,                 -- track that is read, NULL without one
    absence TEXT                       -- why the face takes no part, NULL when it does
);
CREATE TABLE faces (
    seq INTEGER NOT NULL REFERENCES face_reports(seq),
    track_id INTEGER NOT NULL,
    left_px REAL NOT NULL, top_px REAL NOT NULL, width_px REAL NOT NULL, height_px REAL NOT NULL,
    score REAL NOT NULL,
    quality TEXT,                      -- why it was refused, NULL when it was good enough
    landmarks_px BLOB,                 -- float32 (5, 2)
    PRIMARY KEY (seq, track_id)
);

-- Face: same seq as its report. Audio: its own. Text: same seq as its hypothesis.
CREATE TABLE embeddings (
    seq INTEGER PRIMARY KEY,
    modality TEXT NOT NULL,
    start_s REAL NOT NULL, end_s REAL NOT NULL,
    available_s REAL NOT NULL,         -- first tick that may use it
    encoder_id TEXT NOT NULL,
    source_id INTEGER NOT NULL,        -- face track or speech segment
    vector BLOB NOT NULL               -- float32
);

-- Decisions of the voice activity detector.
CREATE TABLE speech (
    seq INTEGER PRIMARY KEY,
    start_s REAL NOT NULL, end_s REAL NOT NULL,
    speaking INTEGER NOT NULL,
    probability REAL NOT NULL,
    level_dbfs REAL NOT NULL
);

-- Partial and final transcripts, with the time from which they could be used.
CREATE TABLE hypotheses (
    seq INTEGER PRIMARY KEY,
    segment_id INTEGER NOT NULL, revision INTEGER NOT NULL,
    text TEXT NOT NULL, committed TEXT NOT NULL,
    is_final INTEGER NOT NULL,
    start_s REAL NOT NULL, end_s REAL NOT NULL, trigger_s REAL NOT NULL, available_s REAL NOT NULL,
    refused TEXT NOT NULL
);
CREATE TABLE words (
    seq INTEGER NOT NULL REFERENCES hypotheses(seq),
    position INTEGER NOT NULL,
    text TEXT NOT NULL,
    start_s REAL NOT NULL, end_s REAL NOT NULL,
    probability REAL NOT NULL,
    PRIMARY KEY (seq, position)
);

-- How far a track had been handed over, only where it matters to a state: start and end of a track.
CREATE TABLE watermarks (
    seq INTEGER PRIMARY KEY,
    track TEXT NOT NULL,
    time_s REAL                        -- NULL: the track has ended
);

-- Device lost or back, target selected, muted, consent (its detail is JSON, see consent.py), ...
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    time_s REAL NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- Known spans without data.
CREATE TABLE gaps (
    seq INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    start_s REAL NOT NULL, end_s REAL NOT NULL,
    reason TEXT NOT NULL
);

-- One row per tick. Scores are NULL where nothing could be read or the head lacks the label.
CREATE TABLE estimates (
    seq INTEGER PRIMARY KEY,
    tick INTEGER NOT NULL UNIQUE,      -- Estimate.index
    time_s REAL NOT NULL,              -- end of its windows
    label TEXT,                        -- NULL: abstains
    confidence REAL NOT NULL,
    neutral REAL, happy REAL, sad REAL, surprise REAL, fear REAL, disgust REAL, angry REAL,
    state_face TEXT NOT NULL, state_audio TEXT NOT NULL, state_text TEXT NOT NULL,
    transcript TEXT NOT NULL, partial TEXT NOT NULL
);
CREATE TABLE contributions (
    seq INTEGER NOT NULL REFERENCES estimates(seq),
    modality TEXT NOT NULL,
    neutral REAL, happy REAL, sad REAL, surprise REAL, fear REAL, disgust REAL, angry REAL,
    PRIMARY KEY (seq, modality)
);

-- The window behind each estimate, and how long the work took. Its vectors follow from embeddings.
CREATE TABLE windows (
    seq INTEGER PRIMARY KEY REFERENCES estimates(seq),
    closed_by TEXT NOT NULL,           -- watermark, deadline or end
    age_s REAL,                        -- emitted minus end of the window
    fuse_s REAL NOT NULL,
    face_age_s REAL, audio_age_s REAL, text_age_s REAL   -- of the newest evidence used
);

-- Once a second.
CREATE TABLE health (
    time_s REAL PRIMARY KEY,
    score_age_s REAL, score_age_p95_s REAL,
    estimates_hz REAL NOT NULL, video_fps REAL NOT NULL, encoded_faces_hz REAL NOT NULL,
    level_dbfs REAL NOT NULL, speaking INTEGER NOT NULL,
    dropped_frames INTEGER NOT NULL, dropped_samples INTEGER NOT NULL
);
"""

ANNOTATION_VERSION = 1

ANNOTATION_TABLES = """
-- One database per rater: annotations/RATER.sqlite. Rows are added, never changed: an undo, a
-- correction and the end of an interval are rows too, so that nothing anybody marked is ever gone.
CREATE TABLE marks (
    mark_id INTEGER PRIMARY KEY,
    tier TEXT NOT NULL,
    label TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('point', 'interval', 'note')),
    start_s REAL NOT NULL,             -- media time, reaction time subtracted
    end_s REAL,                        -- equal to start_s for points and notes; NULL while open
    shown_start_s REAL NOT NULL,       -- media time of the frame that was shown at key down
    shown_end_s REAL,
    frame_index INTEGER,               -- that frame; NULL without a picture
    reaction_s REAL NOT NULL,          -- what was subtracted
    text TEXT NOT NULL,                -- of a note
    replaces INTEGER REFERENCES marks(mark_id),  -- the row that this one closes or corrects
    made_at TEXT NOT NULL              -- wall clock, ISO 8601, UTC
);
CREATE TABLE undone (
    mark_id INTEGER PRIMARY KEY REFERENCES marks(mark_id),
    made_at TEXT NOT NULL
);
"""
