from __future__ import annotations

from gateway.imaging import conversion, decode
from gateway.imaging.conversion import is_lossy_target
from gateway.services.transcode.targets import DECODABLE, PRODUCIBLE, list_targets

PREFIX = "1.2.840.10008.1.2"
BASELINE, RECOMPRESSED = PREFIX + ".4.50", PREFIX + ".4.111"


def test_native_forms_count_as_what_they_become() -> None:
    targets = list_targets(PREFIX + ".1")
    assert targets == list_targets(PREFIX) == list_targets(PREFIX + ".2")
    assert PREFIX + ".1" not in targets
    assert PREFIX + ".1.99" in targets


def test_what_loses_nothing_comes_first() -> None:
    for source in (PREFIX + ".1", PREFIX + ".4.90", BASELINE):
        lossy = [is_lossy_target(uid) for uid in list_targets(source)]
        assert not lossy[0]
    assert list_targets(PREFIX + ".4.90")[0] == PREFIX + ".1"


def test_a_jpeg_stream_alone_can_be_recompressed() -> None:
    assert RECOMPRESSED in list_targets(BASELINE)
    assert RECOMPRESSED not in list_targets(PREFIX + ".4.70")
    assert BASELINE in list_targets(RECOMPRESSED)


def test_nothing_becomes_of_video_or_of_what_is_not_known() -> None:
    assert list_targets(PREFIX + ".4.102") == list_targets("1.2.3") == ()


def test_the_tables_are_those_of_the_codecs() -> None:
    assert PRODUCIBLE == conversion.PRODUCIBLE
    assert DECODABLE == decode.DECODABLE
