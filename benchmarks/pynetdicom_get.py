"""A C-GET of one series by pynetdicom, data discarded; a program of its own, for processor time is counted.

``python -m benchmarks.pynetdicom_get HOST PORT AE_TITLE STUDY_UID SERIES_UID [as-it-comes]`` prints a JSON object:
``seconds`` and ``cpu_s`` from request to final response, ``instances`` and ``bytes`` received. It takes PDUs of 128 KiB
and does not decode what it gets, which is the least that pynetdicom can do; as it comes, PDUs are of 16 KiB and the
handler asks for the data set, as most do.
"""

from __future__ import annotations

import json
import sys
import time

from pydicom.dataset import Dataset
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.sop_class import CTImageStorage, StudyRootQueryRetrieveInformationModelGet

_config.LOG_HANDLER_LEVEL = "none"
LARGEST_PDU = 131_072


def get_series(
    host: str, port: int, ae_title: str, study: str, series: str, *, as_it_comes: bool = False
) -> dict[str, float]:
    """Fetch the series and tell what it took."""
    sizes: list[int] = []

    def take(event: evt.Event) -> int:
        sizes.append(event.request.DataSet.getbuffer().nbytes)
        if as_it_comes:
            event.dataset  # noqa: B018 - decodes it
        return 0x0000

    ae = AE("BENCHMARK")
    if not as_it_comes:
        ae.maximum_pdu_size = LARGEST_PDU
    ae.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    ae.add_requested_context(CTImageStorage)
    role = build_role(CTImageStorage, scp_role=True)
    association = ae.associate(host, port, ae_title=ae_title, ext_neg=[role], evt_handlers=[(evt.EVT_C_STORE, take)])
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "SERIES"
    identifier.StudyInstanceUID, identifier.SeriesInstanceUID = study, series
    begun, cpu_begun = time.perf_counter(), time.process_time()
    for _ in association.send_c_get(identifier, StudyRootQueryRetrieveInformationModelGet):
        pass
    seconds, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_begun
    association.release()
    if not sizes:
        raise SystemExit("nothing received")
    return {"seconds": seconds, "cpu_s": cpu_s, "instances": len(sizes), "bytes": sum(sizes)}


if __name__ == "__main__":
    host, port, ae_title, study, series, *options = sys.argv[1:]
    print(json.dumps(get_series(host, int(port), ae_title, study, series, as_it_comes="as-it-comes" in options)))
