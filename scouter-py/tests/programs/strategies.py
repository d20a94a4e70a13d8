"""Programs, generated. The common is likely, the strange is not rare."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from . import material
from .model import (
    Aside,
    Attach,
    Baggage,
    Call,
    Detach,
    Look,
    Op,
    Pairs,
    Pause,
    Program,
    Raise,
    Spanned,
    Start,
    Started,
    Target,
    Together,
    Try,
    Used,
    Where,
)
from .samplers import SAMPLERS

DEPTH = 3
_small = st.integers(0, 5)
_usually_true = st.sampled_from((True, True, True, False))
_usual_keys = st.sampled_from(("a", "b", "c"))
_keys = st.one_of(_usual_keys, _usual_keys, st.sampled_from(tuple(material.KEYS)))
_usual_values = st.sampled_from(("text", "int", "float", "True", "texts"))
_values = st.one_of(_usual_values, st.sampled_from(tuple(material.VALUES)))
_pairs: st.SearchStrategy[Pairs] = st.lists(st.tuples(_keys, _values), max_size=5).map(tuple)
_maybe_pairs = st.one_of(st.none(), _pairs)
_names = st.one_of(st.just("x"), st.sampled_from(tuple(material.NAMES)))
# Times far from now, so that they cannot be taken for it; 0 and the order of times included.
_times = st.one_of(st.none(), st.integers(0, 5).map(lambda at: at * 1_000_000_000), st.integers(0, 10**15))
_targets = st.one_of(st.builds(Target, span=_small), st.builds(Target, remote=st.sampled_from(tuple(material.REMOTES))))
_wheres = st.builds(Where, empty=st.booleans(), span=st.one_of(st.none(), _targets))
_starts = st.builds(
    Start,
    name=_names,
    tracer=st.integers(0, 1),
    kind=st.integers(0, 4),
    attributes=_maybe_pairs,
    links=st.one_of(st.none(), st.lists(st.tuples(_targets, _maybe_pairs), max_size=4).map(tuple)),
    start_time=_times,
    context=st.one_of(st.none(), st.none(), _wheres),
    record_exception=_usually_true,
    set_status_on_exception=_usually_true,
    end_on_exit=_usually_true,
)


def _call(method: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Op]:
    return st.builds(Call, span=st.one_of(st.none(), _small), method=st.just(method), arguments=st.tuples(*arguments))


_CALLS: tuple[st.SearchStrategy[Op], ...] = (
    _call("set_attribute", _keys, _values),
    _call("set_attributes", _pairs),
    _call("add_event", _names, _maybe_pairs, _times),
    _call("add_link", _targets, _maybe_pairs),
    _call("set_status", st.sampled_from(tuple(material.STATUSES))),
    _call("record_exception", st.sampled_from(tuple(material.ERRORS)), _maybe_pairs, _times, st.booleans()),
    _call("update_name", _names),
)
_LEAVES: tuple[st.SearchStrategy[Op], ...] = (
    *_CALLS * 2,
    _call("end", _times),
    st.builds(Started, start=_starts),
    st.builds(Raise, error=st.sampled_from(tuple(material.ERRORS))),
    st.just(Pause()),
    st.just(Look()),
    st.builds(Attach, where=_wheres),
    st.builds(Baggage, value=st.sampled_from(("v", "é, ;=", ""))),
    st.builds(Detach, token=_small),
)
_HOW = ("with", "with", "start_span", "async with", "decorator", "async decorator")
_BLOCKS = ("span",) * 6 + ("used", "aside", "try", "together")


@st.composite
def _block(draw: st.DrawFn, depth: int) -> Op:
    below = _body(depth - 1)
    match draw(st.sampled_from(_BLOCKS)):
        case "span":
            return Spanned(draw(st.sampled_from(_HOW)), draw(_starts), draw(below))
        case "used":
            flags = draw(st.booleans()), draw(_usually_true), draw(_usually_true)
            return Used(draw(_small), *flags, draw(below))
        case "aside":
            return Aside(draw(st.booleans()), draw(st.booleans()), draw(below))
        case "try":
            return Try(draw(below))
        case _:
            manner = draw(st.sampled_from(("threads", "tasks", "turns", "turns")))
            bodies = draw(st.lists(below, min_size=2, max_size=3))
            return Together(manner, tuple(bodies), draw(st.integers(0, 12)))


@st.composite
def _op(draw: st.DrawFn, depth: int) -> Op:
    if depth and draw(st.booleans()):
        return draw(_block(depth))
    return draw(_LEAVES[draw(st.integers(0, len(_LEAVES) - 1))])


def _body(depth: int) -> st.SearchStrategy[tuple[Op, ...]]:
    return st.lists(_op(depth), max_size=6 if depth else 4).map(tuple)


_limits = st.one_of(
    st.just(()),
    st.dictionaries(
        st.sampled_from(
            (
                "max_attributes",
                "max_events",
                "max_links",
                "max_span_attributes",
                "max_event_attributes",
                "max_link_attributes",
                "max_attribute_length",
            )
        ),
        st.one_of(st.integers(0, 3), st.integers(0, 40)),
        max_size=4,
    ).map(lambda limits: tuple(limits.items())),
)
# A sampler that goes by the trace id needs ids that are the same on both sides.
_decisions = st.one_of(
    st.just(("default", "default")),
    st.tuples(st.sampled_from(tuple(SAMPLERS)), st.sampled_from(("by place", "by place, not random"))),
)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    sampler, ids = draw(_decisions)
    return Program(draw(_body(DEPTH)), draw(_limits), sampler, ids)
