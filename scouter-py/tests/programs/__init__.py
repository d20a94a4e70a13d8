"""Random programs of spans, run under Scouter and under ``opentelemetry-sdk``, and what the two export, compared.

A program (`model`) is generated (`strategies`), run on a tracer provider (`runner`), and what comes out is brought into
one form (`normal`). Where the specification and the SDK disagree, `differences` says so, with the reason.
"""
