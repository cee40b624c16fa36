"""The UIDs are those of the DICOM dictionary."""

from __future__ import annotations

from pydicom.uid import UID

from gateway.dimse import uids


def test_names_in_the_dictionary() -> None:
    names = {
        uids.VERIFICATION: "Verification SOP Class",
        uids.STUDY_ROOT_FIND: "Study Root Query/Retrieve Information Model - FIND",
        uids.STUDY_ROOT_MOVE: "Study Root Query/Retrieve Information Model - MOVE",
        uids.STUDY_ROOT_GET: "Study Root Query/Retrieve Information Model - GET",
    }
    assert {uid: UID(uid).name for uid in names} == names


def test_query_transfer_syntaxes_are_native_and_hold_the_default() -> None:
    assert all(not UID(uid).is_compressed for uid in uids.QR_TRANSFER_SYNTAXES)
    assert "1.2.840.10008.1.2" in uids.QR_TRANSFER_SYNTAXES  # PS3.5 §10.1 makes it obligatory
