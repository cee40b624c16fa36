"""Storage commitment: the archive's own word that it keeps what was sent (PS3.18 §13, PS3.4 Annex J)."""
