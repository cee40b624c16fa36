"""Pictures of frames: stored values in, JPEG, PNG, GIF, JPEG 2000, JPEG XL or MP4 out (PS3.18 §8.3.5, PS3.4 §N.2).

Synchronous and pure: bytes in, bytes out, one frame at a time. Runs in worker processes, called by
``services/rendered``. What is not here: decoding of stored frames (``gateway/imaging/decode.py``), reports
(``gateway/imaging/documents``).
"""
