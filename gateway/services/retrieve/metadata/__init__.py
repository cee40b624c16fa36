"""Metadata of what is retrieved, and what is kept of it between requests (PS3.18 §10.4.1.1.2)."""
