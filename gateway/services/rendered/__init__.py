"""Rendered resources and thumbnails (PS3.18 §10.4.1.1.3–4), and the pictures of the URI service (§9.5)."""
