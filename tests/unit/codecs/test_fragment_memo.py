"""What a memo keeps, and that it lets go in time."""

from __future__ import annotations

from gateway.codecs.dicom_json import JSON
from gateway.codecs.fragment_memo import MAX_RECALLED, Context, Fragment, FragmentMemo
from tests.support.elements import element

_TAGS = (0x00080008, 0x00080016, 0x00080018, 0x00080060)


def _keep(memo: FragmentMemo, context: Context, value: bytes = b"1 ") -> list[Fragment]:
    members = [Fragment(tag, b"%08X" % tag) for tag in _TAGS]
    for member in members:
        assert memo.keep(context, member, element(member.tag, "SH", value))
    return members


def test_elements_are_known_by_all_their_bytes() -> None:
    memo = FragmentMemo(JSON)
    context = memo.find_root("here", ("latin-1",))
    first = _keep(memo, context)[0]
    assert context.elements[element(_TAGS[0], "SH", b"1 ")] is first
    assert element(_TAGS[0], "SH", b"2 ") not in context.elements


def test_a_run_is_its_members_joined() -> None:
    memo = FragmentMemo(JSON)
    context = memo.find_root("here", ("latin-1",))
    members = _keep(memo, context)
    members[1].text = b""
    memo.keep_run(context, members)
    (run,) = context.runs.values()
    assert (run.tag, run.last, run.text) == (_TAGS[0], _TAGS[-1], b"00080008,00080018,00080060")
    assert run.raw == b"".join(element(tag, "SH", b"1 ") for tag in _TAGS)
    assert list(context.runs) == [run.raw[:8]]


def test_a_short_element_alone_is_no_run() -> None:
    memo = FragmentMemo(JSON)
    context = memo.find_root("here", ("latin-1",))
    memo.keep_run(context, _keep(memo, context)[:1])
    memo.keep_run(context, [])
    assert not context.runs
    memo.keep_run(context, _keep(memo, context, b"long" * 20)[:1])
    assert len(context.runs) == 1


def test_a_cut_run_loses_the_member_that_varies() -> None:
    memo = FragmentMemo(JSON)
    context = memo.find_root("here", ("latin-1",))
    members = _keep(memo, context)
    memo.keep_run(context, members)
    size = memo.size
    memo.cut_run(context, context.runs[members[0].raw[:8]], 1)
    assert [run.members for run in context.runs.values()] == [members[2:]]
    assert context.varying == {members[1].raw[:8]}
    assert memo.size < size


def test_contexts_are_those_of_the_same_way() -> None:
    memo = FragmentMemo(JSON)
    root = memo.find_root("here", ("latin-1",))
    assert memo.find_root("here", ("latin-1",)) is root
    assert memo.find_root("there", ("latin-1",)) is not root
    assert memo.find_root("here", ("utf-8",)) is not root
    change = (0x00080005, "CS", b"ISO_IR 192")
    after = memo.follow(root, change, ("utf-8",), {})
    assert memo.follow(root, change, ("utf-8",), {}) is after
    assert memo.follow(root, (0x00080005, "CS", b"GB18030 "), ("gb18030",), {}) is not after
    assert (root.encodings, after.encodings) == (("latin-1",), ("utf-8",))


def test_it_begins_anew_near_its_limit() -> None:
    memo = FragmentMemo(JSON, 8_000)
    context = memo.find_root("here", ("latin-1",))
    number = 0
    while memo.keep(context, Fragment(_TAGS[0], b"text"), element(_TAGS[0], "SH", b"%8d" % number)):
        number += 1
    assert 0 < memo.size <= 8_000
    memo.begin()
    assert memo.size == 0
    assert not context.elements
    assert memo.find_root("here", ("latin-1",)) is not context
    size = memo.size
    memo.begin()
    assert memo.size == size > 0


def test_one_without_room_keeps_nothing() -> None:
    memo = FragmentMemo(JSON, 0)
    context = memo.find_root("here", ("latin-1",))
    assert not memo.keep(context, Fragment(_TAGS[0], b"text"), element(_TAGS[0], "SH", b"1 "))
    memo.keep_run(context, [Fragment(tag, b"text") for tag in _TAGS])
    assert memo.find_root("here", ("latin-1",)) is not context
    assert (memo.size, context.elements, context.runs) == (0, {}, {})


def test_long_elements_are_not_kept() -> None:
    memo = FragmentMemo(JSON)
    context = memo.find_root("here", ("latin-1",))
    assert not memo.keep(context, Fragment(_TAGS[0], b"text"), bytes(MAX_RECALLED + 1))
