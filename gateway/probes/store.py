"""Probing C-STORE: which classes and transfer syntaxes an archive takes; nothing is stored."""

from __future__ import annotations

from gateway.dimse.archive import Archive
from gateway.dimse.contexts import Proposal, ProposedSyntax
from gateway.errors import BackendError
from gateway.probes.diagnosis import diagnose
from gateway.probes.findings import Finding, Result

__all__ = ["probe_store"]

_CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "US": "1.2.840.10008.5.1.4.1.1.6.1",
    "SC": "1.2.840.10008.5.1.4.1.1.7",
}
_FORMS = {
    "uncompressed": ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"),
    "JPEG": ("1.2.840.10008.1.2.4.50",),
    "JPEG lossless": ("1.2.840.10008.1.2.4.70",),
    "JPEG-LS": ("1.2.840.10008.1.2.4.80",),
    "JPEG 2000": ("1.2.840.10008.1.2.4.90",),
    "RLE": ("1.2.840.10008.1.2.5",),
}


async def probe_store(archive: Archive) -> Finding:
    """Which of the common classes and forms are accepted. Raises nothing of the archive's: that is the finding."""
    syntaxes = (ProposedSyntax(uid, form) for uid in _CLASSES.values() for form in _FORMS.values())
    try:
        async with archive.pool.lease(Proposal(tuple(syntaxes), exact=True)) as lease:
            find = lease.association.contexts.find
            accepted = {
                name: [label for label, form in _FORMS.items() if any(find(uid, syntax) for syntax in form)]
                for name, uid in _CLASSES.items()
            }
    except BackendError as error:
        return diagnose(error)
    return _judge(accepted)


def _judge(accepted: dict[str, list[str]]) -> Finding:
    by_forms: dict[tuple[str, ...], list[str]] = {}
    for name, forms in accepted.items():
        by_forms.setdefault(tuple(forms), []).append(name)
    texts = (f"{', '.join(names)}: {', '.join(forms) or 'refused'}" for forms, names in by_forms.items())
    results = {bool(forms) for forms in accepted.values()}
    result = Result.PARTLY if len(results) > 1 else Result.ACCEPTED if True in results else Result.FAILS
    return Finding(result, f"takes {'; '.join(texts)}", "", {"accepted": accepted})
