"""An instance on its way from the archive to a web client, as services see it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Iterable
from functools import lru_cache

import structlog

from gateway.codecs import Buffer
from gateway.codecs.part10 import encode_file_meta
from gateway.codecs.reencode import ExplicitLittleEndianEncoder
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import BackendError, DecodeError, UndecodableResponse
from gateway.resources import ResourcePath

__all__ = ["ReceivedInstance"]

_log = structlog.get_logger(__name__)


class ReceivedInstance:
    """One instance whose data set has not been read yet; valid until the next one is asked for.

    Parameters
    ----------
    lead
        Pieces of the data set that were read all the same, given first.
    lacks_bulk_data
        Whether the archive has left bulk values out (PS3.4 Annex Z).

    Attributes
    ----------
    ae_title : str
        Of the archive.
    path : ResourcePath
        Down to the instance.
    sop_class_uid, transfer_syntax_uid : str
        As the archive sends it.
    """

    def __init__(
        self,
        ae_title: str,
        path: ResourcePath,
        store: StoreSubOperation,
        lead: Iterable[Buffer] = (),
        *,
        lacks_bulk_data: bool = False,
    ) -> None:
        self.ae_title = ae_title
        self._store = store
        self._lead = deque(lead)
        self.lacks_bulk_data = lacks_bulk_data
        self.path = path
        self.sop_class_uid = store.sop_class_uid
        self.transfer_syntax_uid = store.transfer_syntax_uid

    @property
    def delivered_syntax(self) -> str:
        """The transfer syntax in which it leaves: Explicit VR Little Endian for every native form."""
        return _name_delivered_syntax(self.transfer_syntax_uid)

    async def read_piece(self) -> Buffer | None:
        """Wait for more of the data set, encoded as the archive sends it; None at its end.

        Pieces have up to some 512 KiB. What is not read is passed over when the next instance is asked for.

        Raises
        ------
        BackendError
            The archive failed in the middle.
        """
        return self._lead.popleft() if self._lead else await self._store.read_piece()

    def cut(self) -> None:
        """Cut the association that it comes on: nothing of its long rest is wanted. Reading must be over."""
        self._store.abort()

    async def iter_part10(self) -> AsyncGenerator[Buffer, None]:
        """Yield a PS3.10 file: preamble, File Meta Information, and the data set.

        The data set passes untouched, except that Implicit VR, Big Endian and deflated ones become Explicit VR
        Little Endian, since they never leave by HTTP (PS3.18 §8.7.3).

        Raises
        ------
        UndecodableResponse
            A data set that must be converted and cannot be read; one that ends too early is passed on so.
        BackendError
            The archive failed in the middle.
        """
        yield encode_file_meta(
            self.sop_class_uid, self.path.instance or "", self.delivered_syntax, source_ae_title=self.ae_title
        )
        if self.delivered_syntax == self.transfer_syntax_uid:
            while (piece := await self.read_piece()) is not None:
                yield piece
            return
        encoder = ExplicitLittleEndianEncoder(self.transfer_syntax_uid)
        try:
            while (piece := await self.read_piece()) is not None:
                for encoded in encoder.feed(piece):
                    yield encoded
        except DecodeError as error:
            raise self.undecodable(error) from error
        try:
            for encoded in encoder.finish():
                yield encoded
        except DecodeError as error:  # the archive holds it cut short: so it is passed on, as in any other syntax
            _log.warning("data_set_cut_short", ae_title=self.ae_title, offset=error.offset)

    def undecodable(self, error: DecodeError) -> BackendError:
        """What a data set that cannot be read means for the request."""
        return UndecodableResponse(self.ae_title, f"an instance cannot be read: {error.reason}")


@lru_cache(maxsize=256)
def _name_delivered_syntax(transfer_syntax_uid: str) -> str:
    return EXPLICIT_VR_LE if get_transfer_syntax(transfer_syntax_uid).is_uncompressed else transfer_syntax_uid
