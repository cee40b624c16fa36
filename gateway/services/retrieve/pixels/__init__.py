"""Frames, pixel data and bulk values out of retrieved instances (PS3.18 §10.4.1.1.5 to §10.4.1.1.6)."""
