"""What W3C Trace Context (level 2) and W3C Baggage say about headers, as tables: headers, what follows, section.

The cases of the validation suite beside the standard are all here, and more. In two of its tests (the vendor format of a
key, the length of its parts) that suite still follows level 1, where `@` had a meaning; level 2 (section "Key") has not.
"""

from __future__ import annotations

import string
from dataclasses import dataclass

TRACE = "12345678901234567890123456789012"
PARENT = "1234567890123456"
GOOD = f"00-{TRACE}-{PARENT}-01"

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Case:
    """Headers, and what a receiver does with them."""

    section: str
    headers: Pairs
    flags: int | None
    """Those of the continued trace; ``None`` when a new one begins."""
    state: str = ""
    """The `tracestate` that travels on."""
    over_http: bool = True
    """Whether an HTTP server lets these bytes through."""

    def __str__(self) -> str:
        shown = "|".join(f"{name}={value}" for name, value in self.headers).replace(GOOD, "good") or "nothing"
        return f"{self.section}: {shown[:90]}"


def _parent(section: str, value: str, flags: int | None = None, **more: bool) -> Case:
    return Case(section, [("traceparent", value)], flags, **more)


def _state(section: str, *values: str, state: str = "", over_http: bool = True) -> Case:
    return Case(section, [("traceparent", GOOD), *(("tracestate", value) for value in values)], 1, state, over_http)


def _numbered(first: int, last: int) -> str:
    return ",".join(f"bar{number:02}={number:02}" for number in range(first, last + 1))


_KEY = string.ascii_lowercase + string.digits + "_-*/"
_VALUE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) not in ",=")
_T, _V = "Tracestate Header", "traceparent Header Field Values"

TRACE_CONTEXT = [
    Case("Traceparent Header: it is optional", [], None),
    _parent(_V, GOOD, 1),
    _parent("Sampled flag", f"00-{TRACE}-{PARENT}-00", 0),
    _parent("Random Trace ID Flag", f"00-{TRACE}-{PARENT}-03", 3),
    _parent("Random Trace ID Flag", f"00-{TRACE}-{PARENT}-02", 2),
    # One header, under its name
    Case("Traceparent Header: one", [("traceparent", GOOD), ("traceparent", GOOD)], None),
    Case("Traceparent Header: one", [("traceparent", GOOD.replace("9012-", "9011-")), ("traceparent", GOOD)], None),
    Case("Header Name: any case", [("TraceParent", GOOD), ("TRACEPARENT", GOOD)], None),
    Case("Traceparent Header: one", [("traceparent", GOOD), ("traceparent", "")], None),
    _parent("version-format", f"{GOOD},{GOOD}"),
    Case("Header Name: without delimiters", [("trace-parent", GOOD)], None),
    Case("Header Name: without delimiters", [("trace.parent", GOOD)], None),
    Case("Header Name: without delimiters", [("trace_parent", GOOD)], None),
    Case("Header Name: any case", [("TraceParent", GOOD)], 1),
    Case("Header Name: any case", [("TrAcEpArEnT", GOOD)], 1),
    Case("Header Name: any case", [("TRACEPARENT", GOOD)], 1),
    # Versions
    _parent("version-format: 00 ends after the flags", f"{GOOD}."),
    _parent("version-format: 00 ends after the flags", f"{GOOD}-"),
    _parent("version-format: 00 ends after the flags", f"{GOOD}-what-the-future-will-be-like"),
    _parent("Versioning of traceparent", GOOD.replace("00-", "cc-", 1), 1),
    _parent("Versioning of traceparent", f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", 1),
    _parent("Versioning of traceparent", f"cc-{TRACE}-{PARENT}-01-", 1),
    _parent("Versioning of traceparent", f"01-{TRACE}-{PARENT}-00", 0),
    _parent("Versioning of traceparent", f"fe-{TRACE}-{PARENT}-03", 3),
    _parent("Versioning: only known flags", f"01-{TRACE}-{PARENT}-fd", 1),
    _parent("Versioning: a dash before what follows", f"cc-{TRACE}-{PARENT}-01.what-the-future-will-be-like"),
    _parent("Versioning: a dash before what follows", f"cc-{TRACE}-{PARENT}-011"),
    _parent("Versioning: at least 55 characters", f"cc-{TRACE}-{PARENT}-0"),
    _parent("version: ff is invalid", f"ff-{TRACE}-{PARENT}-01"),
    _parent("version: ff is invalid", f"ff-{TRACE}-{PARENT}-01-later"),
    _parent("version: HEXDIGLC", f".0-{TRACE}-{PARENT}-01"),
    _parent("version: HEXDIGLC", f"0.-{TRACE}-{PARENT}-01"),
    _parent("version: HEXDIGLC", f"CC-{TRACE}-{PARENT}-01"),
    _parent("version: 2HEXDIGLC", f"000-{TRACE}-{PARENT}-01"),
    _parent("version: 2HEXDIGLC", f"0000-{TRACE}-{PARENT}-01"),
    _parent("version: 2HEXDIGLC", f"0-{TRACE}-{PARENT}-01"),
    _parent("version: 2HEXDIGLC", f"-{TRACE}-{PARENT}-01"),
    # trace-id
    _parent("trace-id: not all zeros", f"00-{'0' * 32}-{PARENT}-01"),
    _parent("trace-id: HEXDIGLC", f"00-.{TRACE[1:]}-{PARENT}-01"),
    _parent("trace-id: HEXDIGLC", f"00-{TRACE[:-1]}.-{PARENT}-01"),
    _parent("trace-id: HEXDIGLC", f"00-{'ABCDEF' + TRACE[6:]}-{PARENT}-01"),
    _parent("trace-id: HEXDIGLC", f"00-{TRACE[:-1]}g-{PARENT}-01"),
    _parent("trace-id: HEXDIGLC", f"00-{TRACE[:-1]}é-{PARENT}-01"),
    _parent("trace-id: 32HEXDIGLC", f"00-{TRACE}3-{PARENT}-01"),
    _parent("trace-id: 32HEXDIGLC", f"00-{TRACE[:-1]}-{PARENT}-01"),
    _parent("trace-id: 32HEXDIGLC", f"00--{PARENT}-01"),
    _parent("version-format", "00"),
    # parent-id
    _parent("parent-id: not all zeros", f"00-{TRACE}-{'0' * 16}-01"),
    _parent("parent-id: HEXDIGLC", f"00-{TRACE}-.{PARENT[1:]}-01"),
    _parent("parent-id: HEXDIGLC", f"00-{TRACE}-{PARENT[:-1]}.-01"),
    _parent("parent-id: HEXDIGLC", f"00-{TRACE}-{PARENT[:-1]}A-01"),
    _parent("parent-id: 16HEXDIGLC", f"00-{TRACE}-{PARENT}7-01"),
    _parent("parent-id: 16HEXDIGLC", f"00-{TRACE}-{PARENT[:-1]}-01"),
    # trace-flags
    _parent("trace-flags: HEXDIGLC", f"00-{TRACE}-{PARENT}-.0"),
    _parent("trace-flags: HEXDIGLC", f"00-{TRACE}-{PARENT}-0."),
    _parent("trace-flags: HEXDIGLC", f"00-{TRACE}-{PARENT}-0A"),
    _parent("trace-flags: 2HEXDIGLC", f"00-{TRACE}-{PARENT}-001"),
    _parent("trace-flags: 2HEXDIGLC", f"00-{TRACE}-{PARENT}-1"),
    _parent("trace-flags: 2HEXDIGLC", f"00-{TRACE}-{PARENT}-"),
    _parent("trace-flags: 2HEXDIGLC", f"00-{TRACE}-{PARENT}"),
    # Separators and white space
    _parent("version-format: dashes", GOOD.replace("-", "_")),
    _parent("version-format: dashes", GOOD.replace("-", "")),
    _parent("version-format", ""),
    _parent("version-format", "-"),
    _parent("version-format", "nonsense"),
    _parent("RFC 9110, section 5.5: OWS is not of the value", f" {GOOD}", 1),
    _parent("RFC 9110, section 5.5: OWS is not of the value", f"\t{GOOD}", 1),
    _parent("RFC 9110, section 5.5: OWS is not of the value", f"{GOOD} ", 1),
    _parent("RFC 9110, section 5.5: OWS is not of the value", f"{GOOD}\t", 1),
    _parent("RFC 9110, section 5.5: OWS is not of the value", f"\t {GOOD} \t", 1),
    _parent("version-format: no white space inside", f"00 -{TRACE}-{PARENT}-01"),
    _parent("RFC 9110, section 5.6.3: OWS is space and tab", f"\u00a0{GOOD}"),
    _parent("RFC 9110, section 5.5: no line ends", f"{GOOD}\n", over_http=False),
    # tracestate: together with a traceparent
    Case(f"{_T}: not without traceparent", [("tracestate", "foo=1")], None),
    Case(f"{_T}: not without traceparent", [("tracestate", "foo=1,bar=2")], None),
    Case(f"{_T}: not without a valid one", [("traceparent", GOOD[:-1]), ("tracestate", "foo=1")], None),
    Case(f"{_T}: not without a valid one", [("traceparent", f"ff{GOOD[2:]}"), ("tracestate", "foo=1")], None),
    Case(f"{_T}: not with two", [("traceparent", GOOD), ("traceparent", GOOD), ("tracestate", "foo=1")], None),
    Case(f"{_T}: before or after", [("tracestate", "foo=1"), ("traceparent", GOOD)], 1, "foo=1"),
    Case("Versioning of tracestate", [("traceparent", f"cc{GOOD[2:]}"), ("tracestate", "foo=1")], 1, "foo=1"),
    _state(_T, "foo=1,bar=2", state="foo=1,bar=2"),
    _state(f"{_T}: case and order of values are kept", "b=Zz,a=yY", state="b=Zz,a=yY"),
    # tracestate: its name
    Case("Header Name: without delimiters", [("traceparent", GOOD), ("trace-state", "foo=1")], 1),
    Case("Header Name: without delimiters", [("traceparent", GOOD), ("trace.state", "foo=1")], 1),
    Case("Header Name: any case", [("traceparent", GOOD), ("TraceState", "foo=1")], 1, "foo=1"),
    Case("Header Name: any case", [("traceparent", GOOD), ("TrAcEsTaTe", "foo=1")], 1, "foo=1"),
    Case("Header Name: any case", [("traceparent", GOOD), ("TRACESTATE", "foo=1")], 1, "foo=1"),
    # tracestate: empty ones, and several
    _state("tracestate Header Field Values: empty", ""),
    _state("tracestate Header Field Values: empty", "foo=1", "", state="foo=1"),
    _state("tracestate Header Field Values: empty", "", "foo=1", state="foo=1"),
    _state("tracestate Header Field Values: empty", "", "", "\t"),
    _state("list: empty list-members", "foo=1,,bar=2, ,", state="foo=1,bar=2"),
    _state("list: empty list-members", ",", ""),
    _state(
        "RFC 9110, section 5.3: several headers are one list, in order",
        "foo=1,bar=2",
        "rojo=1,congo=2",
        "baz=3",
        state="foo=1,bar=2,rojo=1,congo=2,baz=3",
    ),
    Case(
        "Header Name: any case",
        [("traceparent", GOOD), ("tracestate", "c=1"), ("TraceState", "b=2"), ("TRACESTATE", "a=3")],
        1,
        "c=1,b=2,a=3",
    ),
    # tracestate: repeated keys
    _state("Combined Header Value: one entry per key", "foo=1,foo=1"),
    _state("Combined Header Value: one entry per key", "foo=1,foo=2"),
    _state("Combined Header Value: one entry per key", "foo=1", "foo=1"),
    _state("Combined Header Value: one entry per key", "foo=1", "foo=2"),
    _state("Combined Header Value: one entry per key", "foo=1,bar=2", "baz=3,foo=4"),
    # tracestate: alphabets
    _state("Key, Value", f"{_KEY}={_VALUE}", state=f"{_KEY}={_VALUE}"),
    _state("Key, Value", f"{_KEY}@a-z0-9_-*/={_VALUE}", state=f"{_KEY}@a-z0-9_-*/={_VALUE}"),
    _state("Key: a digit first", "1a=1,0=2", state="1a=1,0=2"),
    _state("Key: multi-tenant", "fw529a3039@dt=FfQ", state="fw529a3039@dt=FfQ"),
    _state("Key: level 2 has '@' as any other character", "foo@=1,bar=2", state="foo@=1,bar=2"),
    _state("Key: level 2 has '@' as any other character", "foo@@bar=1,bar=2", state="foo@@bar=1,bar=2"),
    _state("Key: level 2 has '@' as any other character", "foo@bar@baz=1,bar=2", state="foo@bar@baz=1,bar=2"),
    _state("Key: begins with a letter or digit", "@foo=1,bar=2"),
    _state("Key: begins with a letter or digit", "_foo=1,bar=2"),
    _state("Key: begins with a letter or digit", "-foo=1"),
    _state("Key: begins with a letter or digit", "*foo=1"),
    _state("Key: begins with a letter or digit", "/foo=1"),
    _state("Key: no white space", "foo =1"),
    _state("Key: no white space", "fo o=1,bar=2"),
    _state("Key: lower case", "FOO=1"),
    _state("Key: lower case", "fOO=1,bar=2"),
    _state("Key", "foo.bar=1"),
    _state("Key", "föö=1,bar=2"),
    _state("Key: not empty", "=1,bar=2"),
    _state("list-members: with '='", "foo,bar=2"),
    _state("list-members: with ','", "foo=1;bar=2"),
    _state("Value: no '='", "foo=bar=baz"),
    _state("Value: not empty", "foo=,bar=3"),
    _state("Value: not only spaces", "foo= ,bar=3"),
    _state("Value: spaces in front are of it", "foo= 1", state="foo= 1"),
    _state("Value: chr has the space", "foo=a b", state="foo=a b"),
    _state("Value: no tabs", "foo=a\tb"),
    _state("Value: ASCII", "foo=ü,bar=2"),
    _state("Value: printable", "foo=\x7f,bar=2", over_http=False),
    _state("Value: printable", "foo=\x00", over_http=False),
    # tracestate: white space
    _state("list: OWS", "foo=1 \t , \t bar=2, \t baz=3", state="foo=1,bar=2,baz=3"),
    _state("list: OWS", "foo=1\t \t,\t \tbar=2,\t \tbaz=3", state="foo=1,bar=2,baz=3"),
    _state("list: OWS", " foo=1", state="foo=1"),
    _state("list: OWS", "\tfoo=1", state="foo=1"),
    _state("list: OWS", "foo=1 ", state="foo=1"),
    _state("list: OWS", "foo=1\t", state="foo=1"),
    _state("list: OWS", "\t foo=1 \t", state="foo=1"),
    _state("list: OWS is space and tab", "foo=1\u00a0"),
    # tracestate: limits
    _state("list: 32 members", _numbered(1, 32), state=_numbered(1, 32)),
    _state("list: 32 members", _numbered(1, 33)),
    _state(
        "list: 32 members",
        _numbered(1, 10),
        _numbered(11, 20),
        _numbered(21, 30),
        _numbered(31, 32),
        state=_numbered(1, 32),
    ),
    _state("list: 32 members", _numbered(1, 10), _numbered(11, 20), _numbered(21, 30), _numbered(31, 33)),
    _state("Key: 256 characters", "foo=1", f"{'z' * 256}=1", state=f"foo=1,{'z' * 256}=1"),
    _state("Key: 256 characters", "foo=1", f"{'z' * 257}=1"),
    _state("Key: 256 in all", "foo=1", f"{'t' * 241}@{'v' * 14}=1", state=f"foo=1,{'t' * 241}@{'v' * 14}=1"),
    _state("Key: 256 in all", "foo=1", f"{'t' * 242}@v=1", state=f"foo=1,{'t' * 242}@v=1"),
    _state("Key: 256 in all", "foo=1", f"t@{'v' * 15}=1", state=f"foo=1,t@{'v' * 15}=1"),
    _state("Value: 256 characters", f"foo={'1' * 256}", state=f"foo={'1' * 256}"),
    _state("Value: 256 characters", f"foo={'1' * 257},bar=2"),
    _state("tracestate Limits: at least 512", f"a={'1' * 250},b={'2' * 257}"),
    _state(
        "tracestate Limits: at least 512",
        f"a={'1' * 254},b={'2' * 253}",
        state=f"a={'1' * 254},b={'2' * 253}",
    ),
    _state(
        "tracestate Limits: more is propagated too",
        ",".join(f"{name}={'v' * 256}" for name in string.ascii_lowercase),
        state=",".join(f"{name}={'v' * 256}" for name in string.ascii_lowercase),
    ),
]

# Headers, the entries in them, the header that travels on, section.
BAGGAGE: list[tuple[list[str], dict[str, str], str, str]] = [
    ([], {}, "", "3.2 the header is optional"),
    ([""], {}, "", "3.3.1 list-member"),
    (["SomeKey=SomeValue"], {"SomeKey": "SomeValue"}, "SomeKey=SomeValue", "3.3.1 list-member"),
    (["a=1,b=2"], {"a": "1", "b": "2"}, "a=1,b=2", "3.3.1 baggage-string"),
    ([" a = 1 \t, \tb\t=\t2 "], {"a": "1", "b": "2"}, "a=1,b=2", "3.3.1 OWS"),
    (["a=1", "b=2", "c=3"], {"a": "1", "b": "2", "c": "3"}, "a=1,b=2,c=3", "3.3.1 several headers are one list"),
    (["a=1", ""], {"a": "1"}, "a=1", "3.3.1 several headers are one list"),
    (["a=1;p1;p2=v2"], {"a": "1"}, "a=1;p1;p2=v2", "3.3.1.4 property"),
    (["a=1 ; p1 ; p2 = v2 , b=2"], {"a": "1", "b": "2"}, "a=1;p1;p2=v2,b=2", "3.3.1.4 property, OWS"),
    (["a=%20x%2C%3B%3D"], {"a": " x,;="}, "a=%20x%2C%3B=", "3.3.1.3 value, percent-encoded"),
    (["a=Am%C3%A9lie"], {"a": "Amélie"}, "a=Am%C3%A9lie", "3.3.1.3 value, UTF-8"),
    (["a=%FFx"], {"a": "\ufffdx"}, "a=%EF%BF%BDx", "3.3.1.3 value, not UTF-8"),
    (["a=b=c=="], {"a": "b=c=="}, "a=b=c==", "3.3.1.3 value has '='"),
    (["a=1+2"], {"a": "1+2"}, "a=1+2", "3.3.1.3 '+' is itself"),
    (["a="], {"a": ""}, "a=", "3.3.1.3 value may be empty"),
    (["k%20y=1"], {"k%20y": "1"}, "k%20y=1", "3.3.1.2 keys are not decoded"),
    (["!#$%&'*+-.^_`|~09azAZ=1"], {"!#$%&'*+-.^_`|~09azAZ": "1"}, "!#$%&'*+-.^_`|~09azAZ=1", "3.3.1.2 token"),
    (
        ["userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false"],
        {"userId": "Amélie", "serverNode": "DF 28", "isProduction": "false"},
        "userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false",
        "3.4 examples",
    ),
    (["a=1,a=2"], {"a": "2"}, "a=2", "3.3.1.1 the last of a repeated key is read"),
    (['good=1,=2,bad name=3,x=a b,y,z"=1,q=a"b,é=1'], {"good": "1"}, "good=1", "3.3.1 what is invalid is left out"),
    (["a=1;;,b=2"], {"b": "2"}, "b=2", "3.3.1.4 a property is not empty"),
    (["a=%zz,b=%1,c=%"], {}, "", "3.3.1.3 '%' with two digits"),
    (
        [",".join(f"k{n}=v" for n in range(180))],
        {f"k{n}": "v" for n in range(180)},
        ",".join(f"k{n}=v" for n in range(180)),
        "3.3.2 at least 64 members",
    ),
    ([f"k={'v' * 8190}"], {"k": "v" * 8190}, f"k={'v' * 8190}", "3.3.2 8192 bytes"),
    ([f"k={'v' * 8191},b=1"], {"b": "1"}, "b=1", "3.3.2 no partial members"),
]
