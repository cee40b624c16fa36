"""Data sets in flight to DICOM JSON or Native XML, without a model in between (PS3.18 Annex F, PS3.19 §A.1).

`DataSetEncoder` takes the pieces of a data set of any transfer syntax and keeps what metadata holds: short values.
Bulk values are dropped as they stream, and leave a reference. What attributes look like is the form's part
(``dicom_json``, ``dicom_xml``), what values mean ``json_values``'. ``services`` calls it for metadata, and through
``dicom_json`` for identifiers.

How it is fast: a ``fragment_memo`` knows what elements became in the data sets before. The bytes at hand are compared
with its runs first, then element by element, and only what is not known is read by the ``scanner``. A comparison that
fails costs little and is told to the memo, so that what varies from one instance to the next soon stands in no run.
"""

from __future__ import annotations

from collections.abc import Callable

from gateway.codecs import Buffer
from gateway.codecs.charset import decode_text, find_encodings
from gateway.codecs.element_headers import find_element_end
from gateway.codecs.fragment_memo import HEADER_LENGTH, MAX_RECALLED, Context, Form, Fragment, FragmentMemo
from gateway.codecs.inflate import Inflater
from gateway.codecs.json_values import BULK_VRS, has_unwritable_number, read_value, stays_inline
from gateway.codecs.levels import is_noted
from gateway.codecs.scanner import Scanner
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.codecs.value_representations import look_up_vr

__all__ = ["BulkdataUri", "DataSetEncoder", "is_left_out"]

BulkdataUri = Callable[[str], str]
"""Makes the URI of a bulk value from its path: ``"7FE00010"``, ``"54000100/1/54001010"`` (items from 1)."""

_CHARACTER_SET = 0x00080005
_TRAILING_PADDING = 0xFFFCFFFC
# of commands and of files: never part of a data set (PS3.5 §7.1, PS3.18 §10.4.1.1.2)
_FOREIGN_GROUPS = frozenset({0x0000, 0x0002})
_PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
# a head fits, and of a piece of pixel data no more is copied
_WINDOW = 64 * 1024
# of one data set; an honest one has a few dozen
_MAX_CREATORS = 1024
_UTF_8 = {"vr": "CS", "Value": ["ISO_IR 192"]}
_NOWHERE = Context((), {})


class _DataSet:
    """An open data set: what its elements have become so far, and which of them may become a run."""

    __slots__ = (
        "before",
        "context",
        "encodings",
        "fragments",
        "has_open_sequence",
        "is_ascending",
        "is_constant",
        "items",
        "items_are_constant",
        "last",
        "recorded",
        "recorded_in",
        "recorded_size",
        "recorded_to",
        "start",
        "tag",
        "unsettled",
    )

    def __init__(self, encodings: tuple[str, ...]) -> None:
        self.encodings = encodings
        self.context = _NOWHERE
        self.fragments: list[Fragment] = []
        self.last = -1
        self.is_ascending = True
        # whether the same bytes become the same again: not where a URI is within
        self.is_constant = True
        # the element that is being read: its offset in the data set; its fragment until it is known to the memo
        self.start = 0
        self.unsettled: Fragment | None = None
        self.before = _NOWHERE
        # the sequence that is open in this data set
        self.tag = 0
        self.items: list[bytes] = []
        self.items_are_constant = True
        self.has_open_sequence = False
        # known elements one after the other, up to an offset
        self.recorded: list[Fragment] = []
        self.recorded_in = _NOWHERE
        self.recorded_size = 0
        self.recorded_to = 0

    def add(self, fragment: Fragment) -> None:
        if fragment.tag <= self.last:
            self.is_ascending = False
        self.last = fragment.last
        self.fragments.append(fragment)


class DataSetEncoder(Scanner):
    """Encodes one data set.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of the data set.
    memo : FragmentMemo
        Of the form to write; the encoders of one request share one.
    bulkdata_uri : callable or None
        Called with the path of a bulk value for its URI. None: nothing becomes bulk but for encapsulated values,
        of which only the VR remains, since there is no inline form for them (PS3.18 §F.2.7).
    inline_limit : int
        Longest value in bytes that stays inline, for the VRs that PS3.18 §10.4.3.3.2 allows to be bulk. Pixel Data,
        Float Pixel Data and Double Float Pixel Data of the data set itself are bulk whatever their length.
    default_character_set : str
        Defined term of data sets that name none.

    Notes
    -----
    In memory are the encoded values, inline ones of at most 4 MiB each, and less than one element of what was fed.
    Attributes ascend by tag; of two with the same tag the last one counts. Specific Character Set reads ISO_IR 192
    wherever the source has it. UN of undefined length becomes SQ. Floats that JSON cannot express (NaN, infinities)
    make their element bulk, or strings where nothing is bulk.
    """

    def __init__(
        self,
        transfer_syntax_uid: str,
        memo: FragmentMemo,
        *,
        bulkdata_uri: BulkdataUri | None,
        inline_limit: int = 1024,
        default_character_set: str = "ISO_IR 6",
    ) -> None:
        syntax = get_transfer_syntax(transfer_syntax_uid)
        super().__init__(syntax)
        memo.begin()
        self._memo = memo
        self._form: Form = memo.form
        self._uri = bulkdata_uri
        self._inline_limit = inline_limit
        self._default = default_character_set
        self._rules = (default_character_set, inline_limit, bulkdata_uri is None)
        self._inflater = Inflater() if syntax.deflated else None
        self._is_dropping = False
        self._open = _DataSet(find_encodings("", default_character_set))
        self._outer: list[_DataSet] = []

    def feed(self, data: Buffer) -> None:
        """Take the next bytes of the data set, any number of them.

        Raises
        ------
        DecodeError
            Structure that cannot be read, nesting over 64 levels, or an inline value over 4 MiB; with the offset in
            the (inflated) data set and the tag path.
        """
        if self._inflater is None:
            self._take(data)
            return
        for step in self._inflater.feed(data):
            self._take(step)

    @property
    def skippable(self) -> int:
        """Bytes that come next and matter to nobody: the rest of a bulk value. `skip` may stand for feeding them.

        0 for a deflated data set.
        """
        return self._left if self._is_dropping and self._inflater is None else 0

    def skip(self, count: int) -> None:
        """Take up to `skippable` bytes as passed over."""
        self._left -= count
        self._offset += count
        if not self._left:
            self._is_dropping = False
            self._leave_value()

    def finish(self) -> bytes:
        """Return the document: attributes by tag, ascending (PS3.18 §F.2.2).

        Raises
        ------
        DecodeError
            The data set ended inside an element, item or sequence.
        """
        if self._inflater is not None:
            for step in self._inflater.finish():
                self._take(step)
        self._check_end()
        self._end_run(self._open)
        return self._form.enclose(self._join(self._open))

    def salvage(self) -> bytes:
        """Return what was read before a DecodeError, open sequences and items ended where they stand; call it once."""
        while True:
            if self._open.has_open_sequence:
                self._end_sequence()
            if not self._outer:
                return self._form.enclose(self._join(self._open))
            self._end_item()

    def has_element(self, tag: int) -> bool:
        """Whether the data set itself has an element `tag`, as far as it was read."""
        return any(one.tag == tag for fragment in self._open.fragments for one in fragment.members or (fragment,))

    def _take(self, data: Buffer) -> None:
        position, size = 0, len(data)
        while position < size:
            if self._is_dropping:
                count = min(self._left, size - position)
                self.skip(count)
                position += count
            else:
                self._scan(bytes(data[position : position + _WINDOW]))
                position += _WINDOW

    def _join(self, opened: _DataSet) -> bytes:
        """Join the attributes of a data set, put in order where they are not."""
        if opened.is_ascending:
            return self._form.separator.join([one.text for one in opened.fragments if one.text])
        last = {one.tag: one for fragment in opened.fragments for one in fragment.members or (fragment,)}
        restate, creators = self._form.restate, opened.context.creators
        texts = [restate(tag, last[tag].text, creators) for tag in sorted(last) if last[tag].text]
        return self._form.separator.join(texts)

    # --- what is known ---

    def _read_elements(self, data: Buffer, position: int) -> int:
        """Read elements of the open data set, those that are known by comparing them."""
        level, opened = self._level, self._open
        data = bytes(data)
        end = level.end - self._offset
        if level.detects and position < end and not self._detect_vr_encoding(data, position):
            return self._starve(position)
        if opened.context is _NOWHERE:
            situation = (self._rules, level.explicit, level.little, level.pixel_representation, len(self._outer))
            opened.context = self._memo.find_root(situation, opened.encodings)
        limit = min(len(data), end)
        self._settle(data, position)
        while (position := self._recall(data, position, limit)) < end:
            if len(data) - position < HEADER_LENGTH:
                return self._starve(position)
            opened.start = self._offset + position
            if stop := self._read_whole(data, position, limit):
                position = stop
                self._settle(data, position)
                continue
            position = self._read_element(data, position)
            if self._starved or self._in_value or self._level is not level:
                return position
            self._settle(data, position)
        return self._close_level(position)

    def _recall(self, data: bytes, position: int, limit: int) -> int:
        """Add what the memo knows of what stands at `position`; return where that ends."""
        level, opened = self._level, self._open
        explicit, little = level.explicit, level.little
        context = opened.context
        while position + HEADER_LENGTH <= limit:
            run = context.runs.get(data[position : position + HEADER_LENGTH])
            if run is not None:
                stop = self._recall_run(run, data, position, limit)
                if stop > position:
                    position = stop
                    continue
            stop = find_element_end(data, position, explicit=explicit, little=little)
            if stop > limit or stop - position > MAX_RECALLED:
                return position
            known = context.elements.get(data[position:stop])
            if known is None:
                return position
            opened.add(known)
            self._record(known, self._offset + position)
            if known.leads_to is not None:
                if is_noted(known.tag):
                    level.note(known.tag, known.value)
                context = opened.context = known.leads_to
            position = stop
        return position

    def _recall_run(self, run: Fragment, data: bytes, position: int, limit: int) -> int:
        """Add a run, or as much of it as stands there; return where that ends."""
        opened = self._open
        stop = position + len(run.raw)
        if stop <= limit and data.startswith(run.raw, position):
            opened.add(run)
            return stop
        for index, member in enumerate(run.members):
            stop = position + len(member.raw)
            if stop > limit:
                break
            if not data.startswith(member.raw, position):
                self._memo.cut_run(opened.context, run, index)
                break
            opened.add(member)
            position = stop
        return position

    def _settle(self, data: bytes, position: int) -> None:
        """Tell the memo of the element that ends at `position`, if all of it is in `data`."""
        opened = self._open
        fragment, opened.unsettled = opened.unsettled, None
        begin = opened.start - self._offset
        if fragment is not None and begin >= 0 and self._memo.keep(opened.before, fragment, data[begin:position]):
            self._record(fragment, opened.start)

    def _record(self, fragment: Fragment, start: int) -> None:
        """Put an element that stands at the offset `start` to those before it, or begin anew."""
        opened = self._open
        size = len(fragment.raw)
        if opened.recorded and (
            opened.recorded_to != start
            or opened.recorded_size + size > MAX_RECALLED
            or fragment.tag <= opened.recorded[-1].tag
        ):
            self._end_run(opened)
        opened.recorded_to = start + size
        if fragment.leads_to is not None or fragment.raw[:HEADER_LENGTH] in opened.context.varying:
            self._end_run(opened)
            return
        opened.recorded_in = opened.context
        opened.recorded_size += size
        opened.recorded.append(fragment)

    def _end_run(self, opened: _DataSet) -> None:
        if opened.recorded:
            self._memo.keep_run(opened.recorded_in, opened.recorded)
            opened.recorded = []
            opened.recorded_size = 0

    # --- what the scanner finds: values ---

    def _wants(self, tag: int, vr: str, length: int) -> bool:
        if self._uri is None or vr not in BULK_VRS:
            return True
        if tag in _PIXEL_DATA and not self._outer:
            return not length
        return stays_inline(vr, length, self._inline_limit)

    def _add_element(self, tag: int, vr: str, value: bytes) -> None:
        opened = self._open
        context = opened.before = opened.context
        if self._uri is not None and has_unwritable_number(vr, value):
            self._refer(tag, vr)
            return
        if tag == _CHARACTER_SET or is_noted(tag):
            fragment = self._encode_turn(tag, vr, value, context)
        elif is_left_out(tag):
            fragment = Fragment(tag, b"")
        else:
            attribute = read_value(vr if vr != "UN" else _find_known_vr(tag), value, context.encodings)
            fragment = Fragment(tag, self._form.encode(tag, attribute, context.creators))
        opened.unsettled = fragment
        opened.add(fragment)

    def _encode_turn(self, tag: int, vr: str, value: bytes, context: Context) -> Fragment:
        """Encode an element that changes how later ones are read, and enter the context after it."""
        encodings, creators = context.encodings, context.creators
        attribute = read_value(vr if vr != "UN" else _find_known_vr(tag), value, encodings)
        if tag == _CHARACTER_SET:
            encodings = find_encodings(decode_text(value, "CS", encodings), self._default)
            attribute = _UTF_8
        elif tag & 0x10000:
            creators = self._name_creator(tag, self._form.name_creator(attribute), creators)
        fragment = Fragment(tag, self._form.encode(tag, attribute, creators))
        fragment.value = value
        fragment.leads_to = self._open.context = self._memo.follow(context, (tag, vr, value), encodings, creators)
        return fragment

    def _name_creator(self, tag: int, name: str, creators: dict[int, str]) -> dict[int, str]:
        if creators.get(tag, "") == name or len(creators) >= _MAX_CREATORS:
            return creators
        return {**creators, tag: name}

    def _start_value(self, tag: int, vr: str, length: int) -> None:
        self._refer(tag, vr)

    def _refer(self, tag: int, vr: str) -> None:
        """Add a bulk value by its URI, or by its VR alone where there is none."""
        if is_left_out(tag):
            return
        opened = self._open
        attribute = {"vr": vr}
        if self._uri is not None:
            path = "".join([f"{outer.tag:08X}/{len(outer.items) + 1}/" for outer in self._outer])
            attribute["BulkDataURI"] = self._uri(f"{path}{tag:08X}")
        opened.is_constant = False
        opened.add(Fragment(tag, self._form.encode(tag, attribute, opened.context.creators)))

    def _start_encapsulated(self, tag: int, vr: str) -> None:
        self._refer(tag, vr)

    def _pass_on(self, data: Buffer, position: int, add: Callable[[Buffer], None], end: Callable[[], None]) -> int:
        """Drop what is there of a value."""
        length = min(self._left, len(data) - position)
        self._left -= length
        if self._left:
            self._is_dropping = True
            return self._starve(position + length)
        self._leave_value()
        return position + length

    def _add_chunk(self, data: Buffer) -> None:
        """Dropped."""

    def _end_value(self) -> None:
        """Dropped."""

    def _start_fragment(self, index: int, length: int) -> None:
        """Dropped."""

    def _add_fragment_chunk(self, data: Buffer) -> None:
        """Dropped."""

    def _end_fragment(self) -> None:
        """Dropped."""

    def _end_encapsulated(self) -> None:
        """Dropped."""

    # --- what the scanner finds: sequences ---

    def _start_sequence(self, tag: int, vr: str) -> None:
        opened = self._open
        opened.tag = tag
        opened.items = []
        opened.items_are_constant = True
        opened.has_open_sequence = True

    def _start_item(self) -> None:
        self._outer.append(self._open)
        self._open = _DataSet(self._open.context.encodings)

    def _end_item(self) -> None:
        item = self._open
        self._end_run(item)
        self._open = self._outer.pop()
        self._open.items.append(self._join(item))
        self._open.items_are_constant &= item.is_constant

    def _end_sequence(self) -> None:
        opened = self._open
        opened.has_open_sequence = False
        tag, creators = opened.tag, opened.context.creators
        text = b"" if is_left_out(tag) else self._form.encode_sequence(tag, opened.items, creators)
        fragment = Fragment(tag, text)
        opened.items = []
        opened.add(fragment)
        if opened.items_are_constant:
            opened.before = opened.context
            opened.unsettled = fragment
        else:
            opened.is_constant = False


def _find_known_vr(tag: int) -> str:
    """Return the VR of an element that was written as UN though the dictionary knows it (PS3.5 §6.2.2 note 2).

    Its value is little endian whatever the transfer syntax. UN stays where the dictionary gives a choice, and for
    sequences and private elements.
    """
    vr = look_up_vr(tag, None)
    return vr if len(vr) == 2 and vr != "SQ" else "UN"


def is_left_out(tag: int) -> bool:
    """Group lengths, groups of other things than data sets, padding at the end (PS3.18 §F.2.2)."""
    return not tag & 0xFFFF or tag >> 16 in _FOREIGN_GROUPS or tag == _TRAILING_PADDING
