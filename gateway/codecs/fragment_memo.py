"""What elements have become before: their bytes beside the fragment of JSON or XML that was made of them.

Nearly all elements of the instances of a series are the same, and what is read next from the same bytes in the same
situation is the same again. So a memo keeps, for each situation (`Context`), single elements by all their bytes, and
runs of elements that have always come one after the other, by the header of the first. It never looks at tags, VRs or
values. ``data_set_encoder`` alone uses it; one memo serves the data sets of one request, or less.

Whatever decides how bytes are read belongs to the context: character set, byte order, whether VRs are written, what
was noted for later VRs, private creators, depth. So a fragment never crosses from one character set to another.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

__all__ = ["HEADER_LENGTH", "MAX_RECALLED", "Context", "Form", "Fragment", "FragmentMemo"]

HEADER_LENGTH = 8
"""Bytes of an element by which a run is found: tag and, in most forms, VR and length."""

MAX_RECALLED = 16 * 1024
"""Longest element, or run of elements, in bytes that is kept; a sequence is one element."""

_LIMIT = 2 * 1024 * 1024
# an entry beside its bytes: objects, slots of dictionaries
_OVERHEAD = 512
# a name and its place in the dictionary of a context
_CREATOR_SIZE = 128
# a single element shorter than this is found as fast without a run
_SHORT = 64


class Form(Protocol):
    """How a data set is written for the web: ``dicom_json.JSON`` or ``dicom_xml.XML``.

    `creators` are names of private creators by their tags, as `name_creator` gave them.
    """

    @property
    def separator(self) -> bytes:
        """What stands between two attributes."""

    def encode(self, tag: int, attribute: Mapping[str, Any], creators: Mapping[int, str]) -> bytes:
        """Write one attribute object of the DICOM JSON Model, any but SQ; empty where the form leaves it out."""

    def encode_sequence(self, tag: int, items: Sequence[bytes], creators: Mapping[int, str]) -> bytes:
        """Write a sequence; an item is its attributes joined."""

    def enclose(self, content: bytes) -> bytes:
        """Make a document of the attributes of a data set."""

    def name_creator(self, attribute: Mapping[str, Any]) -> str:
        """Return the name that the attribute of a private creator gives; empty where none is usable or needed."""

    def restate(self, tag: int, text: bytes, creators: Mapping[int, str]) -> bytes:
        """Return the attribute `text` as it reads where these are the creators."""


class Fragment:
    """What one element, or a run of elements, has become.

    Attributes
    ----------
    tag, last : int
        Of the first and the last element.
    text : bytes
        JSON or XML; empty for what is left out.
    raw : bytes
        The whole elements as they were written; empty where that is not known or the text is not theirs alone.
    members : sequence of Fragment
        The elements of a run, tags ascending; empty for a single one.
    leads_to : Context or None
        For an element that changes how later ones are read: the context after it, and in `value` what is to be noted.
    """

    __slots__ = ("last", "leads_to", "members", "raw", "tag", "text", "value")

    def __init__(self, tag: int, text: bytes) -> None:
        self.tag = tag
        self.last = tag
        self.text = text
        self.raw = b""
        self.members: Sequence[Fragment] = ()
        self.leads_to: Context | None = None
        self.value = b""


class Context:
    """A situation in which elements are read, and what was made of them there.

    Parameters
    ----------
    encodings : tuple of str
        Codecs of text, from ``charset.find_encodings``.
    creators : dict
        Names of private creators of the data set so far by their tags, for the forms that need them; not changed.
    """

    __slots__ = ("creators", "elements", "encodings", "followers", "runs", "varying")

    def __init__(self, encodings: tuple[str, ...], creators: dict[int, str]) -> None:
        self.encodings = encodings
        self.creators = creators
        self.elements: dict[bytes, Fragment] = {}
        self.runs: dict[bytes, Fragment] = {}
        # headers under which different values were seen: what has one is in no run
        self.varying: set[bytes] = set()
        self.followers: dict[Hashable, Context] = {}

    def forget(self) -> None:
        """Drop everything that was made."""
        self.elements.clear()
        self.runs.clear()
        self.varying.clear()
        self.followers.clear()


class FragmentMemo:
    """Fragments of the data sets read so far, up to a number of bytes; then what it has, it starts anew.

    Parameters
    ----------
    form : Form
        Of the fragments; a memo serves data sets that are encoded alike: same form, same rules of what is bulk.
    limit : int
        Most bytes it may take, roughly; 0 keeps nothing.
    """

    def __init__(self, form: Form, limit: int = _LIMIT) -> None:
        self.form = form
        self._separator = form.separator
        self._limit = limit
        self._roots: dict[Hashable, Context] = {}
        self._contexts: list[Context] = []
        self._size = 0

    @property
    def size(self) -> int:
        """About the bytes it takes."""
        return self._size

    def begin(self) -> None:
        """Take the beginning of a data set: the time to drop all, where the limit is near."""
        if self._size * 4 > self._limit * 3:
            for context in self._contexts:
                context.forget()
            self._contexts.clear()
            self._roots.clear()
            self._size = 0

    def find_root(self, situation: Hashable, encodings: tuple[str, ...]) -> Context:
        """Return the context of the beginning of a data set; `situation` is all that matters but the encodings."""
        return self._find(self._roots, (situation, encodings), encodings, {})

    def follow(
        self, context: Context, change: tuple[int, str, bytes], encodings: tuple[str, ...], creators: dict[int, str]
    ) -> Context:
        """Return the context that `context` becomes by the element `change`: tag, VR and value."""
        return self._find(context.followers, change, encodings, creators, len(change[2]))

    def keep(self, context: Context, fragment: Fragment, raw: bytes) -> bool:
        """Keep what the element `raw` has become; whether there was room."""
        if len(raw) > MAX_RECALLED or not self._take_room(len(raw) + len(fragment.text)):
            return False
        fragment.raw = raw
        context.elements[raw] = fragment
        return True

    def keep_run(self, context: Context, members: Sequence[Fragment]) -> None:
        """Keep elements that were read one after the other, tags ascending; a short one alone is found as it is."""
        if not members or (len(members) == 1 and len(members[0].raw) < _SHORT):
            return
        run = Fragment(members[0].tag, self._separator.join([one.text for one in members if one.text]))
        run.last = members[-1].tag
        run.raw = b"".join([one.raw for one in members])
        run.members = members
        if self._take_room(len(run.raw) + len(run.text)):
            context.runs[run.raw[:HEADER_LENGTH]] = run

    def cut_run(self, context: Context, run: Fragment, index: int) -> None:
        """Take the member `index` out of a run, since another value was seen in its place."""
        members = run.members
        if context.runs.pop(run.raw[:HEADER_LENGTH], None) is not None:
            self._size -= len(run.raw) + len(run.text) + _OVERHEAD
        context.varying.add(members[index].raw[:HEADER_LENGTH])
        self.keep_run(context, members[:index])
        self.keep_run(context, members[index + 1 :])

    def _find(
        self,
        known: dict[Hashable, Context],
        key: Hashable,
        encodings: tuple[str, ...],
        creators: dict[int, str],
        size: int = 0,
    ) -> Context:
        found = known.get(key)
        if found is None:
            found = Context(encodings, creators)
            if self._take_room(_OVERHEAD + size + _CREATOR_SIZE * len(creators)):
                known[key] = found
                self._contexts.append(found)
        return found

    def _take_room(self, size: int) -> bool:
        size += _OVERHEAD
        if self._size + size > self._limit:
            return False
        self._size += size
        return True
