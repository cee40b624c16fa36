"""Services we provide to associations that archives open: one file a service, dispatched by ``acceptor.py``."""
