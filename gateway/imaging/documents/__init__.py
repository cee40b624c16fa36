"""Documents that are read, not looked at: structured reports as HTML, plain text or PDF, and encapsulated documents.

Synchronous and pure: the bytes of a data set in, the bytes of a document out. Runs in worker processes, called by
``services/rendered``. What is not here: pictures (``gateway/imaging/rendering``).
"""
