"""A C-GET of one series by pynetdicom, data discarded; prints the seconds from request to final response.

python -m benchmarks.pynetdicom_get HOST PORT AE_TITLE STUDY_UID SERIES_UID
"""

from __future__ import annotations

import sys
import time

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelGet

_config.LOG_HANDLER_LEVEL = "none"
LARGEST_PDU = 131_072


def get_series(host: str, port: int, ae_title: str, study: str, series: str) -> float:
    """Fetch the series and return the seconds it took."""
    received = []

    def take(event: evt.Event) -> int:
        received.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    ae = AE("BENCHMARK")
    ae.maximum_pdu_size = LARGEST_PDU
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(CTImageStorage)
    role = build_role(CTImageStorage, scp_role=True)
    association = ae.associate(host, port, ae_title=ae_title, ext_neg=[role], evt_handlers=[(evt.EVT_C_STORE, take)])
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = study, series
    begun = time.perf_counter()
    for _ in association.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet):
        pass
    seconds = time.perf_counter() - begun
    association.release()
    if not received:
        raise SystemExit("nothing received")
    return seconds


if __name__ == "__main__":
    host, port, ae_title, study, series = sys.argv[1:]
    print(get_series(host, int(port), ae_title, study, series))
