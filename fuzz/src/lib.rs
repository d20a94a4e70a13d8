//! What is fuzzed, as plain functions: each takes any bytes and panics when a promise is broken.
//!
//! A new target is a function, a row of [`TARGETS`] (which `tests/smoke.rs` runs), three lines in `fuzz_targets/` and a
//! `[[bin]]` in `Cargo.toml`.
#![forbid(unsafe_code)]

mod input;
mod kafka;
mod otlp;
mod propagation;
mod records;

pub use input::Inputs;
pub use kafka::kafka_split;
pub use otlp::otlp_request;
pub use propagation::{baggage, ot_entry, traceparent, tracestate};
pub use records::{logs_request, profile, record};

/// A function under fuzzing and what its inputs are made from.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the function and of its libFuzzer program.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Good inputs to start from.
    pub seeds: &'static [&'static [u8]],
    /// Pieces that matter to the format.
    pub words: &'static [&'static [u8]],
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "traceparent",
        run: traceparent,
        seeds: &[
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-later",
        ],
        words: &[b"00", b"ff", b"-", b"A", b"0000000000000000", b" ", b"\x80", b"01-"],
    },
    Target {
        name: "tracestate",
        run: tracestate,
        seeds: &[
            b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
            b" a=1 ,\t, fw529a3039@dt= x y",
            b"a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1,j=1,k=1,l=1,m=1,n=1,o=1,p=1,q=1,r=1,s=1,t=1,u=1,v=1,w=1,x=1,y=1,z=1,0=1,1=1,2=1,3=1,4=1,5=1",
        ],
        words: &[b",", b"=", b" ", b"\t", b"@", b"a=1", b",a=2", b"\n", b"\xc3\xa9", &[b'z'; 250]],
    },
    Target {
        name: "baggage",
        run: baggage,
        seeds: &[
            b"userId=Am%C3%A9lie,serverNode=DF%2028;secret;ttl = 5, isProduction=false",
            b"key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue",
        ],
        words: &[b",", b"=", b";", b"%", b"%25", b"%ff", b"%C3%A9", b" ", b"\t", b"\"", b"\\", b"k=v,", b"\n", &[b'%'; 250]],
    },
    Target {
        name: "ot_entry",
        run: ot_entry,
        seeds: &[b"th:c;rv:6e6d1a75832a2f", b"a:b;th:0;k1:13"],
        words: &[b"th:", b"rv:", b";", b":", b"8", b"ffffffffffffff", b"A", b"=", b",", &[b'x'; 250]],
    },
    Target {
        name: "otlp_request",
        run: otlp_request,
        seeds: &[include_bytes!("../seeds/otlp_request")],
        words: &[b"\x0a", b"\x12", b"\x4a", b"\x5a", b"\x80\x80\x80\x80\x10", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x2a\x02\x2a\x00", b"\x0b", b"\xff"],
    },
    Target {
        name: "profile",
        run: profile,
        seeds: &[
            br#"{"schema_version":1,"kind":"psi","entity":{"space":"s","name":"n","version":"1","uid":"u","alias":"a"},"features":[{"name":"x","type":"int","bins":[1,2.5]},{"name":"y","type":"text","categories":["a"]}]}"#,
            br#"{"schema_version":1,"kind":"spc","entity":{"space":"s","name":"n","version":"1","uid":"u","alias":"a"},"features":[{"name":"x","type":"float","required":false,"limits":{"center":1,"lower":0,"upper":1e3}}]}"#,
            br#"{"schema_version":1,"kind":"agent","entity":{"space":"s","name":"n","version":"1","uid":"u","alias":"a"},"sample_ratio":0.1,"tasks":[{"id":"x","n":[1e9,null]}]}"#,
            br#"{"schema_version":1,"kind":"custom","entity":{"space":"s","name":"n","version":"1","uid":"u","alias":"a"},"description":"d","metrics":[{"name":"x","baseline":-0.0}]}"#,
        ],
        words: &[b"{", b"}", b"[", b"]", b",", b"\"", b":", b"null", b"1e400", b"-0.0", b"1e15", b"\\u0000", b"\"bins\":", b"true"],
    },
    Target {
        name: "logs_request",
        run: logs_request,
        seeds: &[b"\x0a\x26\x12\x24\x12\x22\x4a\x10aaaaaaaaaaaaaaaa\x2a\x04\x0a\x02hi\x10\x09\x62\x04name\x45\x01\x00\x00\x00"],
        words: &[b"\x0a", b"\x12", b"\x2a", b"\x32", b"\x62", b"\x80\x80\x80\x80\x10", b"\x2a\x02\x2a\x00", b"\x0a\x03\x0a\x01k", b"\xff"],
    },
    Target {
        name: "record",
        run: record,
        seeds: &[br#"{"question":"why?","parts":[1,null,{"deep":[true,-0.5]}],"big":18446744073709551615}"#],
        words: &[b"{", b"}", b"[", b"]", b",", b"\"k\":", b"null", b"1e300", b"-1", b"9223372036854775808", b"\\ud83d\\ude00", b"[[[["],
    },
    Target {
        name: "kafka_split",
        run: kafka_split,
        seeds: &[
            include_bytes!("../seeds/otlp_request"),
            b"\x0a\x26\x12\x24\x12\x22\x4a\x10aaaaaaaaaaaaaaaa\x2a\x04\x0a\x02hi\x10\x09\x62\x04name\x45\x01\x00\x00\x00",
        ],
        words: &[b"\x0a", b"\x12", b"\x0a\x10aaaaaaaaaaaaaaaa", b"\x0a\x10bbbbbbbbbbbbbbbb", b"\x4a\x10cccccccccccccccc", b"\x80\x80\x01", b"\x0b", b"\xff"],
    },
];
