"""The published, large encoders (MER): torch and transformers, loaded only when they are used.

    faces.py               box to normalised picture, and which frames are looked at
    emo_affectnet.py       picture to 512 numbers (ResNet-50)
    emo_affectnet_lstm.py  ten of those to a label (optional)
    wav2vec2.py            4 s of sound to 256 numbers
    distilroberta.py       words to 768 numbers
    own_heads.py           the encoders' own classifiers, on vectors that are there already
    own_labels.py          the classes of the encoders' own heads, in the project's names
    checkpoints.py         files of published weights to checked tensors
    stream.py              a stream of sound to one such description every two seconds
    hub.py                 a path, a folder or a hub id to such a file
    download.py            from the hub to a folder, every file checked by its hash
    locked.py              such folders, and the lock that later loads are checked against

Nothing here is imported by the compact bundle.
"""
