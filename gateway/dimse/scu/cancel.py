"""Ending an operation early: C-CANCEL, a bounded drain, else A-ABORT (PS3.7 §9.3.2.3, §9.1.2.1.5).

C-CANCEL has no response of its own; the operation ends with FE00, or in the ordinary way if it was too late.
Until then matches and C-STOREs still arrive and must be read.

After a cancelled retrieval the association is released and not used again: dcmqrscp 3.6.7 answers FE00 and keeps the
lock of its index until the association ends, so that nobody else could store or query meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.status import OUT_OF_RESOURCES, Category, status_category
from gateway.errors import BackendError

__all__ = ["cancel_and_drain", "is_final_response"]

MAX_DRAIN_BYTES = 33_554_432
"""Beyond this much unwanted data a new association is cheaper than reading on."""

_log = structlog.get_logger(__name__)


def is_final_response(command: Command, field: CommandField, message_id: int) -> bool:
    """Whether `command` ends the operation with that Message ID."""
    return (
        command.command_field is field
        and command.message_id_being_responded_to == message_id
        and command.status is not None
        and status_category(command.status) is not Category.PENDING
    )


async def cancel_and_drain(
    association: Association,
    context_id: int,
    message_id: int,
    response: CommandField,
    *,
    timeout: float,
) -> None:
    """Cancel the operation and read until its final response; abort the association if that takes too long.

    C-STORE requests that still arrive are answered A700, so that the archive counts them as failed.

    Parameters
    ----------
    timeout
        Seconds from C-CANCEL to the final response.
    """
    cancel = Command(command_field=CommandField.C_CANCEL_RQ, message_id_being_responded_to=message_id)
    limit = association.bytes_received + MAX_DRAIN_BYTES
    try:
        async with asyncio.timeout(timeout):
            await association.send(context_id, cancel)
            await _drain(association, response, message_id, lambda: association.bytes_received > limit)
            association.is_retired = response is not CommandField.C_FIND_RSP
    except (TimeoutError, BackendError) as error:
        _log.info("operation_aborted", ae_title=association.ae_title, error=type(error).__name__)
        association.abort()
    except asyncio.CancelledError:
        association.abort()
        raise


async def _drain(
    association: Association, response: CommandField, message_id: int, is_too_much: Callable[[], bool]
) -> None:
    while association.is_usable:
        await _pass_over_data_set(association, is_too_much)
        message = await association.receive(association.silence_timeout_s, waiting_for=response.name)
        await _pass_over_data_set(association, is_too_much)
        command = message.command
        if is_final_response(command, response, message_id):
            association.end_operation()
            return
        if command.command_field is CommandField.C_STORE_RQ:
            await association.send(message.context_id, _refusal(command))


async def _pass_over_data_set(association: Association, is_too_much: Callable[[], bool]) -> None:
    while await association.read_piece() is not None:
        if is_too_much():
            association.abort()  # the next read raises


def _refusal(request: Command) -> Command:
    return Command(
        command_field=CommandField.C_STORE_RSP,
        message_id_being_responded_to=request.message_id,
        affected_sop_class_uid=request.affected_sop_class_uid,
        affected_sop_instance_uid=request.affected_sop_instance_uid,
        status=OUT_OF_RESOURCES,
    )
