"""``dicomweb-gateway store``: files sent to any STOW-RS service, a client and no part of the gateway (PS3.18 §10.5)."""
